import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../api/core/clock.ts';
import { connect } from '../../api/core/database/db.ts';
import { writeLog } from '../../api/core/log.ts';
import { Vault } from '../../api/core/vault.ts';
import { Dispatcher, type DispatchOptions } from '../../api/core/webhooks/dispatch.ts';
import { startWorker } from '../../scripts/dev/services.ts';
import { type Json, type Marketplace, openQuietMarketplace } from '../api/marketplace.ts';
import { type Received, type Receiver, startReceiver } from '../support/receiver.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// No worker: webhooks are sent when the test says so, at the time that its clock shows.
let market: Marketplace;
let clock: Clock & { advance(ms: number): void };
let alerts: string[];
beforeAll(async () => {
  market = await openQuietMarketplace();
});
beforeEach(async () => {
  // What other tests left waiting is none of this one's.
  await market.sql`update webhook_endpoint set archived_at = now()`;
  await market.sql`update webhook_delivery set status = 'cancelled' where status = 'waiting'`;
  let time = Date.now();
  clock = {
    now: () => new Date(time),
    advance: (ms) => {
      time += ms;
    },
  };
  alerts = [];
});

function openDispatcher(options: Partial<DispatchOptions> = {}): Dispatcher {
  const sql = connect(market.stack.databaseUrl, { maxConnections: 4 });
  const dispatcher = new Dispatcher(sql, new Vault(market.stack.secret), {
    clock,
    random: () => 0.5,
    onError: (error) => {
      throw error;
    },
    onAlert: ({ what }) => alerts.push(what),
    ...options,
  });
  onTestFinished(async () => {
    await dispatcher.end();
    await sql.end();
  });
  return dispatcher;
}

async function openEndpoint(fields: Record<string, unknown> = {}): Promise<{ receiver: Receiver; endpoint: Json }> {
  const receiver = await startReceiver();
  onTestFinished(() => receiver.stop());
  const body = { node_id: market.nodeId, url: `${receiver.url}/hooks`, events: ['test.*'], ...fields };
  return { receiver, endpoint: (await market.post('/webhook-endpoints', body)).json };
}

/** Writes events `test.1`, `test.2`, … of a payment. */
async function happen(paymentId: string, ...steps: number[]): Promise<void> {
  for (const step of steps) {
    const entry = { eventType: `test.${step}`, message: '', actor: { type: 'system' } } as const;
    await market.sql.begin((tx) => writeLog(tx, { nodeId: market.nodeId, paymentId }, entry));
  }
}

async function run(...dispatchers: Dispatcher[]): Promise<void> {
  await Promise.all(dispatchers.map((dispatcher) => dispatcher.pass()));
  await Promise.all(dispatchers.map((dispatcher) => dispatcher.settled()));
}

/** Lets the time pass in steps, with a pass of each dispatcher at each. */
async function runFor(ms: number, stepMs: number, ...dispatchers: Dispatcher[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(stepMs);
    await run(...dispatchers);
  }
}

const stepsOf = (webhooks: Received[], paymentId: string): number[] =>
  webhooks
    .filter(({ event }) => event.data.payment_id === paymentId)
    .map(({ event }) => Number(event.type.replace('test.', '')));

const deliveriesOf = async (endpoint: Json): Promise<Json[]> =>
  (await market.get(`/webhook-deliveries?node_id=${market.nodeId}&endpoint_id=${endpoint.id}&per_page=100`)).json.items;

/** Of the newest delivery that was attempted. */
const lastAttempt = async (endpoint: Json): Promise<Json> => {
  const delivery = (await deliveriesOf(endpoint)).find(({ attempts }) => attempts > 0);
  return (await market.get(`/webhook-deliveries/${delivery.id}`)).json.log.at(-1);
};

const breakerOf = async (endpoint: Json): Promise<Json> =>
  (await market.get(`/webhook-endpoints/${endpoint.id}`)).json.breaker;

