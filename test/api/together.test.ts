// Requests that arrive together share a transaction; none of them may notice.
import { beforeAll, describe, expect, test } from 'vitest';
import { type Json, type Marketplace, openMarketplace, testMarketplace } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

const statuses = (answers: readonly { status: number }[]) => answers.map(({ status }) => status);

/** Sends a body with an idempotency key. */
async function keyed(key: string, body: unknown): Promise<{ status: number; json: Json }> {
  const response = await market.app.request('/api/v1/payments', {
    method: 'POST',
    headers: { Authorization: `Bearer ${market.token}`, 'Content-Type': 'application/json', 'Idempotency-Key': key },
    body: JSON.stringify(body),
  });
  return { status: response.status, json: await response.json() };
}

/** What stands in the database for a payment: deals, log rows, jobs that wait or were done. */
async function written(externalId: string) {
  const [row] = await market.sql<Json[]>`
    select count(*)::int as payments, coalesce(sum((select count(*) from deal d where d.payment_id = p.id)), 0)::int as deals,
      coalesce(sum((select count(*) from payment_log l where l.payment_id = p.id and event_type = 'payment.created')), 0)::int
        as logs
    from payment p where node_id = ${market.nodeId} and external_id = ${externalId}`;
  return row;
}

describe('POST /api/v1/payments, at once', () => {
  test('of fifty with one external id, one is created and forty-nine learn that it is taken', async () => {
    const body = market.paymentBody();
    const answers = await Promise.all(Array.from({ length: 50 }, () => market.post('/payments', body)));
    expect(statuses(answers).toSorted()).toEqual([201, ...Array.from({ length: 49 }, () => 409)]);
    const taken = answers.filter(({ status }) => status === 409).map(({ json }) => json.errors);
    expect(new Set(taken.map((errors) => JSON.stringify(errors)))).toEqual(
      new Set([JSON.stringify([{ pointer: '/external_id', message: 'is taken in this node' }])]),
    );
    expect(await written(body.external_id)).toEqual({ payments: 1, deals: 1, logs: 1 });
  });

  test('the same through two processes', async () => {
    const second = await testMarketplace();
    const body = market.paymentBody();
    const send = (index: number) =>
      index % 2 === 0
        ? market.post('/payments', body)
        : second.call('POST', '/payments', { body, token: market.token });
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => send(index)));
    expect(statuses(answers).toSorted()).toEqual([201, ...Array.from({ length: 49 }, () => 409)]);
    expect(await written(body.external_id)).toEqual({ payments: 1, deals: 1, logs: 1 });
  });

  test('each has its own fate: good ones are created beside refused, foreign and repeated ones', async () => {
    const other = await testMarketplace();
    const key = crypto.randomUUID();
    const known = await keyed(key, market.paymentBody());
    const repeated = market.paymentBody({ external_id: known.json.external_id });
    const good = Array.from({ length: 5 }, () => market.paymentBody());
    const answers = await Promise.all([
      ...good.map((body) => market.post('/payments', body)),
      market.post('/payments', market.paymentBody({ price: 0, payment_method: 'credit_card' })),
      market.post('/payments', market.paymentBody({ node_id: other.nodeId })),
      market.post('/payments', repeated),
      keyed(key, repeated),
      market.post('/payments', market.paymentBody({ member: { external_id: 'm-1', name: 'Ada' } })),
    ]);
    expect(statuses(answers)).toEqual([201, 201, 201, 201, 201, 400, 404, 409, 422, 201]);
    expect(answers[5]?.json.errors.map((fault: Json) => fault.pointer)).toEqual([
      '/price',
      '/currency_id',
      '/payment_method',
    ]);
    for (const [index, body] of good.entries()) {
      expect(answers[index]?.json.external_id).toBe(body.external_id);
      expect(await written(body.external_id)).toEqual({ payments: 1, deals: 1, logs: 1 });
    }
  });

  test('each answer is what is read later, and each payment reaches the worker', async () => {
    const bodies = Array.from({ length: 20 }, (_, index) => market.paymentBody({ paid_price: index + 1 }));
    const created = await Promise.all(bodies.map((body) => market.post('/payments', body)));
    for (const [index, { json }] of created.entries()) {
      const read = await market.untilStatus(json.id, 'awaiting_deposit');
      expect(json.deal.amount_units).toBe(`${index + 1}000000`);
      const changes = ['status', 'updated_at', 'deal_id', 'deal', 'legs'];
      const same = (payment: Json) =>
        Object.fromEntries(Object.entries(payment).filter(([name]) => !changes.includes(name)));
      expect(same(read)).toEqual(same(json));
    }
  });

  test('a refused request changes nothing of its member', async () => {
    const body = market.paymentBody({ member: { external_id: 'm-2', name: 'Ada' } });
    const first = await market.post('/payments', body);
    const again = await market.post('/payments', { ...body, member: { external_id: 'm-2', name: 'Eve' } });
    expect(statuses([first, again])).toEqual([201, 409]);
    expect((await market.get(`/payments/${first.json.id}`)).json.member.name).toBe('Ada');
  });

  test('one key, ten at once: one is created, the others are told so or get its answer', async () => {
    const key = crypto.randomUUID();
    const body = market.paymentBody();
    const answers = await Promise.all(Array.from({ length: 10 }, () => keyed(key, body)));
    for (const { status, json } of answers) expect(status === 201 || json.code === 'in_flight').toBe(true);
    expect(new Set(answers.filter(({ status }) => status === 201).map(({ json }) => json.id)).size).toBe(1);
    expect(await written(body.external_id)).toEqual({ payments: 1, deals: 1, logs: 1 });
  });
});

