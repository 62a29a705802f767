// What a buyer asks back from the checkout, and how the integration learns of it and answers.
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { openWallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, parseTerms, termsOf } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
  return () => market.close();
});

/** A funded payment of 10, and what its buyer can say with its access token. */
async function fund(fields: Record<string, unknown> = {}) {
  const [buyer, seller, arbiter] = await Promise.all([0, 1, 2].map(() => openWallet(inject('stack'))));
  if (!buyer || !seller || !arbiter) throw new Error('No wallets.');
  const { payment, widget } = await market.payable({
    ...{ price: 10, paid_price: 10, payment_address: seller.address, deal: { arbiter: arbiter.address } },
    ...fields,
  });
  const { terms } = await buyer.deposit(termsOf(widget));
  await market.untilStatus(payment.id, 'funded');
  const path = `/widget/payments/${payment.id}/refund-requests`;
  const ask = (body?: unknown) => market.post(path, body, payment.access_token);
  const withdraw = (id: string) => market.post(`${path}/${id}/withdraw`, undefined, payment.access_token);
  return { payment, terms, buyer, seller, path, ask, withdraw };
}

const read = async (payment: Json) => (await market.get(`/payments/${payment.id}`)).json.deal.refund_request;
const seen = async (payment: Json) =>
  (await market.get(`/widget/payments/${payment.id}`, payment.access_token)).json.legs[0].refund_request;
const events = async (payment: Json) =>
  (await market.get(`/payments/${payment.id}/logs?per_page=50`)).json.items
    .filter(({ event_type }: Json) => event_type.startsWith('payment.refund_request'))
    .map(({ event_type, actor_type, message }: Json) => ({ event_type, actor_type, message }))
    .reverse();

/** Eight who ask at once. */
const crowd = <T>(ask: () => Promise<T>) => Promise.all(Array.from({ length: 8 }, ask));