describe('an endpoint that fails', () => {
  test('for an hour: is probed, not given up, and then gets everything, in order, within five minutes', async () => {
    const dispatcher = openDispatcher();
    const { receiver, endpoint } = await openEndpoint();
    const payments = await Promise.all(Array.from({ length: 5 }, () => market.createPayment()));
    receiver.answer = 503;
    for (const { id } of payments) await happen(id, 1, 2);
    await runFor(HOUR, 10 * SECOND, dispatcher);
    expect(receiver.accepted).toEqual([]);
    // Five that open the breaker and those that were under way with them; then probes after 30 s, 1, 2, 4, 5, 5, … minutes.
    expect(receiver.received.length).toBeGreaterThan(12);
    expect(receiver.received.length).toBeLessThan(30);
    expect(await breakerOf(endpoint)).toMatchObject({ state: 'open', next_probe_at: expect.any(String) });
    expect(alerts).toEqual(['breaker opened']);

    receiver.answer = 204;
    for (const { id } of payments) await happen(id, 3);
    await runFor(5 * MINUTE, 10 * SECOND, dispatcher);
    for (const { id } of payments) expect(stepsOf(receiver.accepted, id)).toEqual([1, 2, 3]);
    expect(await breakerOf(endpoint)).toEqual({ state: 'closed', failures: 0, next_probe_at: null });
    expect(alerts).toEqual(['breaker opened', 'breaker closed']);
    expect(new Set((await deliveriesOf(endpoint)).map(({ status }) => status))).toEqual(new Set(['delivered']));
  });

  test('many requests that fail at once are one outage: the first probe comes after half a minute', async () => {
    const dispatchers = [openDispatcher(), openDispatcher()];
    const { receiver, endpoint } = await openEndpoint();
    const payments = await Promise.all(Array.from({ length: 20 }, () => market.createPayment()));
    receiver.answer = 503;
    for (const { id } of payments) await happen(id, 1);
    await run(...dispatchers);
    expect(receiver.received.length).toBeGreaterThan(5);
    expect(await breakerOf(endpoint)).toMatchObject({ state: 'open', failures: 5 });
    receiver.answer = 204;
    await runFor(50 * SECOND, 5 * SECOND, ...dispatchers);
    expect(await breakerOf(endpoint)).toMatchObject({ state: 'closed' });
    expect(receiver.accepted).toHaveLength(payments.length);
  });

  test('on one event only: that payment waits, longer and longer, up to three days; others go on', async () => {
    const dispatcher = openDispatcher();
    const { receiver, endpoint } = await openEndpoint();
    const [stuck, smooth] = [await market.createPayment(), await market.createPayment()];
    receiver.answer = ({ event }, response) =>
      response.writeHead(event.data.payment_id === stuck.id && event.type === 'test.1' ? 500 : 204).end();
    await happen(stuck.id, 1, 2);
    const start = clock.now().getTime();
    for (let step = 1; clock.now().getTime() - start < 3 * DAY + 4 * HOUR; step++) {
      // Something always arrives, so that the breaker stays closed.
      await happen(smooth.id, step);
      const pause = step < 40 ? 5 * SECOND : HOUR;
      await runFor(pause, pause, dispatcher);
    }
    const stuckOnes = await market.sql<{ status: string; attempts: number; eventType: string }[]>`
      select status, attempts, event_type from webhook_delivery
      where endpoint_id = ${endpoint.id} and payment_id = ${stuck.id} order by position`;
    expect(stuckOnes[0]).toMatchObject({ eventType: 'test.1', status: 'failed' });
    expect(stuckOnes[1]).toEqual({ eventType: 'test.2', status: 'delivered', attempts: 1 });
    expect(stuckOnes[0]?.attempts).toBeGreaterThan(20);
    expect(stuckOnes[0]?.attempts).toBeLessThan(40);
    const log = await market.sql<{ startedAt: Date }[]>`
      select a.started_at from webhook_attempt a join webhook_delivery d on d.id = a.delivery_id
      where d.payment_id = ${stuck.id} and d.event_type = 'test.1' order by number`;
    const gaps = log
      .slice(1)
      .map(({ startedAt }, index) => startedAt.getTime() - (log[index]?.startedAt.getTime() ?? 0));
    expect(gaps.slice(0, 3)).toEqual([5 * SECOND, 20 * SECOND, 80 * SECOND]);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(4 * HOUR);
    expect((log.at(-1)?.startedAt.getTime() ?? 0) - (log[0]?.startedAt.getTime() ?? 0)).toBeGreaterThanOrEqual(3 * DAY);

    // Given up is not lost: it can be sent again.
    receiver.answer = 204;
    const [failed] = await market.sql<{ id: string }[]>`
      select id from webhook_delivery where payment_id = ${stuck.id} and status = 'failed'`;
    await market.post(`/webhook-deliveries/${failed?.id}/resend`);
    await run(dispatcher);
    expect(stepsOf(receiver.received, stuck.id).at(-1)).toBe(1);
  });

  test('an hour of failures behind it, a resend or a test is tried at once', async () => {
    const dispatcher = openDispatcher();
    const { receiver, endpoint } = await openEndpoint();
    receiver.answer = 500;
    await happen((await market.createPayment()).id, 1);
    await runFor(10 * MINUTE, 10 * SECOND, dispatcher);
    expect((await breakerOf(endpoint)).state).toBe('open');
    receiver.answer = 204;
    const before = receiver.received.length;
    await market.post(`/webhook-endpoints/${endpoint.id}/test`);
    await run(dispatcher);
    expect(receiver.received.length).toBeGreaterThan(before);
    expect((await breakerOf(endpoint)).state).toBe('closed');
  });

  test('with Retry-After: is not asked before', async () => {
    const dispatcher = openDispatcher();
    const { receiver } = await openEndpoint();
    receiver.answer = (_webhook, response) => response.writeHead(429, { 'Retry-After': '600' }).end();
    await happen((await market.createPayment()).id, 1);
    await run(dispatcher);
    await runFor(590 * SECOND, 10 * SECOND, dispatcher);
    expect(receiver.received.length).toBe(1);
    await runFor(10 * SECOND, 10 * SECOND, dispatcher);
    expect(receiver.received.length).toBe(2);
  });

  test('410 at a notify_url: that payment is told no more; others at the same place are', async () => {
    const dispatcher = openDispatcher();
    const receiver = await startReceiver();
    onTestFinished(() => receiver.stop());
    receiver.answer = ({ url }, response) => response.writeHead(url === '/gone' ? 410 : 204).end();
    const gone = await market.createPayment({ notify_url: `${receiver.url}/gone` });
    const live = await market.createPayment({ notify_url: `${receiver.url}/live` });
    for (const id of [gone.id, live.id]) {
      const entry = { eventType: 'payment.funded', message: '', actor: { type: 'chain' }, status: 'funded' } as const;
      await market.sql.begin((tx) => writeLog(tx, { nodeId: market.nodeId, paymentId: id }, entry));
    }
    await run(dispatcher);
    expect(receiver.received.map(({ url }) => url).sort()).toEqual(['/gone', '/live', '/live']);
    const waiting =
      await market.sql`select 1 from webhook_delivery where status = 'waiting' and payment_id = ${gone.id}`;
    expect(waiting).toEqual([]);
  });
});

