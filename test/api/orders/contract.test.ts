// The document itself: every example request of spec/002-orders.json is sent, in the order in which a marketplace would, and each field
// that its example answers show has to be in ours, of the same type. Where its examples contradict themselves, AMENDED says what
// was sent instead, and why; ids are placeholders, of which ours take the place.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { payCart } from '../../support/cart.ts';
import { type Json, testMarketplace } from '../marketplace.ts';
import { openOperations, urlOf } from '../operations.ts';
import { openShop, type Seller, type Shop } from './shop.ts';

type Example = { operation: string; request?: Json; status: number; response?: Json };

const examples: Example[] = JSON.parse(readFileSync(new URL('examples-002.json', import.meta.url), 'utf8'));

const AMENDED: Record<string, { send: Json; because: string }> = {
  'PATCH /orders/{orderId}': {
    send: { amount: 65 },
    because: 'it sends 64 and answers 65.15, while split and transaction of the same order are of 65',
  },
  'POST /order-splits': { send: { splits: [{ fee: 6.5 }] }, because: 'the fee of 65.15 is more than the amount of 65' },
  'POST /transfers': {
    send: { executionDate: '2023-04-22T06:00:00.000Z' },
    because: '`text` is not in the ISO format that the field asks for',
  },
  'POST /sellers/{sellerId}/payout-sellers': {
    send: { payoutOrders: [{ payoutRequestedAmount: 20 }] },
    because: 'it asks for 65 and pays 20 of it without a residue; 20 is what makes its sum of 85 true',
  },
  'POST /sellers/{sellerId}/payout-seller-amounts': {
    send: { payout: { askedAmount: 20 } },
    because: 'it asks for 65, pays 20, says that nothing is left, and sums to 85',
  },
};

let shop: Shop;
let seller: Seller;
const sent = new Set<string>();

beforeAll(async () => {
  shop = await openShop();
  seller = await shop.addSeller();
  // The code of the examples.
  const { market } = shop;
  await market.call('PATCH', `/nodes/${market.nodeId}`, { body: { solution_code: 'MPFRGE-S1YP' } });
  const policy = { fee_recipient: market.payee };
  await market.call('PATCH', `/nodes/${market.nodeId}`, { body: { policy } });
});
afterAll(() => shop.close());

/** Lays `over` onto a copy of `base`, field by field. */
function overlay(base: Json, over: Json): Json {
  const fields = typeof over === 'object' && over !== null && typeof base === 'object' && base !== null;
  if (!fields || (Array.isArray(over) && over.length === 0)) return over;
  const copy = Array.isArray(base) ? [...base] : { ...base };
  for (const [field, value] of Object.entries<Json>(over)) copy[field] = overlay(copy[field], value);
  return copy;
}

/** Sends an operation's example, with our ids and its amendment; checks status and shape of the answer. */
async function follow(
  operation: string,
  { ids = {}, own = {}, query = '' }: { ids?: Record<string, number>; own?: Json; query?: string } = {},
): Promise<Json> {
  const example = examples.find((one) => one.operation === operation);
  if (!example) throw new Error(`The document has no ${operation}.`);
  const [method = '', template = ''] = operation.split(' ');
  const path = template.replace(/\{(\w+)\}/g, (_all, name) => String(ids[name]));
  const body = example.request && overlay(overlay(example.request, AMENDED[operation]?.send ?? {}), own);
  const { status, json } = await shop.send(method, path + query, { body });
  expect(status, `${operation}: ${JSON.stringify(json)}`).toBe(example.status);
  if (example.response) expect(differencesOf(example.response, json, ''), operation).toEqual([]);
  else expect(json, operation).toBeNull();
  sent.add(operation);
  return json;
}

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** What a documented value has and ours has not, or of another type. */
function differencesOf(documented: Json, ours: Json, where: string): string[] {
  if (Array.isArray(documented)) {
    if (!Array.isArray(ours)) return [`${where} is no list`];
    // Of a list one has to be as the example is: a line of a transfer names no order.
    const differences = ours.map((one) => differencesOf(documented[0], one, `${where}[]`));
    return differences.sort((one, other) => one.length - other.length)[0] ?? [`${where} is empty`];
  }
  if (typeof documented === 'object') {
    if (typeof ours !== 'object' || ours === null) return [`${where} is no object`];
    return Object.entries(documented).flatMap(([field, value]) =>
      differencesOf(value, ours[field], `${where}.${field}`),
    );
  }
  if (typeof documented !== typeof ours) return [`${where} is ${typeof ours}, not ${typeof documented}`];
  if (/Id$/.test(where) && typeof ours === 'number' && !(Number.isInteger(ours) && ours > 0 && ours < 2 ** 31)) {
    return [`${where} is no int32`];
  }
  if (typeof documented === 'string' && ISO.test(documented) && !ISO.test(ours)) return [`${where} is no moment`];
  return [];
}

/** Pays a payment of the surface in the widget's stead. */
async function deposit({ paymentId, accessToken }: Json): Promise<void> {
  const { market } = shop;
  await market.untilStatus(paymentId, 'awaiting_deposit');
  const widget = (await market.get(`/widget/payments/${paymentId}`, accessToken)).json;
  await payCart(market.stack, widget);
  await market.untilStatus(paymentId, 'funded');
}

const LATER = '2100-01-01T00:00:00.000Z';

