import { beforeAll, describe, expect, test } from 'vitest';
import { openWallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

async function keyed(key: string, path: string, body?: unknown, token = market.token) {
  const response = await market.app.request(`/api/v1${path}`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Idempotency-Key': key,
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const json: Json = await response.json();
  return { status: response.status, json, replayed: response.headers.get('Idempotent-Replayed') };
}

describe('Idempotency-Key', () => {
  test('the same request again gets the first answer, its access token derived anew, and creates nothing', async () => {
    const key = crypto.randomUUID();
    const body = market.paymentBody({ member: { external_id: 'm-7', name: 'Ada' }, price: 25.5 });
    const first = await keyed(key, '/payments', body);
    const count = await market.countPayments();
    await market.untilStatus(first.json.id, 'awaiting_deposit');
    const second = await keyed(key, '/payments', body);
    expect([first.status, first.replayed, second.status, second.replayed]).toEqual([201, null, 201, 'true']);
    expect(second.json).toEqual(first.json);
    expect(await market.countPayments()).toBe(count);
    const [row] = await market.sql<{ answer: Buffer }[]>`select answer from idempotent_request where key = ${key}`;
    for (const secret of ['Ada', first.json.access_token, first.json.id])
      expect(row?.answer.includes(secret)).toBe(false);
  });

  test('422: another body under the same key', async () => {
    const key = crypto.randomUUID();
    await keyed(key, '/payments', market.paymentBody());
    const { status, json } = await keyed(key, '/payments', market.paymentBody());
    expect([status, json.code]).toEqual([422, 'idempotency_mismatch']);
  });

  test('a refused request is not kept: mended, it goes through under the same key', async () => {
    const key = crypto.randomUUID();
    const body = market.paymentBody();
    expect((await keyed(key, '/payments', { ...body, price: 0 })).status).toBe(400);
    expect((await keyed(key, '/payments', { ...body, paid_price: 0 })).status).toBe(400);
    const { status, replayed } = await keyed(key, '/payments', body);
    expect([status, replayed]).toEqual([201, null]);
  });

  test('of ten at once one runs; the others are told so or get its answer', async () => {
    const key = crypto.randomUUID();
    const body = market.paymentBody();
    const before = await market.countPayments();
    const answers = await Promise.all(Array.from({ length: 10 }, () => keyed(key, '/payments', body)));
    const ids = new Set(answers.filter(({ status }) => status === 201).map(({ json }) => json.id));
    expect(ids.size).toBe(1);
    for (const { status, json } of answers) expect(status === 201 || json.code === 'in_flight').toBe(true);
    expect(await market.countPayments()).toBe(before + 1);
  });

  test('belongs to one integration and one route', async () => {
    const key = crypto.randomUUID();
    const other = await openMarketplace();
    const payment = (await keyed(key, '/payments', market.paymentBody())).json;
    expect((await keyed(key, '/payments', other.paymentBody(), other.token)).status).toBe(201);
    const rotated = await keyed(key, `/payments/${payment.id}/access-token/rotate`);
    expect([rotated.status, rotated.replayed]).toEqual([200, null]);
    const again = await keyed(key, `/payments/${payment.id}/access-token/rotate`);
    expect([again.replayed, again.json.access_token]).toEqual(['true', rotated.json.access_token]);
  });

  test('a part released under a key is released once, however often it is asked for', async () => {
    const { payment, widget } = await market.payable({ paid_price: 10 });
    await (await openWallet(market.stack)).deposit(termsOf(widget));
    await market.untilStatus(payment.id, 'funded');
    const key = crypto.randomUUID();
    const first = await keyed(key, `/payments/${payment.id}/release`, { amount: 4 });
    await market.untilStatus(payment.id, 'partially_released');
    const second = await keyed(key, `/payments/${payment.id}/release`, { amount: 4 });
    expect(second.json.operation.id).toBe(first.json.operation.id);
    expect((await market.get(`/payments/${payment.id}`)).json.deal.released_units).toBe('4000000');
  });

  test.each(['', 'a b', 'ü', 'x'.repeat(256)])('400: the key %j', async (key) => {
    const headers = new Headers({ Authorization: `Bearer ${market.token}`, 'Content-Type': 'application/json' });
    headers.set('Idempotency-Key', encodeLatin1(key));
    const body = JSON.stringify(market.paymentBody());
    const response = await market.app.request('/api/v1/payments', { method: 'POST', headers, body });
    expect(response.status).toBe(400);
  });
});

/** A header carries bytes; this is how a careless client's umlaut arrives. */
function encodeLatin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
