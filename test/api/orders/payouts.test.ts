import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { strangerAddress } from '../../support/wallet.ts';
import type { Json } from '../marketplace.ts';
import { openShop, refusalOf, type Seller, type Shop } from './shop.ts';

const WAIT_MS = 25_000;

let shop: Shop;
let other: Shop;
let feeRecipient: `0x${string}`;
beforeAll(async () => {
  [shop, other] = await Promise.all([openShop(), openShop()]);
  feeRecipient = strangerAddress();
  const policy = { fee_recipient: feeRecipient };
  const patched = await shop.market.call('PATCH', `/nodes/${shop.market.nodeId}`, { body: { policy } });
  expect(patched.status, JSON.stringify(patched.json)).toBe(200);
});
afterAll(() => Promise.all([shop.close(), other.close()]));

const name = () => `payout-${crypto.randomUUID()}`;
const paths = (seller: Seller) => ({
  orders: `/sellers/${seller.sellerId}/payout-sellers`,
  amounts: `/sellers/${seller.sellerId}/payout-seller-amounts`,
});

const ofOrders = (seller: Seller, payoutOrders: Json[], fields: Json = {}) =>
  shop.send('POST', paths(seller).orders, {
    body: {
      solutionCode: shop.solutionCode,
      reasonLabel: 'payout for April 2023',
      merchantPayoutSellerId: name(),
      currencyCode: 'EUR',
      payoutOrders,
      ...fields,
    },
  });

const ofAmount = (seller: Seller, askedAmount: number, fields: Json = {}) =>
  shop.send('POST', paths(seller).amounts, {
    body: {
      solutionCode: shop.solutionCode,
      reasonLabel: 'payout for April 2023',
      merchantPayoutSellerAmountId: name(),
      payout: { askedAmount, currencyCode: 'EUR' },
      ...fields,
    },
  });

const ofMerchant = (amount: number, fields: Json = {}) =>
  shop.send('POST', '/payout-merchants', {
    body: {
      solutionCode: shop.solutionCode,
      merchantPayoutMerchantId: name(),
      amount,
      currencyCode: 'EUR',
      ...fields,
    },
  });

/** Reads a resource until `is` says so of it. */
async function until(path: string, is: (json: Json) => boolean): Promise<Json> {
  const read = async () => (await shop.send('GET', path)).json;
  await expect.poll(async () => is(await read()), { timeout: WAIT_MS }).toBe(true);
  return await read();
}

const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString();

/** Rows of payouts: what a refused request must leave as it was. */
async function countPayouts(): Promise<number> {
  const [row] = await shop.market.sql<{ rows: number }[]>`
    select ((select count(*) from payout where node_id = ${shop.market.nodeId}) +
      (select count(*) from orders_payout where node_id = ${shop.market.nodeId}) +
      (select count(*) from surface_number where node_id = ${shop.market.nodeId} and noun like 'payout%'))::int as rows`;
  return row?.rows ?? 0;
}

/** A refusal of a payout; nothing may be written. */
async function refused(answering: () => ReturnType<typeof ofAmount>): Promise<unknown[]> {
  const before = await countPayouts();
  const answer = await answering();
  expect(await countPayouts()).toBe(before);
  return refusalOf(answer);
}

async function paidSeller(amount = 64, fee = 6.4) {
  const { order, sellers, transaction } = await shop.paidOrder([[amount, fee]]);
  return { order, transaction, seller: sellers[0] as Seller };
}

