import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { payCart } from '../../support/cart.ts';
import type { Json } from '../marketplace.ts';
import { openShop, refusalOf, type Shop } from './shop.ts';

let shop: Shop;
let other: Shop;
beforeAll(async () => {
  shop = await openShop();
  other = await openShop();
});
afterAll(() => Promise.all([shop.close(), other.close()]));

const item = { gtin: '7512345678915', label: 'Tea cup', quantity: 4, price: 16, currencyCode: 'EUR', amount: 64 };

describe('POST /orders/v1/orders', () => {
  test('201: an id of 32 bits; the list shows all that was sent, digit for digit', async () => {
    const body = JSON.stringify(shop.orderBody({ items: [item] })).replace('"amount":64', '"amount":64.10');
    const { status, json } = await shop.send('POST', '/orders', { body });
    expect([status, Object.keys(json)]).toEqual([201, ['orderId']]);
    expect(json.orderId).toBeLessThan(2 ** 31);
    const { merchantGlobalOrderId, merchantBuyerId } = JSON.parse(body);
    expect(await shop.readOrder(json.orderId)).toEqual({
      orderId: json.orderId,
      solutionCode: shop.solutionCode,
      merchantGlobalOrderId,
      amount: 64.1,
      currencyCode: 'EUR',
      orderType: 'PURCHASE',
      merchantBuyerId,
      registrationTimestamp: expect.stringMatching(/Z$/),
      lastUpdateTimestamp: expect.stringMatching(/Z$/),
      items: [item],
      transactions: [],
      payoutSellers: [],
      orderSplits: [],
    });
  });

  test('409: the merchantGlobalOrderId is taken, by a deleted one too; another merchant may have it', async () => {
    const order = await shop.createOrder();
    const again = () =>
      shop.send('POST', '/orders', { body: shop.orderBody({ merchantGlobalOrderId: order.merchantGlobalOrderId }) });
    const before = await shop.countRows();
    expect((await again()).json).toMatchObject({
      status: 409,
      code: 'conflict',
      errors: [{ pointer: '/merchantGlobalOrderId' }],
    });
    await shop.send('DELETE', `/orders/${order.orderId}`);
    expect((await again()).status).toBe(409);
    expect(await shop.countRows()).toBe(before);
    expect((await other.createOrder({ merchantGlobalOrderId: order.merchantGlobalOrderId })).orderId).toBeGreaterThan(
      0,
    );
  });

  test('the same Idempotency-Key again gets the same order', async () => {
    const body = shop.orderBody();
    const headers = { 'Idempotency-Key': crypto.randomUUID() };
    const answers = [
      await shop.send('POST', '/orders', { body, headers }),
      await shop.send('POST', '/orders', { body, headers }),
    ];
    expect(answers[1]?.json).toEqual(answers[0]?.json);
    expect(answers[1]?.headers.get('Idempotent-Replayed')).toBe('true');
  });

  test.each([
    ['nothing', 0, '/amount must be greater than 0'],
    ['less than nothing', -1, '/amount must not be negative'],
    ['more than a deal can hold', 1e40, '/amount is more than a deal can hold'],
    ['finer than the token', 0.0000001, '/amount has more than 6 decimals'],
  ])('400: an amount of %s', async (_what, amount, fault) => {
    const before = await shop.countRows();
    const answer = await shop.send('POST', '/orders', { body: shop.orderBody({ amount }) });
    expect(refusalOf(answer)).toEqual([400, 'invalid_request', fault]);
    expect(await shop.countRows()).toBe(before);
  });

  test.each(['NaN', 'Infinity', '"64"', '1e400', 'null', '[]', '1e99999'])('400: an amount of %s', async (amount) => {
    const before = await shop.countRows();
    const body = JSON.stringify(shop.orderBody()).replace('"amount":64', `"amount":${amount}`);
    expect((await shop.send('POST', '/orders', { body })).status).toBe(400);
    expect(await shop.countRows()).toBe(before);
  });

  test('400: every wrong field is named', async () => {
    const before = await shop.countRows();
    const answer = await shop.send('POST', '/orders', {
      body: {
        solutionCode: 'MP-1',
        merchantGlobalOrderId: '',
        amount: '1',
        currencyCode: 'USDC',
        orderType: 'GIFT',
        colour: 'red',
      },
    });
    expect(answer.json.errors.map(({ pointer }: Json) => pointer)).toEqual(
      expect.arrayContaining([
        '/solutionCode',
        '/merchantGlobalOrderId',
        '/amount',
        '/currencyCode',
        '/orderType',
        '/merchantBuyerId',
        '/colour',
      ]),
    );
    expect(await shop.countRows()).toBe(before);
  });

  test('400: a currency that the merchant has not, a token by its own name, an item in another one', async () => {
    const before = await shop.countRows();
    const post = (fields: Json) => shop.send('POST', '/orders', { body: shop.orderBody(fields) });
    expect((await post({ currencyCode: 'USD' })).json.errors).toMatchObject(
      [{ pointer: '/currencyCode', message: /is not a currency of the merchant/ }].map(({ pointer }) => ({ pointer })),
    );
    expect((await post({ currencyCode: 'USDC' })).status).toBe(400);
    expect(refusalOf(await post({ items: [item, { ...item, currencyCode: 'CHF' }] }))).toEqual([
      400,
      'invalid_request',
      "/items/1/currencyCode is not the order's, EUR",
    ]);
    expect(await shop.countRows()).toBe(before);
  });

  test('400: the solution code of another merchant', async () => {
    const answer = await shop.send('POST', '/orders', { body: shop.orderBody({ solutionCode: other.solutionCode }) });
    expect(refusalOf(answer)).toEqual([400, 'invalid_request', '/solutionCode is not subscribed to']);
  });
});

