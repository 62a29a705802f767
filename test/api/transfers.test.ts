// Bank transfers and the test clock: a stack's time is moved, and what waits for it happens. The till has a database, API, worker and
// sandbox of its own, and no network that others use.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startReceiver } from '../support/receiver.ts';
import { CARDS, openTill, type Till } from '../support/till.ts';
import type { Json } from './marketplace.ts';

const DAY = 86_400;

let till: Till;
beforeAll(async () => {
  till = await openTill({ chain: 'own' });
});
afterAll(() => till.stop());

const advance = async (seconds: number) => {
  const { status, json } = await till.post('/test-clock', { advance_seconds: seconds });
  expect(status, JSON.stringify(json)).toBe(200);
  return json;
};
const present = async () => Date.parse((await till.get('/test-clock')).json.now);
const inDays = async (days: number) => ({ expires_at: new Date((await present()) + days * DAY * 1000).toISOString() });
const entries = async (id: string, type: string) =>
  (await till.logs(id)).filter((entry: Json) => entry.event_type === type);
const log = async (id: string, type: string) => (await entries(id, type)).map((entry: Json) => entry.message);
/** The difference as the list of events, and so each webhook, has it. */
const difference = async (id: string, type: string) =>
  (await till.get(`/events?payment_id=${id}&type=${type}`)).json.items.map(({ data }: Json) => data.difference);

async function openTransfer(days = 5): Promise<Json> {
  return await till.open('bank_transfer', await inDays(days));
}