describe('what was changed a moment ago', () => {
  test('an archived node takes no payment from the next request on, nor does one below it', async () => {
    const child = await market.openChild();
    const grandchild = await market.post('/nodes', { parent_id: child, name: 'below' });
    const bodies = [child, grandchild.json.id].map((node_id) => () => market.paymentBody({ node_id }));
    const send = () => Promise.all(bodies.map((body) => market.post('/payments', body())));
    expect(statuses(await send())).toEqual([201, 201]);
    await market.post(`/nodes/${child}/archive`);
    for (const { status, json } of await send()) {
      expect(status).toBe(400);
      expect(json.errors).toEqual([{ pointer: '/node_id', message: 'is archived' }]);
    }
    await market.post(`/nodes/${child}/restore`);
    expect(statuses(await send())).toEqual([201, 201]);
  });

  test('an archived network or currency takes none either', async () => {
    const own = await testMarketplace({ confirmations: 2 });
    for (const [path, pointer] of [
      [`/networks/${own.networkId}`, '/network_id'],
      [`/currencies/${own.currencies.USDC}`, '/currency_id'],
    ]) {
      expect((await own.post('/payments', own.paymentBody())).status).toBe(201);
      expect((await own.post(`${path}/archive`)).status).toBe(200);
      const { status, json } = await own.post('/payments', own.paymentBody());
      expect([status, json.errors]).toEqual([400, [{ pointer, message: 'is archived' }]]);
      expect((await own.post(`${path}/restore`)).status).toBe(200);
    }
  });

  test('a disabled integration is refused by the next request, though its token was verified before', async () => {
    const own = await testMarketplace();
    expect((await own.post('/payments', own.paymentBody())).status).toBe(201);
    await own.disableIntegration();
    expect((await own.post('/payments', own.paymentBody())).status).toBe(401);
  });

  test('while a currency changes its token, a payment waits and then has the new one', async () => {
    const own = await testMarketplace({ confirmations: 3 });
    const { USDT } = own.currencies;
    const changed = '0x00000000000000000000000000000000000c0ffe';
    let sent: Promise<{ status: number; json: Json }> | undefined;
    await own.sql.begin(async (tx) => {
      await tx`select 1 from currency where id = ${USDT} for update`;
      sent = own.post('/payments', own.paymentBody({ currency_id: USDT }));
      await new Promise((resolve) => setTimeout(resolve, 300));
      await tx`update currency set token_address = ${changed} where id = ${USDT}`;
    });
    const created = await sent;
    expect(created?.status).toBe(201);
    const [deal] = await own.sql<{ token: string }[]>`select token from deal where payment_id = ${created?.json.id}`;
    expect(deal?.token).toBe(changed);
  });
});