describe('PATCH /orders/v1/orders/{orderId}', () => {
  test('200: another amount voids the split; the same one, or none, does not', async () => {
    const order = await shop.createOrder();
    await shop.split(order, [shop.splitOf(await shop.addSeller(), 64, 4)]);
    const patch = (amount?: number) =>
      shop.send('PATCH', `/orders/${order.orderId}`, { body: { solutionCode: shop.solutionCode, amount } });
    for (const amount of [64, undefined])
      expect((await patch(amount)).json).toMatchObject({ amount: 64, orderSplits: [{}] });
    expect((await patch(65.15)).json).toMatchObject({ orderId: order.orderId, amount: 65.15, orderSplits: [] });
  });

  test('409 once a PAYMENT is registered, 200 again when that was deleted', async () => {
    const order = await shop.createOrder();
    await shop.split(order, [shop.splitOf(await shop.addSeller(), 64, 4)]);
    const { transactionId } = await shop.pay(order);
    const patch = () =>
      shop.send('PATCH', `/orders/${order.orderId}`, { body: { solutionCode: shop.solutionCode, amount: 65 } });
    expect((await patch()).json).toMatchObject({ status: 409, code: 'illegal_transition' });
    expect((await shop.send('DELETE', `/transactions/${transactionId}`)).status).toBe(204);
    expect((await patch()).status).toBe(200);
  });

  test('404: another merchant’s, an unknown one; 400: no such number', async () => {
    const order = await shop.createOrder();
    const theirs = { solutionCode: other.solutionCode, amount: 1 };
    expect((await other.send('PATCH', `/orders/${order.orderId}`, { body: theirs })).status).toBe(404);
    for (const orderId of ['0', '-1', '2147483648', '1e3', 'x', '9'.repeat(40)]) {
      expect((await other.send('PATCH', `/orders/${orderId}`, { body: theirs })).status, orderId).toBe(400);
    }
    expect((await shop.readOrder(order.orderId)).amount).toBe(64);
  });
});