describe('POST /orders/v1/sellers/{sellerId}/payout-sellers', () => {
  test('201, PENDING, then EXECUTED: the amount arrives in the wallet; the order shows it', async () => {
    const { order, seller } = await paidSeller();
    const wanted = { merchantGlobalOrderId: order.merchantGlobalOrderId, payoutRequestedAmount: 50.000001 };
    const { status, json } = await ofOrders(seller, [wanted], { merchantPayoutSellerId: 'first' });
    expect(status, JSON.stringify(json)).toBe(201);
    expect(json).toEqual({
      payoutSellerId: expect.any(Number),
      merchantPayoutSellerId: 'first',
      solutionCode: shop.solutionCode,
      reasonLabel: 'payout for April 2023',
      executionDate: expect.stringMatching(/Z$/),
      transfers: [],
      payoutOrders: [
        { ...wanted, payoutEffectiveAmount: 50.000001, payoutResidualAmount: 7.599999, currencyCode: 'EUR' },
      ],
      payoutPayment: { paymentStatus: 'PENDING', paymentAmount: 50.000001, currencyCode: 'EUR' },
      failureReason: null,
    });
    const path = `${paths(seller).orders}/${json.payoutSellerId}`;
    const executed = await until(path, ({ payoutPayment }) => payoutPayment.paymentStatus === 'EXECUTED');
    expect(executed).toEqual({ ...json, payoutPayment: { ...json.payoutPayment, paymentStatus: 'EXECUTED' } });
    expect(await shop.market.tokenBalance(seller.address)).toBe(50_000_001n);
    const { solutionCode: _, ...shown } = executed;
    expect((await shop.readOrder(order.orderId)).payoutSellers).toEqual([shown]);
    const list = (await shop.send('GET', paths(seller).orders)).json;
    expect(list).toEqual({ pageCount: 1, payoutSellers: [executed] });
  });

  test('what is refunded before its time makes it effective for less', async () => {
    const { order, seller } = await paidSeller();
    const wanted = { merchantGlobalOrderId: order.merchantGlobalOrderId, payoutRequestedAmount: 57.6 };
    const { json } = await ofOrders(seller, [wanted], { executionDate: tomorrow() });
    const refund = shop.transactionBody(order, { type: 'REFUND', amount: 32, sellerId: seller.sellerId });
    expect((await shop.send('POST', '/transactions', { body: refund })).status).toBe(201);
    const account = `/sellers/${seller.sellerId}/accounts`;
    await until(account, ({ accounts }) => euro(accounts).currentBalance === 28.8);
    await shop.market
      .sql`update payout set execute_at = now() where node_id = ${shop.market.nodeId} and execute_at > now()`;
    const path = `${paths(seller).orders}/${json.payoutSellerId}`;
    const executed = await until(path, ({ payoutPayment }) => payoutPayment.paymentStatus === 'EXECUTED');
    expect(executed.payoutOrders[0]).toMatchObject({ payoutRequestedAmount: 57.6, payoutEffectiveAmount: 28.8 });
    expect(executed.payoutPayment.paymentAmount).toBe(28.8);
  });

  test('409: above what is available, by a unit; of two at once for the same money one is promised', async () => {
    const { order, seller } = await paidSeller();
    const wanted = { merchantGlobalOrderId: order.merchantGlobalOrderId, payoutRequestedAmount: 57.600001 };
    expect(await refused(() => ofOrders(seller, [wanted]))).toEqual([
      409,
      'conflict',
      '/payoutOrders/0/payoutRequestedAmount is 57.600001 USDC, but only 57.6 USDC can be paid out now',
    ]);
    const all = { ...wanted, payoutRequestedAmount: 57.6 };
    const answers = await Promise.all([ofOrders(seller, [all]), ofOrders(seller, [all]), ofAmount(seller, 57.6)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
  });

  test('409: an order that is not paid, and one that has no PAYMENT', async () => {
    const seller = await shop.addSeller();
    const order = await shop.createOrder();
    const wanted = { merchantGlobalOrderId: order.merchantGlobalOrderId, payoutRequestedAmount: 1 };
    expect(await refused(() => ofOrders(seller, [wanted]))).toEqual([409, 'illegal_transition']);
    await shop.split(order, [shop.splitOf(seller, 64, 0)]);
    await shop.pay(order);
    expect(await refused(() => ofOrders(seller, [wanted]))).toContain(
      '/payoutOrders/0/payoutRequestedAmount is 1 USDC, but only 0 USDC can be paid out now',
    );
  });

  test('404: another merchant’s seller and order; 400: an order without this seller, nothing, twice the same', async () => {
    const { order, seller } = await paidSeller();
    const wanted = { merchantGlobalOrderId: order.merchantGlobalOrderId, payoutRequestedAmount: 1 };
    const theirs = await other.addSeller();
    expect(await refused(() => ofOrders(theirs, [wanted]))).toEqual([404, 'not_found']);
    const foreign = await other.createOrder();
    expect(
      await refused(() => ofOrders(seller, [{ ...wanted, merchantGlobalOrderId: foreign.merchantGlobalOrderId }])),
    ).toEqual([404, 'not_found']);
    const stranger = await shop.addSeller();
    expect(await refused(() => ofOrders(stranger, [wanted]))).toContain(
      '/payoutOrders/0/merchantGlobalOrderId has no split for this seller',
    );
    expect(await refused(() => ofOrders(seller, []))).toContain(
      '/payoutOrders or transfers must name something to pay out',
    );
    expect(await refused(() => ofOrders(seller, [wanted, wanted]))).toContain(
      '/payoutOrders/1/merchantGlobalOrderId is named twice',
    );
    expect(await refused(() => ofOrders(seller, [wanted], { currencyCode: 'CHF' }))).toContain(
      '/currencyCode is not that of an order, EUR',
    );
    expect((await shop.send('GET', `${paths(theirs).orders}/1`)).status).toBe(404);
  });
});

describe('POST /orders/v1/sellers/{sellerId}/payout-seller-amounts', () => {
  test('takes the oldest first, to the unit, and says what is left', async () => {
    const first = await paidSeller(10, 1);
    const { seller } = first;
    const second = await shop.createOrder({ amount: 10 });
    await shop.split(second, [shop.splitOf(seller, 10, 1)]);
    const { status, json } = await ofAmount(seller, 8.123456, { merchantPayoutSellerAmountId: 'by amount' });
    expect(status, JSON.stringify(json)).toBe(201);
    expect(json).toEqual({
      payoutSellerAmountId: expect.any(Number),
      solutionCode: shop.solutionCode,
      reasonLabel: 'payout for April 2023',
      executionDate: expect.stringMatching(/Z$/),
      payout: { askedAmount: 8.123456, payoutAmount: 8.123456, payoutAvailableAmount: 0.876544, currencyCode: 'EUR' },
      payoutPayment: { paymentStatus: 'PENDING', paymentAmount: 8.123456, currencyCode: 'EUR' },
      merchantPayoutSellerAmountId: 'by amount',
      failureReason: null,
    });
    const path = `${paths(seller).amounts}/${json.payoutSellerAmountId}`;
    await until(path, ({ payoutPayment }) => payoutPayment.paymentStatus === 'EXECUTED');
    expect(await shop.market.tokenBalance(seller.address)).toBe(8_123_456n);
    const list = (await shop.send('GET', paths(seller).amounts)).json;
    expect(list.payoutSellerAmounts.map(({ payoutSellerAmountId: id }: Json) => id)).toEqual([
      json.payoutSellerAmountId,
    ]);
    // Of the other kind there are none.
    expect((await shop.send('GET', paths(seller).orders)).json).toEqual({ pageCount: 0, payoutSellers: [] });
  });

  test.each([
    ['nothing', 0, '/payout/askedAmount must be greater than 0'],
    ['less than nothing', -1, '/payout/askedAmount must not be negative'],
    ['too fine', 0.0000001, '/payout/askedAmount has more than 6 decimals'],
  ])('400: %s', async (_what, amount, fault) => {
    const seller = await shop.addSeller();
    expect(await refused(() => ofAmount(seller, amount))).toContain(fault);
  });

  test('400: a currency that is not the merchant’s', async () => {
    const seller = await shop.addSeller();
    const payout = { askedAmount: 1, currencyCode: 'SEK' };
    expect(String(await refused(() => ofAmount(seller, 1, { payout })))).toContain(
      '/payout/currencyCode is not a currency',
    );
  });

  test('409: a merchantPayoutSellerAmountId that is taken, be it deleted', async () => {
    const { seller } = await paidSeller();
    const fields = { merchantPayoutSellerAmountId: name(), executionDate: tomorrow() };
    const { json } = await ofAmount(seller, 1, fields);
    const taken = [
      409,
      'conflict',
      '/merchantPayoutSellerAmountId is taken by another one of this merchant, maybe deleted',
    ];
    expect(await refused(() => ofAmount(seller, 2, fields))).toEqual(taken);
    expect((await shop.send('DELETE', `${paths(seller).amounts}/${json.payoutSellerAmountId}`)).status).toBe(204);
    expect(await refused(() => ofAmount(seller, 2, fields))).toEqual(taken);
  });
});

describe('a repeated request', () => {
  test('409 under the same merchant’s id, of each kind by itself; nothing is promised twice', async () => {
    const { order, seller } = await paidSeller();
    const id = name();
    const wanted = { merchantGlobalOrderId: order.merchantGlobalOrderId, payoutRequestedAmount: 1 };
    const fields = { merchantPayoutSellerId: id, executionDate: tomorrow() };
    expect((await ofOrders(seller, [wanted], fields)).status).toBe(201);
    expect(await refused(() => ofOrders(seller, [wanted], fields))).toContain(
      '/merchantPayoutSellerId is taken by another one of this merchant, maybe deleted',
    );
    const other = { merchantPayoutSellerAmountId: id, executionDate: tomorrow() };
    expect((await ofAmount(seller, 1, other)).status).toBe(201);
    const answers = await Promise.all(
      Array.from({ length: 4 }, () =>
        ofAmount(seller, 1, { merchantPayoutSellerAmountId: 'at once', executionDate: tomorrow() }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409]);
  });

  test('with the same Idempotency-Key: the same answer, digit for digit, and one payout', async () => {
    const { seller } = await paidSeller();
    const send = () =>
      shop.send('POST', paths(seller).amounts, {
        headers: { 'Idempotency-Key': seller.partyId },
        body: {
          ...{
            solutionCode: shop.solutionCode,
            reasonLabel: 'May',
            executionDate: tomorrow().replace(/T.*/, 'T00:00:00.000Z'),
          },
          ...{ merchantPayoutSellerAmountId: seller.partyId, payout: { askedAmount: 57.599999, currencyCode: 'EUR' } },
        },
      });
    const [first, second] = [await send(), await send()];
    expect([first.status, second.status, second.json]).toEqual([201, 201, first.json]);
    expect((await shop.send('GET', paths(seller).amounts)).json.payoutSellerAmounts).toHaveLength(1);
  });
});

describe('DELETE of a payout', () => {
  test('204 while it is PENDING: its money can be promised again; 404 from then on', async () => {
    const { seller } = await paidSeller();
    const { json } = await ofAmount(seller, 57.6, { executionDate: tomorrow() });
    expect((await ofAmount(seller, 0.01)).status).toBe(409);
    const path = `${paths(seller).amounts}/${json.payoutSellerAmountId}`;
    const gone = await shop.send('DELETE', path);
    expect([gone.status, gone.json]).toEqual([204, null]);
    for (const method of ['GET', 'DELETE']) expect((await shop.send(method, path)).status).toBe(404);
    expect((await ofAmount(seller, 57.6)).status).toBe(201);
  });

  test('409 once money moved; 404 under another seller, for another merchant, and under the other kind’s path', async () => {
    const { seller } = await paidSeller();
    const { json } = await ofAmount(seller, 57.6);
    const path = `${paths(seller).amounts}/${json.payoutSellerAmountId}`;
    await until(path, ({ payoutPayment }) => payoutPayment.paymentStatus === 'EXECUTED');
    expect(refusalOf(await shop.send('DELETE', path))).toEqual([409, 'illegal_transition']);
    const stranger = await shop.addSeller();
    for (const wrong of [paths(stranger).amounts, paths(seller).orders]) {
      expect((await shop.send('DELETE', `${wrong}/${json.payoutSellerAmountId}`)).status).toBe(404);
    }
    expect((await other.send('GET', path)).status).toBe(404);
  });
});

describe('POST /orders/v1/payout-merchants', () => {
  test('withdraws fees that were earned: the escrow pays the credit out whole; above it is refused', async () => {
    const { order, seller } = await paidSeller(20, 2);
    const before = await feesOf();
    const wanted = { merchantGlobalOrderId: order.merchantGlobalOrderId, payoutRequestedAmount: 18 };
    await ofOrders(seller, [wanted]);
    await expect.poll(feesOf, { timeout: WAIT_MS }).toBeGreaterThanOrEqual(before + 2);
    const fees = await feesOf();
    const above = Number((fees + 0.01).toFixed(6));
    expect(await refused(() => ofMerchant(above))).toEqual([
      409,
      'conflict',
      `/amount is ${above} USDC, but only ${fees} USDC can be paid out now`,
    ]);
    const { status, json } = await ofMerchant(1.5, { reasonLabel: 'fees', merchantPayoutMerchantId: 'may' });
    expect(status, JSON.stringify(json)).toBe(201);
    expect(json).toEqual({
      payoutMerchantId: expect.any(Number),
      merchantPayoutMerchantId: 'may',
      solutionCode: shop.solutionCode,
      reasonLabel: 'fees',
      executionDate: expect.stringMatching(/Z$/),
      amount: 1.5,
      currencyCode: 'EUR',
      status: 'PENDING',
      effectiveAmount: 1.5,
      failureReason: null,
    });
    const path = `/payout-merchants/${json.payoutMerchantId}`;
    const executed = await until(path, (payout) => payout.status === 'EXECUTED');
    expect(executed).toEqual({ ...json, status: 'EXECUTED', effectiveAmount: fees });
    expect(await shop.market.tokenBalance(feeRecipient)).toBe(BigInt(Math.round(fees * 1e6)));
    expect(await feesOf()).toBe(0);
    expect((await shop.send('GET', '/payout-merchants')).json.payoutMerchants[0]).toEqual(executed);
    expect(refusalOf(await shop.send('DELETE', path))).toEqual([409, 'illegal_transition']);
    expect((await other.send('GET', path)).status).toBe(404);
  });
});

const euro = (accounts: Json[]) => accounts.find(({ currency }) => currency === 'EUR');

async function feesOf(): Promise<number> {
  const { json } = await shop.send('GET', '/accounts?accountType=FEES');
  return euro(json.accounts).currentBalance;
}
