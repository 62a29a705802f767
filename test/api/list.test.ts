import { beforeAll, describe, expect, test } from 'vitest';
import { type Json, type Marketplace, openMarketplace } from './marketplace.ts';

let shop: Marketplace;
/** Newest first: two products, a subscription to the wallet, two products. */
let payments: Json[];
beforeAll(async () => {
  shop = await openMarketplace();
  payments = [];
  for (const fields of [{}, {}, { payment_group: 'listing_or_subscription', wallet_id: shop.walletId }, {}, {}]) {
    payments.unshift(await shop.createPayment(fields));
  }
  for (const { id } of payments) await shop.untilStatus(id, 'awaiting_deposit');
});

async function list(query: Record<string, string> = {}, market = shop) {
  const { status, json } = await market.get(`/payments?${new URLSearchParams({ node_id: market.nodeId, ...query })}`);
  return { status, json, ids: json.items?.map((item: Json) => item.id) };
}

const idsOf = (chosen: readonly Json[]) => chosen.map(({ id }) => id);

describe('GET /api/v1/payments: filters', () => {
  test('one at a time', async () => {
    const subscription = idsOf([payments[2]]);
    expect((await list({ payment_group: 'listing_or_subscription' })).ids).toEqual(subscription);
    expect((await list({ wallet_id: shop.walletId })).ids).toEqual(subscription);
    expect((await list({ external_id: payments[2].external_id })).ids).toEqual(subscription);
    expect((await list({ network_id: shop.networkId, payment_method: 'web3' })).ids).toEqual(idsOf(payments));
    expect((await list({ status: 'awaiting_deposit' })).ids).toEqual(idsOf(payments));
    for (const nothing of [
      { status: 'funded' },
      { payment_method: 'credit_card' },
      { network_id: crypto.randomUUID() },
      { wallet_id: crypto.randomUUID() },
      { external_id: 'nobody' },
    ]) {
      expect((await list(nothing)).json).toMatchObject({ items: [], page: 1, per_page: 10, total: 0 });
    }
  });

  test('by when a payment was created: from then on, before then', async () => {
    const [created_from, created_to] = [payments[3].created_at, payments[1].created_at];
    const { ids, json } = await list({ created_from, created_to });
    expect(ids).toEqual(idsOf(payments.slice(2, 4)));
    expect(json.total).toBe(2);
    expect((await list({ created_from: '2100-01-01T00:00:00Z' })).json.total).toBe(0);
    expect((await list({ created_to: '2100-01-01T02:00:00+02:00' })).json.total).toBe(5);
  });

  test('together, all must hold', async () => {
    const { ids, json } = await list({
      status: 'awaiting_deposit',
      payment_group: 'product',
      created_from: payments[3].created_at,
    });
    expect(ids).toEqual(idsOf([payments[0], payments[1], payments[3]]));
    expect(json.total).toBe(3);
  });

  test("an external id that is another node's finds nothing", async () => {
    const other = await openMarketplace();
    expect((await list({ external_id: payments[0].external_id }, other)).json.total).toBe(0);
  });
});