describe('DELETE /orders/v1/orders/{orderId}', () => {
  test('204 without a body; the order is gone from the list and can be split no more', async () => {
    const order = await shop.createOrder();
    const { status, json } = await shop.send('DELETE', `/orders/${order.orderId}`);
    expect([status, json]).toEqual([204, null]);
    expect(await shop.readOrder(order.orderId)).toBeUndefined();
    expect((await shop.split(order, [shop.splitOf(await shop.addSeller(), 64, 4)])).status).toBe(404);
    expect((await shop.send('DELETE', `/orders/${order.orderId}`)).status).toBe(404);
  });

  test('204: a payment that nobody has paid is cancelled with it', async () => {
    const order = await shop.createOrder();
    await shop.split(order, [shop.splitOf(await shop.addSeller(), 64, 4)]);
    const { paymentId, transactionId } = await shop.pay(order);
    expect((await shop.send('DELETE', `/orders/${order.orderId}`)).status).toBe(204);
    await shop.market.untilStatus(paymentId, 'cancelled');
    expect((await shop.send('GET', `/transactions/${transactionId}`)).status).toBe(404);
  });

  test('a deposit that is faster than the deletion brings order and transaction back', {
    timeout: 120_000,
  }, async () => {
    // The mirror may be faster than we are; then the deletion is refused, and we try another order.
    for (let tries = 1; ; tries += 1) {
      const order = await shop.createOrder();
      await shop.split(order, [shop.splitOf(await shop.addSeller(), 64, 4)]);
      const { paymentId, accessToken } = await shop.pay(order);
      await shop.market.untilStatus(paymentId, 'awaiting_deposit');
      const widget = (await shop.market.get(`/widget/payments/${paymentId}`, accessToken)).json;
      await payCart(shop.market.stack, widget);
      const { status } = await shop.send('DELETE', `/orders/${order.orderId}`);
      if (status === 409 && tries < 10) continue;
      expect(status).toBe(204);
      await shop.market.untilStatus(paymentId, 'funded');
      expect(await shop.readOrder(order.orderId)).toMatchObject({ transactions: [{ isPaid: true, paidAmount: 64 }] });
      await shop.pay(order, { type: 'REFUND' });
      await shop.market.untilStatus(paymentId, 'refunded');
      return;
    }
  });

  test('409 once money has moved: nothing is lost', async () => {
    const { order, transaction } = await shop.paidOrder();
    const before = await shop.countRows();
    const refused = await shop.send('DELETE', `/orders/${order.orderId}`);
    expect(refused.json).toMatchObject({ status: 409, code: 'illegal_transition' });
    expect(await shop.countRows()).toBe(before);
    expect((await shop.market.get(`/payments/${transaction.paymentId}`)).json.status).toBe('funded');
    expect(await shop.readOrder(order.orderId)).toMatchObject({ transactions: [{ isPaid: true }] });
  });

  test('404: another merchant’s', async () => {
    const order = await shop.createOrder();
    expect((await other.send('DELETE', `/orders/${order.orderId}`)).status).toBe(404);
    expect(await shop.readOrder(order.orderId)).toBeDefined();
  });
});

describe('GET /orders/v1/orders', () => {
  test('200: pages by numbers in strings, newest first; only the merchant’s own', async () => {
    const own = await openShop();
    const ids = [];
    for (let made = 0; made < 3; made += 1) ids.unshift((await own.createOrder()).orderId);
    const page = async (query: string) => (await own.send('GET', `/orders${query}`)).json;
    expect((await page('')).orders.map(({ orderId }: Json) => orderId)).toEqual(ids);
    expect(await page('?page=2&pageSize=2')).toMatchObject({ pageCount: 2, orders: [{ orderId: ids[2] }] });
    expect(await page('?page=9')).toEqual({ pageCount: 1, orders: [] });
    for (const query of [
      '?page=0',
      '?page=x',
      '?page=1.5',
      '?pageSize=101',
      '?pageSize=0',
      '?page=99999999',
      '?page=',
    ]) {
      expect((await own.send('GET', `/orders${query}`)).status, query).toBe(400);
    }
    await own.close();
  });

  test('200: an empty list has no page', async () => {
    const own = await openShop();
    expect((await own.send('GET', '/orders')).json).toEqual({ pageCount: 0, orders: [] });
    await own.close();
  });

  test('200: by the day of the last update, which a payment’s change moves too', async () => {
    const own = await openShop();
    const quiet = await own.createOrder();
    const { order } = await own.paidOrder();
    const yesterday = new Date(Date.now() - 86_400_000);
    await own.market.sql`update orders_order set updated_at = ${yesterday} where node_id = ${own.market.nodeId}`;
    const on = async (day: Date) => {
      const { json } = await own.send('GET', `/orders?lastUpdateDate=${day.toISOString().slice(0, 10)}`);
      return json.orders.map(({ orderId }: Json) => orderId);
    };
    expect(await on(yesterday)).toEqual([order.orderId, quiet.orderId]);
    const { paymentId } = (await own.send('GET', '/transactions')).json.transactions[0];
    await own.market.ask(paymentId, 'release');
    await own.market.untilStatus(paymentId, 'released');
    expect(await on(yesterday)).toEqual([quiet.orderId]);
    expect(await on(new Date())).toEqual([order.orderId]);
    expect((await own.readOrder(order.orderId)).orderSplits[0].splits[0].isCashed).toBe(true);
    for (const day of ['2023-02-30', '2023-13-01', 'today', '0000-01-01', '2023-2-3']) {
      expect((await own.send('GET', `/orders?lastUpdateDate=${day}`)).status, day).toBe(400);
    }
    await own.close();
  });
});