describe('a receiver that', () => {
  test('hangs: the attempt ends in time, and no other endpoint waits for it', async () => {
    const dispatcher = openDispatcher({ timeoutMs: 300 });
    const hanging = await openEndpoint();
    const quick = await openEndpoint();
    hanging.receiver.answer = () => {};
    for (let count = 0; count < 12; count++) await happen((await market.createPayment()).id, 1);
    await run(dispatcher);
    expect(quick.receiver.accepted.length).toBe(8);
    await run(dispatcher);
    expect(quick.receiver.accepted.length).toBe(12);
    expect(await lastAttempt(hanging.endpoint)).toMatchObject({
      status_code: null,
      error: 'No answer within 300 ms.',
      answer: null,
    });
  });

  test('redirects: that is a failure, and nobody goes there', async () => {
    const dispatcher = openDispatcher();
    const { receiver, endpoint } = await openEndpoint();
    receiver.answer = (_webhook, response) => response.writeHead(302, { Location: `${receiver.url}/elsewhere` }).end();
    await happen((await market.createPayment()).id, 1);
    await run(dispatcher);
    expect(receiver.received.map(({ url }) => url)).toEqual(['/hooks']);
    expect(await lastAttempt(endpoint)).toMatchObject({
      status_code: 302,
      error: 'Answered 302; redirects are not followed.',
    });
  });

  test('answers at length, or slowly: the status counts, and the first 4 kB are kept', async () => {
    const dispatcher = openDispatcher({ timeoutMs: 300 });
    const { receiver, endpoint } = await openEndpoint();
    receiver.answer = (_webhook, response) => void response.writeHead(200).end('x\0é'.repeat(100_000));
    await happen((await market.createPayment()).id, 1);
    await run(dispatcher);
    const huge = await lastAttempt(endpoint);
    expect(huge).toMatchObject({ status_code: 200, error: null });
    expect(huge.answer).toMatch(/^(x\u{fffd}é){1024}$/u);
    receiver.answer = (_webhook, response) => void response.writeHead(200).write('slowly');
    await happen((await market.createPayment()).id, 1);
    await run(dispatcher);
    expect(await lastAttempt(endpoint)).toMatchObject({ status_code: 200, answer: 'slowly' });
    expect((await deliveriesOf(endpoint)).map(({ status }) => status)).toEqual(['delivered', 'delivered']);
  });

  test('answers twice: the first answer counts, the next webhook gets its own', async () => {
    const dispatcher = openDispatcher();
    const rude = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'.repeat(2)));
    });
    await new Promise<void>((listening) => rude.listen(0, '127.0.0.1', listening));
    onTestFinished(() => void rude.close());
    const url = `http://127.0.0.1:${(rude.address() as AddressInfo).port}/`;
    const endpoint = (await market.post('/webhook-endpoints', { node_id: market.nodeId, url, events: ['test.*'] }))
      .json;
    const payment = await market.createPayment();
    await happen(payment.id, 1, 2);
    await run(dispatcher);
    await runFor(MINUTE, 5 * SECOND, dispatcher);
    const deliveries = await deliveriesOf(endpoint);
    expect(deliveries.map(({ status }) => status)).toEqual(['delivered', 'delivered']);
  });
});

