// What payments on rails need and answer beside the provider's own behaviour: no chain, the payer's next attempt, dry runs.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CARDS, openTill, type Till } from '../support/till.ts';
import type { Json } from './marketplace.ts';

let till: Till;
beforeAll(async () => {
  till = await openTill();
});
afterAll(() => till.stop());

/** A body without anything of a chain. */
const fiatBody = (fields: Json = {}) => {
  const { network_id, payment_address, ...body } = till.paymentBody({
    payment_method: 'credit_card',
    currency_id: till.euroId,
  });
  return { ...body, ...fields };
};
const pointers = ({ json }: { json: Json }) => json.errors.map(({ pointer }: Json) => pointer);

describe('a payment without a chain', () => {
  test('needs no network and no address, and goes the whole way', async () => {
    const created = await till.post('/payments', fiatBody());
    expect([created.status, created.json.network_id, created.json.payment_address]).toEqual([201, null, null]);
    expect(created.json.deal).toMatchObject({ payee: null, proof: null });
    const payment = await till.until(created.json.id, 'open', ({ rail }) => rail.page_url !== null);
    const widget = (await till.get(`/widget/payments/${payment.id}`, payment.access_token)).json;
    expect(widget).toMatchObject({ network_id: null, diamond_address: null, token_address: null, contract: null });
    await till.typeCard(payment, CARDS.succeeds);
    await till.untilStatus(payment.id, 'funded');
    await till.post(`/payments/${payment.id}/release`);
    await till.untilStatus(payment.id, 'released');
    const payee = (await till.get(`/accounts?node_id=${till.nodeId}&owner=${till.nodeId}&type=payee`)).json.items;
    expect(payee).toMatchObject([{ held_by: 'sandbox', balance_units: '2525' }]);
    const listed = (await till.get(`/payments?node_id=${till.nodeId}&per_page=100`)).json.items;
    expect(listed.map(({ id }: Json) => id)).toContain(payment.id);
    expect((await till.get(`/payments/${payment.id}/operations`)).json.items).toMatchObject([{ verb: 'release' }]);
  });

  test('pays several payees by the names of its legs, and names the leg that has none', async () => {
    const legs = [
      { external_id: 'seller-1', paid_price: 10 },
      { external_id: 'seller-2', paid_price: 15.5 },
    ];
    const { json } = await till.post('/payments', fiatBody({ legs }));
    const payment = await till.until(json.id, 'open', ({ rail }) => rail.page_url !== null);
    await till.typeCard(payment, CARDS.succeeds);
    await till.untilStatus(payment.id, 'funded');
    await till.post(`/payments/${payment.id}/release`, { leg: 1 });
    const sellers = (await till.get(`/accounts?node_id=${till.nodeId}&owner=seller-2`)).json.items;
    expect(sellers).toMatchObject([{ type: 'payee', held_by: 'sandbox' }]);
    const nameless = fiatBody({ legs: [{ paid_price: 25.5 }] });
    expect(pointers(await till.post('/payments', nameless))).toEqual(['/legs/0/external_id']);
  });

  test('on chain both are required, and named with whatever else is wrong', async () => {
    const web3 = fiatBody({ payment_method: 'web3', currency_id: till.currencies.USDC, price: 'x' });
    const refused = await till.post('/payments', web3);
    expect(refused.status).toBe(400);
    expect(pointers(refused).sort()).toEqual(['/network_id', '/payment_address', '/price']);
    const shares = { ...till.paymentBody(), legs: [{ external_id: 'seller-1', paid_price: 25.5 }] };
    expect(pointers(await till.post('/payments', shares))).toEqual(['/legs/0/payment_address']);
    const wallet = fiatBody({ wallet_id: till.walletId, chain_id: till.chainId });
    expect(pointers(await till.post('/payments', wallet)).sort()).toEqual(['/chain_id', '/wallet_id']);
    for (const wrong of [{ network_id: crypto.randomUUID() }, { payment_address: '0x1' }]) {
      expect([400, 404]).toContain((await till.post('/payments', fiatBody(wrong))).status);
    }
  });

  test('leads its payer back only to where its node allows', async () => {
    const url = 'https://shop.example/orders/{payment_id}';
    expect(pointers(await till.post('/payments', fiatBody({ return_url: url })))).toEqual(['/return_url']);
    const origins = { return_origins: ['https://shop.example'] };
    expect((await till.call('PATCH', `/nodes/${till.nodeId}`, { body: origins })).status).toBe(200);
    const { json } = await till.post('/payments', fiatBody({ return_url: url }));
    expect(json.return_url).toBe(`https://shop.example/orders/${json.id}`);
    const payment = await till.until(json.id, 'open', ({ rail }) => rail.page_url !== null);
    expect(payment.rail.returns).toBe(true);
    expect(await (await fetch(payment.rail.page_url)).text()).toContain(`href="${json.return_url}"`);
    for (const wrong of ['javascript:alert(1)', 'https://shop.example.evil/', 'nowhere', 7]) {
      expect(pointers(await till.post('/payments', fiatBody({ return_url: wrong })))).toEqual(['/return_url']);
    }
  });
});

