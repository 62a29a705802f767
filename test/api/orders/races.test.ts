import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Json } from '../marketplace.ts';
import { openShop, type Seller, type Shop } from './shop.ts';

let shop: Shop;
let sellers: Seller[];
beforeAll(async () => {
  shop = await openShop();
  sellers = await Promise.all([shop.addSeller(), shop.addSeller()]);
});
afterAll(() => shop.close());

const ROUNDS = 12;

describe('requests for one order at the same time', () => {
  test('each have an answer of the document, and what then stands fits together', { timeout: 120_000 }, async () => {
    const [one, other] = sellers as [Seller, Seller];
    const seen = new Map<number, number>();
    for (let round = 0; round < ROUNDS; round += 1) {
      const order = await shop.createOrder();
      await shop.split(order, [shop.splitOf(one, 64, 4)]);
      const body = (amount: number) => ({ solutionCode: shop.solutionCode, amount });
      const pay = () => shop.send('POST', '/transactions', { body: shop.transactionBody(order) });
      const first = await pay();
      const path = `/orders/${order.orderId}`;
      const asked = [
        () => shop.send('DELETE', `/transactions/${first.json.transactionId}`),
        () => shop.send('PATCH', path, { body: body(65) }),
        () => shop.split(order, [shop.splitOf(one, 40, 1), shop.splitOf(other, 24, 1)]),
        pay,
        pay,
        () => shop.send('POST', '/transactions', { body: shop.transactionBody(order, { type: 'REFUND' }) }),
        ...(round % 3 === 0 ? [() => shop.send('DELETE', path)] : []),
      ];
      const answers = await Promise.all(asked.map((ask) => ask()));
      for (const { status, json } of answers) {
        expect([200, 201, 204, 400, 404, 409], JSON.stringify(json)).toContain(status);
        seen.set(status, (seen.get(status) ?? 0) + 1);
      }
      const stands: Json = await shop.readOrder(order.orderId);
      if (!stands) continue;
      const splits = stands.orderSplits.flatMap(({ splits: lines }: Json) => lines);
      const sum = splits.reduce((total: number, { amount }: Json) => total + amount, 0);
      expect([0, stands.amount]).toContain(sum);
      const standing = stands.transactions.filter(({ type }: Json) => type === 'PAYMENT');
      expect(standing.length).toBeLessThanOrEqual(1);
      for (const { transactionId } of standing) {
        const { json } = await shop.send('GET', `/transactions/${transactionId}`);
        const payment = (await shop.market.get(`/payments/${json.paymentId}`)).json;
        expect(payment.paid_price).toBe(stands.amount);
        expect(payment.legs.map((leg: Json) => Number(leg.amount_units) / 1e6)).toEqual(
          splits.map(({ amount }: Json) => amount),
        );
      }
    }
    expect([...seen.keys()]).toEqual(expect.arrayContaining([204, 409]));
  });
});