describe('a bank transfer', () => {
  test('clears with the next batch, and funds the payment', async () => {
    const payment = await openTransfer();
    expect(payment.rail.transfer).toMatchObject({ iban: 'DE02100100109307118603', bic: 'SANDDEFFXXX' });
    const widget = (await till.get(`/widget/payments/${payment.id}`, payment.access_token)).json;
    expect(widget.rail.transfer).toEqual(payment.rail.transfer);
    expect((await till.sendTransfer(payment.rail.transfer.reference, 2_550)).status).toBe(200);
    expect((await till.get(`/payments/${payment.id}`)).json.status).toBe('awaiting_deposit');
    await advance(DAY);
    await till.untilStatus(payment.id, 'funded');
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, escrow: 2550 });
  });

  test('that is short is underpaid by the exact difference until the rest arrives', async () => {
    const payment = await openTransfer();
    await till.sendTransfer(payment.rail.transfer.reference, 2_000);
    await advance(DAY);
    const short = await till.untilStatus(payment.id, 'confirming');
    expect(short.rail).toMatchObject({ received_units: '2000', missing_units: '550', excess_units: '0' });
    expect(short.rail).toMatchObject({ received: 20, missing: 5.5, excess: 0 });
    expect(await log(payment.id, 'payment.underpaid')).toEqual(['2000 of 2550 base units arrived: 550 are missing.']);
    const exact = {
      ...{ currency: 'EUR', amount: 25.5, amount_units: '2550', received: 20, received_units: '2000' },
      ...{ missing: 5.5, missing_units: '550', excess: 0, excess_units: '0' },
    };
    expect((await entries(payment.id, 'payment.underpaid'))[0]?.difference).toEqual(exact);
    await expect.poll(() => difference(payment.id, 'payment.underpaid'), { timeout: 20_000 }).toEqual([exact]);
    expect(await till.balances(payment.id)).toEqual({ payer: -2000, pending: 2000 });
    await till.sendTransfer(payment.rail.transfer.reference, 550);
    await advance(DAY);
    await till.untilStatus(payment.id, 'funded');
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, escrow: 2550 });
  });

  test('that is over is overpaid by the exact difference, which one call gives back', async () => {
    const payment = await openTransfer();
    await till.sendTransfer(payment.rail.transfer.reference, 3_000);
    await advance(DAY);
    const over = await till.untilStatus(payment.id, 'funded');
    expect(over.rail).toMatchObject({ received_units: '3000', missing_units: '0', excess_units: '450' });
    expect(await log(payment.id, 'payment.overpaid')).toEqual(['3000 of 2550 base units arrived: 450 too much.']);
    expect((await entries(payment.id, 'payment.overpaid'))[0]?.difference).toMatchObject({
      ...{ received: 30, missing_units: '0', excess: 4.5, excess_units: '450' },
    });
    const rehearsed = (await till.post(`/payments/${payment.id}/refund-excess?dry_run=true`)).json;
    expect(rehearsed.operations).toMatchObject([
      { verb: 'refundExcess', movements: [{ from: 'sandbox', to: payment.id, amount: 4.5, amount_units: '450' }] },
    ]);
    const { status, json } = await till.post(`/payments/${payment.id}/refund-excess`);
    expect([status, json.operation.verb, json.operation.amount_units]).toEqual([202, 'refundExcess', '450']);
    expect((await till.post(`/payments/${payment.id}/refund-excess`)).json.code).toBe('illegal_transition');
    await expect.poll(() => log(payment.id, 'payment.excess_refunded'), { timeout: 20_000 }).toHaveLength(1);
    expect((await entries(payment.id, 'payment.excess_refunded'))[0]?.difference).toMatchObject({ excess_units: '0' });
    const { rail } = (await till.get(`/payments/${payment.id}`)).json;
    expect(rail).toMatchObject({ excess: 0, excess_refunded: 4.5, excess_refunded_units: '450' });
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, escrow: 2550 });
  });

  test('that comes after one that bounced is too much, and goes back; the next attempt is paid by its own details', async () => {
    const payment = await openTransfer();
    await till.sendTransfer(payment.rail.transfer.reference, 2_550, { bounces: true });
    await advance(DAY);
    await till.untilStatus(payment.id, 'failed');
    const { json } = await till.post(`/widget/payments/${payment.id}/attempts`, { after: 1 }, payment.access_token);
    expect(json.rail.attempt).toBe(2);
    const again = await till.until(payment.id, 'open again', ({ rail }) => rail.transfer !== null);
    expect(again.rail.transfer.reference).not.toBe(payment.rail.transfer.reference);
    await till.sendTransfer(payment.rail.transfer.reference, 2_550);
    await till.sendTransfer(again.rail.transfer.reference, 2_550);
    await advance(DAY);
    const funded = await till.until(
      payment.id,
      'funded with excess',
      ({ status, rail }) => status === 'funded' && rail.excess === 25.5,
    );
    expect(await till.balances(payment.id)).toEqual({ payer: -5100, escrow: 2550, excess: 2550 });
    expect((await till.post(`/payments/${payment.id}/refund-excess`)).status).toBe(202);
    await expect.poll(() => log(payment.id, 'payment.excess_refunded'), { timeout: 20_000 }).toHaveLength(1);
    expect(await till.balances(funded.id)).toEqual({ payer: -2550, escrow: 2550 });
  });

  test('that bounces has failed, and moved nothing', async () => {
    const payment = await openTransfer();
    await till.sendTransfer(payment.rail.transfer.reference, 2_550, { bounces: true });
    await advance(DAY);
    const failed = await till.untilStatus(payment.id, 'failed');
    expect(failed.rail).toMatchObject({ status: 'bounced', reason: 'The transfer bounced.' });
    expect(await till.balances(payment.id)).toEqual({});
  });

  test('that comes after the payment has expired is kept for its payer', async () => {
    const payment = await openTransfer(1);
    await advance(2 * DAY);
    await till.untilStatus(payment.id, 'expired');
    await till.sendTransfer(payment.rail.transfer.reference, 2_550);
    await advance(DAY);
    await till.until(payment.id, 'in excess', ({ rail }) => rail.excess_units === '2550');
    expect((await till.get(`/payments/${payment.id}`)).json.status).toBe('expired');
    await till.post(`/payments/${payment.id}/refund-excess`);
    await expect.poll(() => till.balances(payment.id), { timeout: 20_000 }).toEqual({});
  });
});