describe('POST /api/v1/widget/payments/{id}/attempts', () => {
  const again = (payment: Json, body: Json, token = payment.access_token) =>
    till.post(`/widget/payments/${payment.id}/attempts`, body, token);
  const decline = async (payment: Json) => {
    await till.typeCard(payment, CARDS.declined);
    return await till.untilStatus(payment.id, 'failed');
  };

  test('opens the next attempt once, however often it is asked, and charges once', async () => {
    const payment = await till.open('credit_card');
    const failed = await decline(payment);
    expect(failed.rail).toMatchObject({ attempt: 1, can_retry: true });
    const answers = await Promise.all([1, 2, 3].map(() => again(payment, { after: 1 })));
    expect(answers.map(({ status, json }) => [status, json.rail.attempt])).toEqual([
      [200, 2],
      [200, 2],
      [200, 2],
    ]);
    const open = await till.until(payment.id, 'open again', ({ rail }) => rail.page_url !== null);
    expect((await till.typeCard(payment, CARDS.succeeds)).status).toBe(409);
    await till.typeCard(open, CARDS.succeeds);
    await till.untilStatus(payment.id, 'funded');
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, escrow: 2550 });
    expect((await again(payment, { after: 2 })).json.code).toBe('not_retryable');
    expect((await till.logs(payment.id)).filter(({ actor_type }) => actor_type === 'payer')).toHaveLength(1);
  });

  test('is refused while nothing has failed, after ten attempts, and to any other token', async () => {
    const payment = await till.open('credit_card');
    expect((await again(payment, { after: 1 })).json.code).toBe('not_retryable');
    const other = await till.open('credit_card');
    expect((await again(payment, { after: 1 }, other.access_token)).status).toBe(401);
    expect((await again(payment, { after: 1 }, till.token)).status).toBe(401);
    for (const body of [{}, { after: 0 }, { after: 1.5 }, { after: '1' }, { after: 1, card: '4111' }]) {
      expect((await again(payment, body)).status, JSON.stringify(body)).toBe(400);
    }
    const failed = await decline(payment);
    await till.sql`
      insert into rail_attempt (node_id, id, payment_id, execution, number, provider, amount_units, status, created_at)
      select node_id, gen_random_uuid(), payment_id, execution, n, provider, amount_units, status, created_at
      from rail_attempt, generate_series(2, 10) n where payment_id = ${failed.id}`;
    expect((await again(payment, { after: 10 })).json.code).toBe('not_retryable');
    expect((await till.get(`/payments/${payment.id}`)).json.rail.can_retry).toBe(false);
    expect((await till.post(`/payments/${payment.id}/attempts`)).status).toBe(200);
  });

  test('comes to the payer by events, like everything of a rail', async () => {
    const payment = await till.open('credit_card');
    const headers = { Authorization: `Bearer ${payment.access_token}` };
    const stopped = new AbortController();
    const url = `${till.apiUrl}/api/v1/widget/payments/${payment.id}/events`;
    const stream = await fetch(url, { headers, signal: stopped.signal });
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    let told = '';
    const until = async (text: string) => {
      while (!told.includes(text)) told += (await reader?.read())?.value ?? '';
    };
    await until('"status":"open"');
    await till.typeCard(payment, CARDS.declined);
    await until('"status":"declined"');
    await again(payment, { after: 1 });
    await until('"attempt":2,"status":"open"');
    stopped.abort();
  });
});

describe('a dry run on a rail', () => {
  const dry = async (payment: Json, verb: string, body: Json = {}) =>
    (await till.post(`/payments/${payment.id}/${verb}?dry_run=true`, body)).json;

  test('of a release shows the movement, the fee and the states that then come, to the unit', async () => {
    const payment = await till.open('credit_card');
    await till.typeCard(payment, CARDS.succeeds);
    await till.untilStatus(payment.id, 'funded');
    const preview = await dry(payment, 'release', { amount: 10 });
    expect(preview).toMatchObject({
      dry_run: true,
      payment_status: { before: 'funded', after: 'partially_released' },
      operations: [
        {
          verb: 'releasePart',
          movements: [{ from: 'sandbox', to: till.payee.toLowerCase(), token_address: null, amount_units: '991' }],
          fees: [{ token_address: null, amount: 0.09, amount_units: '9' }],
          leg_status: { before: 'funded', after: 'partially_released' },
          gas_estimate: null,
          refusal: null,
          call: null,
        },
      ],
    });
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, escrow: 2550 });
    await till.post(`/payments/${payment.id}/release`, { amount: 10 });
    await till.untilStatus(payment.id, 'partially_released');
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, escrow: 1550, payee: 991, fee: 9 });

    const refund = await dry(payment, 'refund');
    expect(refund.operations[0].movements).toMatchObject([{ from: 'sandbox', to: payment.id, amount_units: '1550' }]);
    expect(refund.payment_status).toEqual({ before: 'partially_released', after: 'partially_refunded' });
    await till.post(`/payments/${payment.id}/refund`);
    await till.untilStatus(payment.id, 'partially_refunded');
    expect(await till.balances(payment.id)).toEqual({ payer: -1000, payee: 991, fee: 9 });
    expect((await till.get(`/payments/${payment.id}/attempts`)).json.items).toHaveLength(2);
  });

  test('of a cancellation before anything came moves nothing, and closes nothing yet', async () => {
    const payment = await till.open('credit_card');
    const preview = await dry(payment, 'cancel');
    expect(preview.payment_status).toEqual({ before: 'awaiting_deposit', after: 'cancelled' });
    expect(preview.operations[0]).toMatchObject({ movements: [], fees: [], call: null });
    expect((await till.get(`/payments/${payment.id}`)).json).toMatchObject({
      status: 'awaiting_deposit',
      rail: { status: 'open' },
    });
  });

  test('of what cannot be is refused like the request itself', async () => {
    const payment = await till.open('credit_card');
    for (const verb of ['release', 'refund-excess']) {
      const body = await dry(payment, verb);
      expect([body.status, body.code], verb).toEqual([409, 'illegal_transition']);
    }
  });
});