describe('spec/002-orders.json', () => {
  test('every example request is answered as documented', { timeout: 180_000 }, async () => {
    const { sellerId } = seller;
    const ofSeller = { sellerId };

    const { orderId } = await follow('POST /orders');
    await shop.send('PATCH', `/orders/${orderId}`, { body: { solutionCode: 'MPFRGE-S1YP', amount: 65 } });
    await follow('POST /order-splits', { own: { splits: [{ sellerId }] } });
    const payment = await follow('POST /transactions');
    await deposit(payment);
    const transaction = { transactionId: payment.transactionId };
    await follow('PATCH /transactions/{transactionId}', { ids: transaction });
    expect(await follow('GET /transactions/{transactionId}', { ids: transaction })).toMatchObject({
      isPaid: true,
      paidAmount: 65,
    });
    await follow('GET /transactions');

    const subscription = await follow('POST /transfers', { own: { sellerId } });
    const transfer = { transferId: subscription.transferId };
    await follow('GET /transfers/{transferId}', { ids: transfer });
    await follow('GET /transfers');
    await deposit(subscription);
    // The transfer of 65 that the example of a payout names.
    const gesture = { merchantTransferId: '1234-azerty-56789', accountingEntry: 'TRANSFER_TO_SELLER', amount: 65 };
    await deposit(await follow('POST /transfers', { own: { ...gesture, sellerId } }));

    const payout = await follow('POST /sellers/{sellerId}/payout-sellers', { ids: ofSeller });
    expect(payout.payoutPayment).toMatchObject({ paymentStatus: 'PENDING', paymentAmount: 85 });
    const named = { sellerId, payoutSellerId: payout.payoutSellerId };
    await follow('GET /sellers/{sellerId}/payout-sellers/{payoutSellerId}', { ids: named });
    await follow('GET /sellers/{sellerId}/payout-sellers', { ids: ofSeller });

    const amounts = '/sellers/{sellerId}/payout-seller-amounts';
    const byAmount = await follow(`POST ${amounts}`, { ids: ofSeller, own: { executionDate: LATER } });
    const payoutSellerAmountId = { sellerId, payoutSellerAmountId: byAmount.payoutSellerAmountId };
    await follow(`GET ${amounts}/{payoutSellerAmountId}`, { ids: payoutSellerAmountId });
    await follow(`GET ${amounts}`, { ids: ofSeller });
    await follow(`DELETE ${amounts}/{payoutSellerAmountId}`, { ids: payoutSellerAmountId });

    const merchants = await follow('POST /payout-merchants', { own: { executionDate: LATER } });
    const payoutMerchantId = { payoutMerchantId: merchants.payoutMerchantId };
    await follow('GET /payout-merchants/{payoutMerchantId}', { ids: payoutMerchantId });
    await follow('GET /payout-merchants');
    await follow('DELETE /payout-merchants/{payoutMerchantId}', { ids: payoutMerchantId });

    // The buyer's release to the seller makes the split cashed; with all of it there the lists are as the examples are.
    await expect
      .poll(async () => (await shop.readOrder(orderId)).orderSplits[0].splits[0].isCashed, { timeout: 30_000 })
      .toBe(true);
    await follow('GET /orders');
    await follow('GET /accounts', { query: '?embeddedLines=true' });
    await follow('GET /sellers/{sellerId}/accounts', { ids: ofSeller, query: '?embeddedLines=true' });

    const second = { merchantGlobalOrderId: 'second' };
    const unpaid = await follow('POST /orders', { own: second });
    await follow('PATCH /orders/{orderId}', { ids: { orderId }, own: { amount: 65 } });
    await shop.send('PATCH', `/orders/${unpaid.orderId}`, { body: { solutionCode: 'MPFRGE-S1YP', amount: 65 } });
    await follow('POST /order-splits', { own: { ...second, splits: [{ sellerId }] } });
    const waiting = await follow('POST /transactions', { own: { ...second, merchantTransactionId: 'second' } });
    await follow('DELETE /transactions/{transactionId}', { ids: { transactionId: waiting.transactionId } });
    await follow('DELETE /orders/{orderId}', { ids: { orderId: unpaid.orderId } });
    const owed = await follow('POST /transfers', { own: { sellerId, merchantTransferId: 'second' } });
    await follow('DELETE /transfers/{transferId}', { ids: { transferId: owed.transferId } });
    const planned = await shop.send('POST', `/sellers/${sellerId}/payout-sellers`, {
      body: {
        solutionCode: 'MPFRGE-S1YP',
        reasonLabel: 'later',
        executionDate: LATER,
        payoutOrders: [{ merchantGlobalOrderId: '1234-azerty-56789', payoutRequestedAmount: 1 }],
        merchantPayoutSellerId: 'second',
        currencyCode: 'EUR',
      },
    });
    await follow('DELETE /sellers/{sellerId}/payout-sellers/{payoutSellerId}', {
      ids: { sellerId, payoutSellerId: planned.json.payoutSellerId },
    });

    expect(examples.map(({ operation }) => operation).filter((operation) => !sent.has(operation))).toEqual([]);
    expect(examples).toHaveLength(28);
  });
});

describe('GET /orders/v1/openapi.json', () => {
  test('shows examples of requests that are taken, with the ids of a merchant of our own', async () => {
    const market = await testMarketplace();
    const { operations } = await openOperations(market);
    for (const [key, status] of [
      ['post /orders/v1/orders', 201],
      ['post /orders/v1/order-splits', 200],
      ['post /orders/v1/transactions', 201],
      ['patch /orders/v1/transactions/{transactionId}', 200],
      ['post /orders/v1/transfers', 201],
    ] as const) {
      const operation = operations.find((one) => one.key === key);
      if (!operation) throw new Error(`The document has no ${key}.`);
      const { method, body } = operation;
      const answer = await market.call(method, urlOf(operation), { body });
      expect(answer.status, `${key}: ${JSON.stringify(answer.json)}`).toBe(status);
    }
  });
});