test('an attempt that cannot be written down is made again half a minute later, not at every pass', async () => {
  const errors: unknown[] = [];
  const dispatcher = openDispatcher({ onError: (error) => errors.push(error) });
  const { receiver, endpoint } = await openEndpoint();
  await market.post(`/webhook-endpoints/${endpoint.id}/test`);
  // No month has such an id, so that no partition takes the attempt.
  const id = 'ffffffff-ffff-4fff-bfff-ffffffffffff';
  await market.sql`update webhook_delivery set id = ${id} where endpoint_id = ${endpoint.id}`;
  onTestFinished(async () => void (await market.sql`delete from webhook_delivery where id = ${id}`));
  await run(dispatcher);
  await runFor(20 * SECOND, 5 * SECOND, dispatcher);
  expect([receiver.received.length, errors.length]).toEqual([1, 1]);
  await runFor(20 * SECOND, 5 * SECOND, dispatcher);
  expect(receiver.received.length).toBe(2);
});

test('a replay sends each event once, and every attempt of it is in the log', async () => {
  const dispatcher = openDispatcher();
  const { receiver, endpoint } = await openEndpoint();
  const { id } = await market.createPayment();
  const from = new Date().toISOString();
  await happen(id, 1, 2, 3);
  await run(dispatcher);
  expect(stepsOf(receiver.accepted, id)).toEqual([1, 2, 3]);
  const path = `/webhook-endpoints/${endpoint.id}/replay`;
  expect((await market.post(path, { from })).json).toEqual({ queued: 3 });
  await runFor(MINUTE, 10 * SECOND, dispatcher);
  expect(stepsOf(receiver.accepted, id)).toEqual([1, 2, 3, 1, 2, 3]);
  const deliveries = await deliveriesOf(endpoint);
  expect(deliveries.map(({ status, attempts }) => [status, attempts])).toEqual(deliveries.map(() => ['delivered', 1]));
  const logged = await market.sql`
    select 1 from webhook_attempt a join webhook_delivery d on d.id = a.delivery_id
    where d.endpoint_id = ${endpoint.id} and d.cause = 'replay'`;
  expect(logged).toHaveLength(3);
});

