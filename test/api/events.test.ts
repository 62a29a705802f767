// The widget's events over HTTP: what is sent at once, what at a change, and who gets none.
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { openWallet, strangerAddress } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from './marketplace.ts';

const stack = inject('stack');
let market: Marketplace;

beforeAll(async () => {
  market = await openMarketplace();
  return () => market.close();
});

const open = async (paymentId: string, token: string | null) =>
  await market.app.request(`/api/v1/widget/payments/${paymentId}/events`, {
    headers: token === null ? {} : { Authorization: `Bearer ${token}` },
  });

/** The payments that a stream tells, until `last` says that this one is the last. */
async function told(response: Response, last: (payment: Json) => boolean): Promise<Json[]> {
  const payments: Json[] = [];
  let text = '';
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: '' };
    text += value ?? '';
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      if (block.startsWith('event: payment\n')) payments.push(JSON.parse(block.slice(block.indexOf('data: ') + 6)));
    }
    if (done || (payments.length > 0 && last(payments.at(-1)))) {
      await reader?.cancel();
      return payments;
    }
  }
}

describe('GET /api/v1/widget/payments/{id}/events', () => {
  test('tells the payment at once, and each change until it is funded', async () => {
    const { payment, widget } = await market.payable();
    const response = await open(payment.id, payment.access_token);
    expect(response.headers.get('Content-Type')).toContain('text/event-stream');
    expect(response.headers.get('Cache-Control')).toContain('no-');
    const telling = told(response, ({ status }) => status === 'funded');
    const buyer = await openWallet(stack);
    await buyer.deposit(termsOf(widget));
    const payments = await telling;
    expect(payments[0]).toEqual(widget);
    expect(payments.at(-1)).toMatchObject({ status: 'funded', contract: null });
  });

  test('tells of a hash that another device reported', async () => {
    const { payment } = await market.payable();
    const telling = told(await open(payment.id, payment.access_token), ({ reported_hash }) => reported_hash !== null);
    await new Promise((resolve) => setTimeout(resolve, 400));
    const hash = `0x${'cd'.repeat(32)}`;
    const path = `/widget/payments/${payment.id}/transaction`;
    await market.post(path, { transaction_hash: hash }, payment.access_token);
    expect((await telling).at(-1).reported_hash).toBe(hash);
  });

  test('ends when the access token is replaced', async () => {
    const { payment } = await market.payable();
    const telling = told(await open(payment.id, payment.access_token), () => false);
    await new Promise((resolve) => setTimeout(resolve, 400));
    await market.post(`/payments/${payment.id}/access-token/rotate`);
    expect(await telling).toHaveLength(1);
  });

  test('401: no token, an integration’s, one of another payment · 429: more than ten listen to one payment', async () => {
    const { payment } = await market.payable({ payment_address: strangerAddress() });
    const other = await market.payable();
    for (const token of [null, market.token, other.payment.access_token]) {
      expect((await open(payment.id, token)).status).toBe(401);
    }
    const streams = [];
    for (let count = 0; count < 10; count += 1) streams.push(await open(payment.id, payment.access_token));
    expect((await open(payment.id, payment.access_token)).status).toBe(429);
    await Promise.all(streams.map((stream) => stream.body?.cancel()));
    await expect.poll(async () => (await open(payment.id, payment.access_token)).status).toBe(200);
  });
});