describe('GET /api/v1/payments: pages', () => {
  test('by number, with the total beside each', async () => {
    const pages = await Promise.all(['1', '2', '3', '4'].map((page) => list({ page, per_page: '2' })));
    expect(pages.flatMap(({ ids }) => ids)).toEqual(idsOf(payments));
    expect(pages.map(({ json }) => json.total)).toEqual([5, 5, 5, 5]);
    expect((await list({ page: '1000000', per_page: '100' })).json).toMatchObject({ items: [], total: 5 });
  });

  test('after a payment, whatever comes in front meanwhile', async () => {
    const market = await openMarketplace();
    const known: string[] = [];
    for (let count = 0; count < 5; count += 1) known.unshift((await market.createPayment()).id);
    const first = await list({ per_page: '2' }, market);
    await market.createPayment();
    const second = await list({ per_page: '2', after: first.ids.at(-1) }, market);
    const third = await list({ per_page: '2', after: second.ids.at(-1) }, market);
    expect([...first.ids, ...second.ids, ...third.ids]).toEqual(known);
    expect((await list({ after: third.ids.at(-1) }, market)).json).toMatchObject({ items: [], total: 6 });
  });

  test('created in the same moment, each is on one page', async () => {
    const market = await openMarketplace();
    const created = await Promise.all(Array.from({ length: 12 }, () => market.createPayment()));
    let after: string | undefined;
    const seen: string[] = [];
    do {
      const { ids } = await list({ per_page: '5', ...(after !== undefined && { after }) }, market);
      seen.push(...ids);
      after = ids.at(-1);
    } while (after !== undefined);
    expect(seen.toSorted()).toEqual(idsOf(created).toSorted());
  });

  test('the total is what the node has, however its payments came, and no other node’s', async () => {
    const market = await openMarketplace();
    await Promise.all(Array.from({ length: 30 }, () => market.createPayment()));
    await market.post('/payments', market.paymentBody({ price: 0 }));
    expect((await list({}, market)).json.total).toBe(30);
    expect(await market.countPayments()).toBe(30);
  });
});

describe('GET /api/v1/payments: bad queries', () => {
  test.each([
    [{ status: 'paid' }, '/status'],
    [{ payment_method: 'cash' }, '/payment_method'],
    [{ payment_group: 'gift' }, '/payment_group'],
    [{ created_from: 'yesterday' }, '/created_from'],
    [{ created_from: '2026-01-02T00:00:00Z', created_to: '2026-01-01T00:00:00Z' }, '/created_to'],
    [{ external_id: '' }, '/external_id'],
    [{ external_id: 'a\0b' }, '/external_id'],
    [{ external_id: 'x'.repeat(256) }, '/external_id'],
    [{ after: 'last' }, '/after'],
    [{ after: crypto.randomUUID() }, '/after'],
    [{ after: crypto.randomUUID(), page: '2' }, '/page'],
    [{ statuss: 'funded' }, '/statuss'],
    [{ per_page: '1e9' }, '/per_page'],
  ])('400: %j', async (query, pointer) => {
    const { status, json } = await list(query as Record<string, string>);
    expect([status, json.code]).toEqual([400, 'invalid_request']);
    expect(json.errors.map((fault: Json) => fault.pointer)).toContain(pointer);
  });

  test("400: after another node's payment", async () => {
    const other = await openMarketplace();
    const foreign = await other.createPayment();
    expect((await list({ after: foreign.id })).status).toBe(400);
  });
});

describe('metadata', () => {
  test.each([
    ['an emoji, its escape and a combining mark', '{"a":"👩‍🚀","b":"\\ud83d\\ude80","c":"e\u0301"}'],
    ['keys in their order, twice the same, odd white space', '{ "z":1,\t"a" : 2 ,\r\n"z":3 }  '],
    ['numbers as they were written', '{"x":1.10,"y":1e2,"z":12345678901234567890}'],
    ['quotes, backslashes, control characters', '"\\"\\\\\u0001\u001f\u007f\u2028\ufeff'],
    ['no JSON at all', 'plain text, 100 % <b>'],
    ['nothing', ''],
    ['as much as is taken', '€'.repeat(16_384)],
  ])('comes back byte for byte: %s', async (_what, metadata) => {
    const created = await shop.createPayment({ metadata });
    expect(created.metadata).toBe(metadata);
    expect((await shop.get(`/payments/${created.id}`)).json.metadata).toBe(metadata);
    expect((await list({ external_id: created.external_id })).json.items[0].metadata).toBe(metadata);
  });

  test.each([
    ['a NUL', '"a\\u0000b"'],
    ['half a surrogate pair, which UTF-8 cannot carry', '"a\\ud83d"'],
    ['a character too many', JSON.stringify('x'.repeat(16_385))],
  ])('400: %s', async (_what, text) => {
    const body = JSON.stringify(shop.paymentBody({ metadata: '@' })).replace('"@"', () => text);
    const { status, json } = await shop.post('/payments', body);
    expect(status).toBe(400);
    expect(json.errors[0].pointer).toBe('/metadata');
  });
});