describe('POST /api/v1/widget/payments/{id}/refund-requests', () => {
  test('without a body asks for everything that is held; payment, widget, list and events say so, and nothing moves', async () => {
    const { payment, ask } = await fund();
    const { status, json } = await ask();
    expect(status).toBe(201);
    expect(json).toMatchObject({
      ...{ payment_id: payment.id, external_id: payment.external_id, leg: 0, status: 'open' },
      ...{ amount: 10, amount_units: '10000000', currency: 'USDC', reason: null, decline_reason: null },
    });
    expect([await read(payment), await seen(payment)]).toEqual([json, json]);
    const list = await market.get(`/refund-requests?node_id=${market.nodeId}&payment_id=${payment.id}&status=open`);
    expect(list.json).toEqual({ items: [json], page: 1, per_page: 10, total: 1 });
    expect(await events(payment)).toEqual([
      {
        event_type: 'payment.refund_requested',
        actor_type: 'payer',
        message: 'The buyer asks for a refund of 10 USDC.',
      },
    ]);
    const told = async () =>
      (await market.get(`/events?payment_id=${payment.id}&type=payment.refund_requested`)).json.items.length;
    await expect.poll(told, { timeout: 20_000 }).toBe(1);
    expect((await market.get(`/payments/${payment.id}`)).json).toMatchObject({
      status: 'funded',
      deal: { refunded_units: '0' },
    });
    expect((await market.get(`/payments/${payment.id}/operations`)).json.total).toBe(0);
  });

  test('with a part and a reason, which the log and the events do not repeat', async () => {
    const { payment, ask } = await fund();
    const reason = 'Half of it arrived broken. 💔';
    const { json } = await ask({ leg: 0, amount_units: '2500000', reason: `  ${reason}\n` });
    expect(json).toMatchObject({ amount: 2.5, amount_units: '2500000', reason });
    expect(JSON.stringify(await events(payment))).not.toContain('broken');
  });

  test('the same again, and eight times at once, is one request; another one meanwhile is 409', async () => {
    const { payment, ask } = await fund();
    const body = { amount_units: '1', reason: 'No.' };
    const answers = await crowd(() => ask(body));
    expect(new Set(answers.map(({ status, json }) => `${status} ${json.id}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
    const other = await ask({ amount_units: '2', reason: 'No.' });
    expect([other.status, other.json.code]).toEqual([409, 'conflict']);
    expect(await events(payment)).toHaveLength(1);
  });

  test('400: every wrong field is named, and nothing is written', async () => {
    const { payment, ask } = await fund();
    const wrong: [unknown, string[]][] = [
      [{ leg: -1, amount_units: '-1', reason: '' }, ['/leg', '/amount_units', '/reason']],
      [{ amount_units: 5, reason: 'a\0b' }, ['/amount_units', '/reason']],
      [{ amount_units: '1.5', extra: 1 }, ['/amount_units', '/extra']],
      [{ reason: ' \n ' }, ['/reason']],
      [{ reason: 'x'.repeat(1_001) }, ['/reason']],
      [{ reason: '\ud800' }, ['/reason']],
      [{ amount_units: '0' }, ['/amount_units']],
      [{ amount_units: '10000001' }, ['/amount_units']],
      [{ amount_units: '9'.repeat(78) }, ['/amount_units']],
      ['[]', ['/']],
    ];
    for (const [body, pointers] of wrong) {
      const { status, json } = await ask(body);
      expect([status, json.errors?.map(({ pointer }: Json) => pointer)], JSON.stringify(body)).toEqual([400, pointers]);
    }
    expect(await read(payment)).toBeNull();
    expect(await events(payment)).toEqual([]);
  });

  test('404: no such leg · 401: no token, an integration’s, another payment’s, or one that was replaced', async () => {
    const { payment, path, ask } = await fund();
    expect((await ask({ leg: 1 })).status).toBe(404);
    const other = await market.createPayment();
    for (const token of [null, market.token, other.access_token, `${payment.access_token}x`]) {
      expect((await market.post(path, {}, token)).status).toBe(401);
    }
    await market.post(`/payments/${payment.id}/access-token/rotate`);
    expect((await ask()).status).toBe(401);
    expect(await read(payment)).toBeNull();
  });

  test('409: nothing is held yet, or any more, or a dispute decides', async () => {
    const { payment: unpaid } = await market.payable();
    const early = await market.post(`/widget/payments/${unpaid.id}/refund-requests`, {}, unpaid.access_token);
    expect([early.status, early.json.code]).toEqual([409, 'illegal_transition']);
    const released = await fund();
    await market.ask(released.payment.id, 'release');
    await market.untilStatus(released.payment.id, 'released');
    expect((await released.ask()).status).toBe(409);
    const disputed = await fund();
    const { operation } = (await market.post(`/payments/${disputed.payment.id}/dispute`, { as: 'payer' })).json;
    const { to, data } = operation.call;
    await disputed.buyer.mined(await disputed.buyer.client.sendTransaction({ to, data }));
    await market.untilStatus(disputed.payment.id, 'disputed');
    expect((await disputed.ask()).json.detail).toContain('arbiter');
  });

  test('400 without a leg where there are several; each has a request of its own', async () => {
    const sellers = await Promise.all([0, 1].map(() => openWallet(inject('stack'))));
    const legs = sellers.map((seller) => ({ payment_address: seller?.address, paid_price: 5 }));
    const { payment, widget } = await market.payable({ price: 10, paid_price: 10, legs });
    const buyer = await openWallet(inject('stack'));
    for (const terms of widget.contract.arguments[0]) await buyer.deposit(parseTerms(terms));
    await market.untilStatus(payment.id, 'funded');
    const ask = (body: unknown) =>
      market.post(`/widget/payments/${payment.id}/refund-requests`, body, payment.access_token);
    const none = await ask({});
    expect([none.status, none.json.errors[0].pointer]).toEqual([400, '/leg']);
    expect((await ask({ leg: 1 })).json).toMatchObject({ leg: 1, amount_units: '5000000' });
    expect((await ask({ leg: 0, amount_units: '1' })).status).toBe(201);
    const { json } = await market.get(`/payments/${payment.id}`);
    expect(json.legs.map((leg: Json) => leg.refund_request.amount_units)).toEqual(['1', '5000000']);
  });

  test('429 after ten', async () => {
    const { ask, withdraw } = await fund();
    for (let count = 0; count < 10; count += 1) {
      const { json } = await ask({ amount_units: `${count + 1}` });
      expect((await withdraw(json.id)).status).toBe(200);
    }
    expect((await ask()).status).toBe(429);
  });
});

describe('POST …/refund-requests/{request_id}/withdraw', () => {
  test('ends it, once; the buyer may ask again', async () => {
    const { payment, ask, withdraw } = await fund();
    const { json } = await ask({ reason: 'Too late.' });
    const answers = await crowd(() => withdraw(json.id));
    expect(answers.map(({ status, json: { status: standing } }) => [status, standing])).toEqual(
      answers.map(() => [200, 'withdrawn']),
    );
    expect((await read(payment)).withdrawn_at).not.toBeNull();
    expect((await events(payment)).map(({ event_type }: Json) => event_type)).toEqual([
      'payment.refund_requested',
      'payment.refund_request_withdrawn',
    ]);
    const again = await ask({ reason: 'Too late.' });
    expect([again.status, again.json.id === json.id]).toEqual([201, false]);
  });

  test('404 for another payment’s, with one’s own token', async () => {
    const [one, other] = [await fund(), await fund()];
    const { json } = await one.ask();
    expect((await other.withdraw(json.id)).status).toBe(404);
    expect((await market.post(`${one.path}/${json.id}/withdraw`, undefined, other.payment.access_token)).status).toBe(
      401,
    );
    expect((await read(one.payment)).status).toBe('open');
  });
});

describe('POST /api/v1/refund-requests/{id}/decline', () => {
  test('tells the buyer why; the same again answers the same, and an answered one is over', async () => {
    const { payment, ask, withdraw } = await fund();
    const { json } = await ask();
    const reason = 'It was handed over on Monday.';
    const declined = await market.post(`/refund-requests/${json.id}/decline`, { reason });
    expect([declined.status, declined.json]).toMatchObject([200, { status: 'declined', decline_reason: reason }]);
    expect(await seen(payment)).toEqual(declined.json);
    expect((await market.post(`/refund-requests/${json.id}/decline`, { reason })).json).toEqual(declined.json);
    expect((await market.post(`/refund-requests/${json.id}/decline`, { reason: 'Another.' })).status).toBe(409);
    expect((await withdraw(json.id)).status).toBe(409);
    expect((await events(payment)).at(-1)).toMatchObject({
      event_type: 'payment.refund_request_declined',
      actor_type: 'integration',
    });
  });

  test('400 without a reason · 404 for who may not see the payment, and 403 without the scope', async () => {
    const { payment, ask } = await fund();
    const { json } = await ask();
    const path = `/refund-requests/${json.id}/decline`;
    expect((await market.post(path, {})).json.errors[0].pointer).toBe('/reason');
    expect((await market.post(path, { reason: '\n' })).status).toBe(400);
    const child = await market.openChildIntegration();
    expect((await market.post(path, { reason: 'No.' }, child.token)).status).toBe(404);
    expect((await market.get(`/refund-requests?node_id=${market.nodeId}`, child.token)).status).toBe(404);
    const narrow = await market.tokensOf.issueIntegrationToken(market.integrationId, ['payments:read']);
    expect((await market.post(path, { reason: 'No.' }, narrow)).status).toBe(403);
    expect((await market.post(path, { reason: 'No.' }, payment.access_token)).status).toBe(401);
    expect((await read(payment)).status).toBe('open');
  });
});

describe('a request ends by what becomes of the money', () => {
  test('granted, when as much has gone back, in parts too', async () => {
    const { payment, ask } = await fund();
    await ask({ amount_units: '6000000' });
    const refund = async (amount: number, total: string) => {
      await market.post(`/payments/${payment.id}/refund`, { amount });
      const refunded = async () => (await market.get(`/payments/${payment.id}`)).json.deal.refunded_units;
      await expect.poll(refunded, { timeout: 20_000 }).toBe(total);
    };
    await refund(2, '2000000');
    expect((await read(payment)).status).toBe('open');
    await refund(4, '6000000');
    expect((await read(payment)).status).toBe('granted');
    expect((await ask()).json).toMatchObject({ status: 'open', amount_units: '4000000' });
    await market.ask(payment.id, 'refund');
    await market.untilStatus(payment.id, 'refunded');
    expect((await read(payment)).status).toBe('granted');
  });

  test('over, when it was released instead', async () => {
    const { payment, ask, withdraw } = await fund();
    const { json } = await ask();
    await market.ask(payment.id, 'release');
    await market.untilStatus(payment.id, 'released');
    expect((await read(payment)).status).toBe('over');
    expect((await withdraw(json.id)).status).toBe(409);
    expect((await market.post(`/refund-requests/${json.id}/decline`, { reason: 'No.' })).status).toBe(409);
  });
});