describe('two workers', () => {
  test('send each event once while all goes well, each payment in its order', async () => {
    const dispatchers = [openDispatcher(), openDispatcher()];
    const { receiver } = await openEndpoint();
    const payments = await Promise.all(Array.from({ length: 12 }, () => market.createPayment()));
    for (const { id } of payments) await happen(id, 1, 2, 3, 4);
    for (let round = 0; round < 8; round++) await run(...dispatchers);
    for (const { id } of payments) expect(stepsOf(receiver.received, id)).toEqual([1, 2, 3, 4]);
  });

  test('keep the order of each payment when one in three is refused', async () => {
    const dispatchers = [openDispatcher(), openDispatcher()];
    const { receiver } = await openEndpoint();
    const payments = await Promise.all(Array.from({ length: 8 }, () => market.createPayment()));
    let count = 0;
    receiver.answer = (_webhook, response) => {
      count += 1;
      response.writeHead(count % 3 === 0 ? 500 : 204).end();
    };
    for (const { id } of payments) await happen(id, 1, 2, 3, 4, 5);
    await runFor(30 * MINUTE, 10 * SECOND, ...dispatchers);
    for (const { id } of payments) expect(stepsOf(receiver.accepted, id)).toEqual([1, 2, 3, 4, 5]);
  });

  test('one killed in the middle: the other takes over, nothing is lost, and no order is broken', async () => {
    const { receiver } = await openEndpoint();
    const payments = await Promise.all(Array.from({ length: 10 }, () => market.createPayment()));
    const accepted: Received[] = [];
    receiver.answer = (webhook, response) => {
      // What a receiver has taken counts, also when nobody is there any more to hear so.
      accepted.push(webhook);
      setTimeout(() => response.writeHead(204).end(), 50);
    };
    const { databaseUrl, secret, operatorKey, folder } = market.stack;
    const worker = (name: string) =>
      startWorker({ databaseUrl, secret, operatorKeys: [operatorKey], logPath: join(folder, `${name}.log`) });
    const [first, second] = await Promise.all([worker('webhooks-1'), worker('webhooks-2')]);
    onTestFinished(async () => void (await second.process.stop()));
    for (const { id } of payments) await happen(id, 1, 2, 3, 4, 5, 6);
    await expect.poll(() => accepted.length, { timeout: 20_000, interval: 5 }).toBeGreaterThan(15);
    await first.process.kill();
    for (const { id } of payments) {
      await expect.poll(() => stepsOf(accepted, id).at(-1), { timeout: 20_000 }).toBe(6);
      // A webhook may come again, never after one that follows it.
      const steps = stepsOf(accepted, id);
      expect(steps).toEqual([...steps].sort((a, b) => a - b));
      expect([...new Set(steps)]).toEqual([1, 2, 3, 4, 5, 6]);
    }
  });
});
