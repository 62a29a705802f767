import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Json } from '../marketplace.ts';
import { openShop, refusalOf, type Seller, type Shop } from './shop.ts';

let shop: Shop;
let other: Shop;
let sellers: [Seller, Seller];
beforeAll(async () => {
  shop = await openShop();
  other = await openShop();
  sellers = [await shop.addSeller(), await shop.addSeller()];
});
afterAll(() => Promise.all([shop.close(), other.close()]));

/** The order as it was, and the refusal of a split of it; nothing may be written. */
async function refusal(splitsOf: (order: Json) => Json[]): Promise<unknown[]> {
  const order = await shop.createOrder();
  const before = await shop.countRows();
  const answer = await shop.split(order, splitsOf(order));
  expect(await shop.countRows()).toBe(before);
  expect((await shop.readOrder(order.orderId)).orderSplits).toEqual([]);
  return refusalOf(answer);
}

describe('POST /orders/v1/order-splits', () => {
  test('200 with {}: each line is a seller’s part and its fee; another split takes its place', async () => {
    const order = await shop.createOrder();
    const lines = [shop.splitOf(sellers[0], 40.5, 4.05), shop.splitOf(sellers[1], 23.5, 0, { model: '1P' })];
    const first = await shop.split(order, [shop.splitOf(sellers[0], 64, 6.4)]);
    expect([first.status, first.json]).toEqual([200, {}]);
    expect((await shop.split(order, lines)).status).toBe(200);
    const { orderSplits } = await shop.readOrder(order.orderId);
    expect(orderSplits).toEqual([
      { splits: lines.map((line) => ({ ...line, splitProducerFeeAmount: line.fee, isCashed: false })) },
    ]);
  });

  test('400: above the order’s amount, and below', async () => {
    expect(await refusal(() => [shop.splitOf(sellers[0], 40, 4), shop.splitOf(sellers[1], 24.000001, 0)])).toEqual([
      400,
      'invalid_request',
      "/splits sum to 64.000001, but the order's amount is 64",
    ]);
    expect(await refusal(() => [shop.splitOf(sellers[0], 40, 4)])).toContain(
      "/splits sum to 40, but the order's amount is 64",
    );
  });

  test('400: each line that is wrong is named', async () => {
    const theirs = await other.addSeller();
    const [status, code, ...faults] = await refusal(() => [
      shop.splitOf(theirs, 1, 0),
      shop.splitOf(sellers[0], 10, 10.01),
      shop.splitOf(sellers[0], 10, 1, { currencyCode: 'CHF' }),
      shop.splitOf(sellers[1], 0, 0),
    ]);
    expect([status, code]).toEqual([400, 'invalid_request']);
    expect(faults).toEqual([
      '/splits/0/sellerId is not a seller of the merchant',
      "/splits/1/fee is more than the split's amount",
      "/splits/2/currencyCode is not the order's, EUR",
      '/splits/2/sellerId has a split already',
      '/splits/3/amount must be greater than 0',
      "/splits sum to 21, but the order's amount is 64",
    ]);
  });

  test('400: a seller of a node below the merchant’s', async () => {
    const name = crypto.randomUUID();
    const node_id = await shop.market.openChild();
    const below = await shop.market.post('/parties', { node_id, kind: 'firm', external_ids: { orders: name } });
    const { id: partyId, seller_id: sellerId } = below.json;
    expect(await refusal(() => [shop.splitOf({ sellerId, partyId, address: '0x' }, 64, 0)])).toContain(
      '/splits/0/sellerId is not a seller of the merchant',
    );
  });

  test.each([
    ['negative', -64, '/splits/0/amount must not be negative'],
    ['huge', 1e40, '/splits/0/amount is more than a deal can hold'],
    ['too fine', 63.9999999, '/splits/0/amount has more than 6 decimals'],
  ])('400: a %s amount', async (_what, amount, fault) => {
    expect(await refusal(() => [shop.splitOf(sellers[0], amount, 0)])).toContain(fault);
  });

  test('400: not the dialect’s words', async () => {
    const line = shop.splitOf(sellers[0], 64, 0, { amountType: 'GIFT', feeType: 'TAX', model: '2P', sellerId: 1.5 });
    const [status, , ...faults] = await refusal(() => [line]);
    expect([status, faults.map((fault) => String(fault).split(' ')[0])]).toEqual([
      400,
      ['/splits/0/sellerId', '/splits/0/amountType', '/splits/0/feeType', '/splits/0/model'],
    ]);
    expect((await refusal(() => []))[0]).toBe(400);
    expect((await refusal(() => Array.from({ length: 33 }, () => shop.splitOf(sellers[0], 1, 0))))[0]).toBe(400);
  });

  test('400: a seller who cannot be paid, a fee that nobody could get', async () => {
    const poor = await shop.addSeller({ wallet: null });
    expect(await refusal(() => [shop.splitOf(poor, 64, 0)])).toEqual([
      400,
      'invalid_request',
      '/splits/0/sellerId has no wallet to be paid at: add it to its party as a payout instrument',
    ]);
    const policy = { fee_bps: 0 };
    await other.market.call('PATCH', `/nodes/${other.market.nodeId}`, { body: { policy } });
    const seller = await other.addSeller();
    const order = await other.createOrder();
    expect(refusalOf(await other.split(order, [other.splitOf(seller, 64, 1)]))).toEqual([
      400,
      'invalid_request',
      "/splits/0/fee needs a fee_recipient in the deal policy of the merchant's node",
    ]);
    expect((await other.split(order, [other.splitOf(seller, 64, 0)])).status).toBe(200);
  });

  test('409 once a PAYMENT has frozen the terms', async () => {
    const order = await shop.createOrder();
    await shop.split(order, [shop.splitOf(sellers[0], 64, 4)]);
    await shop.pay(order);
    const answer = await shop.split(order, [shop.splitOf(sellers[1], 64, 4)]);
    expect([answer.status, answer.json.code]).toEqual([409, 'illegal_transition']);
    expect((await shop.readOrder(order.orderId)).orderSplits[0].splits[0].sellerId).toBe(sellers[0].sellerId);
  });

  test('404: another merchant’s order', async () => {
    const order = await shop.createOrder();
    const theirs = await other.split(order, [other.splitOf(await other.addSeller(), 64, 0)]);
    expect([theirs.status, theirs.json.detail]).toEqual([404, 'The order does not exist.']);
  });
});