describe('the test clock', () => {
  test('moves API, worker, provider and local chain together', async () => {
    const before = await present();
    const { now } = await advance(3 * DAY);
    expect(Date.parse(now) - before).toBeGreaterThanOrEqual(3 * DAY * 1000);
    expect(await till.chainTime()).toBeGreaterThanOrEqual(Math.floor(Date.parse(now) / 1000));
    const page = await (await fetch(`${till.access.url}/bank`)).text();
    expect(page).toContain(now.slice(0, 10));
    const past = await till.post('/payments', till.paymentBody({ expires_at: new Date(before + 1000).toISOString() }));
    expect(past.json.errors).toContainEqual({ pointer: '/expires_at', message: 'must be in the future' });
  });

  test('lets a card payment expire that nobody pays, and closes its page', async () => {
    const payment = await till.open('credit_card', await inDays(1));
    await advance(DAY + 1);
    await till.untilStatus(payment.id, 'expired');
    expect((await till.typeCard(payment, CARDS.succeeds)).status).toBe(409);
  });

  test('a card that was typed in time wins over the deadline, even when its callback was lost', async () => {
    const payment = await till.open('credit_card', await inDays(1));
    await till.misbehave('lost');
    await till.typeCard(payment, CARDS.succeeds);
    await advance(DAY + 1);
    await till.untilStatus(payment.id, 'funded');
    await till.misbehave('prompt');
  });

  test('brings three days of webhook retries in seconds: ever rarer, given up after the third day, sent again when asked', async () => {
    const receiver = await startReceiver();
    receiver.answer = 503;
    const { json: endpoint } = await till.post('/webhook-endpoints', {
      ...{ node_id: till.nodeId, url: receiver.url, events: ['payment.created'] },
    });
    const { id } = await till.create('credit_card', await inDays(9));
    const deliveries = async () =>
      (await till.get(`/webhook-deliveries?node_id=${till.nodeId}&endpoint_id=${endpoint.id}`)).json.items;
    await expect.poll(async () => (await deliveries())[0]?.attempts, { timeout: 20_000 }).toBe(1);
    const waits: number[] = [];
    for (;;) {
      const [delivery] = await deliveries();
      if (delivery.status !== 'waiting') break;
      const { attempts, next_attempt_at: next } = delivery;
      const now = await present();
      waits.push(Math.round((Date.parse(next) - now) / 1_000));
      // The endpoint's breaker may ask again sooner, and once more after that.
      await till.post('/test-clock', { now: new Date(Math.max(Date.parse(next), now) + 1_000).toISOString() });
      await expect
        .poll(async () => (await deliveries())[0]?.attempts, { timeout: 20_000, interval: 100 })
        .toBeGreaterThan(attempts);
    }
    const [delivery] = await deliveries();
    expect(delivery).toMatchObject({ status: 'failed', payment_id: id });
    expect(delivery.attempts).toBeGreaterThan(20);
    expect(Math.max(...waits)).toBeGreaterThan(2 * 3_600);
    receiver.answer = 204;
    expect((await till.post(`/webhook-deliveries/${delivery.id}/resend`)).status).toBe(202);
    await expect.poll(() => receiver.accepted.length, { timeout: 20_000 }).toBe(1);
    expect(receiver.accepted[0]?.event.id).toBe(delivery.event_id);
    await till.call('DELETE', `/webhook-endpoints/${endpoint.id}`);
    await receiver.stop();
  });

  test('releases by itself after the settlement deadline, when the terms say so', async () => {
    const deal = { default_outcome: 'release', settlement_period_seconds: DAY };
    const payment = await till.open('credit_card', { ...(await inDays(1)), deal });
    await till.typeCard(payment, CARDS.succeeds);
    await till.untilStatus(payment.id, 'funded');
    await advance(2 * DAY + 2);
    await till.untilStatus(payment.id, 'released');
  });

  test('goes only forward, by one of two fields, and for operators alone', async () => {
    const past = new Date((await present()) - 60_000).toISOString();
    const back = await till.post('/test-clock', { now: past });
    expect([back.status, back.json.errors[0].pointer]).toEqual([400, '/now']);
    for (const body of [
      {},
      { advance_seconds: 0 },
      { advance_seconds: -5 },
      { advance_seconds: 1, now: past },
      { days: 1 },
    ]) {
      expect((await till.post('/test-clock', body)).status, JSON.stringify(body)).toBe(400);
    }
    const child = await till.openChildIntegration();
    expect((await till.post('/test-clock', { advance_seconds: 1 }, child.token)).status).toBe(403);
  });

  test('is refused where money is real', async () => {
    await till.sql`update network set mode = 'live' where id = ${till.networkId}`;
    const { status, json } = await till.post('/test-clock', { advance_seconds: 1 });
    expect([status, json.code]).toEqual([403, 'forbidden']);
    await till.sql`update network set mode = 'test' where id = ${till.networkId}`;
  });
});
