// Owns sending webhooks: what is due is claimed, sent and written down, at least once, and of one payment to one endpoint in
// order. Any number of processes may do so: each holds a session lock on the stream that it works on, which dies with it.
// A failing endpoint is never given up: its breaker opens, and a single request probes it until it answers again.
import { performance } from 'node:perf_hooks';
import type { Clock } from '../clock.ts';
import type { Sql, Transaction } from '../database/db.ts';
import { DestinationError, type IncomingAnswer, send } from '../destinations.ts';
import { writeLog } from '../log.ts';
import { findNodes } from '../platform/platform.ts';
import type { Vault } from '../vault.ts';
import type { DeliveryRow } from './deliveries.ts';
import { makeNotifyKey } from './endpoints.ts';
import { type EventJson, findEvent, placeEvents, renderEvent } from './events.ts';
import { openKeys, signedHeaders } from './webhookKeys.ts';

// Standard Webhooks recommends 15 to 30 seconds.
const TIMEOUT_MS = 15_000;
const KEPT_ANSWER_BYTES = 4_096;
const USER_AGENT = 'Dealkeep-Webhooks/1';

// 5 s, 20 s, 80 s, 5 min, 21 min, 85 min, then every 3 hours: about 30 attempts in three days.
const FIRST_DELAY_MS = 5_000;
const DELAY_FACTOR = 4;
const MAX_DELAY_MS = 3 * 3_600_000;
const GIVE_UP_AFTER_MS = 3 * 86_400_000;
const JITTER = 0.2;

// Five in a row are hardly five bad events. A receiver that is back waits five minutes at most.
const BREAKER_FAILURES = 5;
const FIRST_PROBE_MS = 30_000;
const MAX_PROBE_MS = 300_000;

// An endpoint that hangs holds a request for the whole timeout; it must not hold all of them.
const CONCURRENCY = 32;
const CONCURRENCY_OF_ENDPOINT = 8;
// With the mirror's lag and the settle step well within the two seconds from block to receiver.
const INTERVAL_MS = 150;

/** What a dispatcher needs; `onError` hears of trouble with the database, `onAlert` of endpoints that need somebody. */
export type DispatchOptions = {
  clock: Clock;
  timeoutMs?: number;
  intervalMs?: number;
  /** 0 ≤ random < 1. */
  random?: () => number;
  onError: (error: unknown) => void;
  onAlert: (alert: { nodeId: string; endpointId: string; what: 'gone' | 'breaker opened' | 'breaker closed' }) => void;
};

/** Places events and sends what is due until stopped; `stop` lets requests that are under way finish. */
export function startDispatcher(sql: Sql, vault: Vault, options: DispatchOptions): { stop(): Promise<void> } {
  const dispatcher = new Dispatcher(sql, vault, options);
  const { intervalMs = INTERVAL_MS } = options;
  let stopped = false;
  let wake = () => {};
  async function run(): Promise<void> {
    let failing = false;
    while (!stopped) {
      let started = 0;
      try {
        started = await dispatcher.pass();
        failing = false;
      } catch (error) {
        // Said once, not at every pass.
        if (!failing) options.onError(error);
        failing = true;
      }
      await new Promise<void>((done) => {
        const timer = setTimeout(done, intervalMs);
        wake = () => {
          clearTimeout(timer);
          done();
        };
        // Whatever ends leaves room for the next.
        if (started > 0) void dispatcher.oneEnded().then(wake);
      });
    }
    await dispatcher.end();
  }
  const running = run();
  return {
    async stop() {
      stopped = true;
      wake();
      await running;
    },
  };
}

/** What is sent in order: one payment's events to one endpoint; a test is a stream of its own. */
type Stream = { nodeId: string; endpointId: string; paymentId: string | null; deliveryId: string };

type Endpoint = {
  nodeId: string;
  id: string;
  kind: 'endpoint' | 'notify';
  url: string;
  failures: number;
  openUntil: Date | null;
};

type Session = Awaited<ReturnType<Sql['reserve']>>;

/** One process's part in sending: the streams that it works on, and the session that locks them. */
export class Dispatcher {
  readonly #sql: Sql;
  readonly #vault: Vault;
  readonly #options: DispatchOptions;
  readonly #running = new Map<string, { endpointId: string; ended: Promise<void> }>();
  #session: Session | null = null;

  constructor(sql: Sql, vault: Vault, options: DispatchOptions) {
    this.#sql = sql;
    this.#vault = vault;
    this.#options = options;
  }

  /** Places events and starts on what is due and free; answers how many streams it started on. */
  async pass(): Promise<number> {
    while ((await placeEvents(this.#sql, this.#now())) > 0);
    if (this.#running.size >= CONCURRENCY) return 0;
    let started = 0;
    for (const stream of await this.#dueStreams()) {
      if (this.#running.size >= CONCURRENCY) break;
      const key = keyOf(stream);
      const ofEndpoint = [...this.#running.values()].filter(({ endpointId }) => endpointId === stream.endpointId);
      if (this.#running.has(key) || ofEndpoint.length >= CONCURRENCY_OF_ENDPOINT) continue;
      if (!(await this.#lock(key))) continue;
      const ended = this.#work(stream)
        .catch((error) => this.#options.onError(error))
        .then(() => this.#unlock(key))
        .finally(() => this.#running.delete(key));
      this.#running.set(key, { endpointId: stream.endpointId, ended });
      started += 1;
    }
    return started;
  }

  /** Waits until one of the streams that it works on has ended. */
  async oneEnded(): Promise<void> {
    await Promise.race([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Waits for the requests that are under way. */
  async settled(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Ends once nothing is under way; the locks go with the session. */
  async end(): Promise<void> {
    await this.settled();
    this.#session?.release();
    this.#session = null;
  }

  #now(): Date {
    return this.#options.clock.now();
  }

  /** The first delivery of each stream that is due, endpoint by endpoint; of one whose breaker is open only to probe it. */
  async #dueStreams(): Promise<Stream[]> {
    const sql = this.#sql;
    const now = this.#now();
    return await sql<Stream[]>`
      with recursive busy as (
        (select endpoint_id from webhook_delivery where status = 'waiting' order by endpoint_id limit 1)
        union all
        select (
          select d.endpoint_id from webhook_delivery d
          where d.status = 'waiting' and d.endpoint_id > busy.endpoint_id order by d.endpoint_id limit 1
        ) from busy where busy.endpoint_id is not null
      )
      select due.node_id, due.endpoint_id, due.payment_id, due.id as delivery_id
      from busy join webhook_endpoint e on e.id = busy.endpoint_id
      cross join lateral (
        select * from webhook_delivery d
        where d.endpoint_id = e.id and d.status = 'waiting' and (d.next_attempt_at <= ${now} or e.open_until is not null)
          and not exists (
            select 1 from webhook_delivery earlier
            where earlier.endpoint_id = d.endpoint_id and earlier.payment_id = d.payment_id and earlier.status = 'waiting'
              and (earlier.position, earlier.id) < (d.position, d.id)
          )
        order by d.next_attempt_at limit ${CONCURRENCY_OF_ENDPOINT}
      ) due
      where e.archived_at is null and e.disabled_at is null and (e.open_until is null or e.open_until <= ${now})
      order by due.next_attempt_at`;
  }

  async #lock(key: string): Promise<boolean> {
    try {
      this.#session ??= await this.#sql.reserve();
      const [lock] = await this.#session<{ free: boolean }[]>`
        select pg_try_advisory_lock(hashtextextended(${key}, 2)) as free`;
      return lock?.free ?? false;
    } catch (error) {
      // Its locks went with it; the next pass opens another.
      this.#session?.release();
      this.#session = null;
      throw error;
    }
  }

  async #unlock(key: string): Promise<void> {
    const session = this.#session;
    if (session) await session`select pg_advisory_unlock(hashtextextended(${key}, 2))`.catch(() => {});
  }

  /** Sends a stream's deliveries one after the other, as long as they are due and arrive. */
  async #work(stream: Stream): Promise<void> {
    while (await this.#sendFirst(stream));
  }

  /** Sends what is first in the stream now; answers whether it arrived. */
  async #sendFirst(stream: Stream): Promise<boolean> {
    const found = await this.#findFirst(stream);
    if (!found) return false;
    const { delivery, endpoint } = found;
    if (endpoint.openUntil !== null && !(await this.#mayProbe(endpoint))) return false;
    const startedAt = this.#now();
    const start = performance.now();
    try {
      const outcome = await this.#request(endpoint, delivery, startedAt);
      const latencyMs = Math.round(performance.now() - start);
      return await this.#sql.begin((tx) => this.#record(tx, endpoint, delivery, { ...outcome, startedAt, latencyMs }));
    } catch (error) {
      await this.#postpone(delivery);
      throw error;
    }
  }

  /**
   * What cannot be sent, or not be written down, for a reason of our own is tried again later and counts as no attempt: at once it
   * would be sent at every pass.
   */
  async #postpone({ nodeId, id }: DeliveryRow): Promise<void> {
    const later = new Date(this.#now().getTime() + FIRST_PROBE_MS);
    await this.#sql`
      update webhook_delivery set next_attempt_at = ${later} where node_id = ${nodeId} and id = ${id} and status = 'waiting'`;
  }

  /** Read under the stream's lock: what another process has just sent is not first any more. */
  async #findFirst(stream: Stream): Promise<{ delivery: DeliveryRow; endpoint: Endpoint } | null> {
    const sql = this.#sql;
    const { endpointId, paymentId, deliveryId } = stream;
    const [delivery] = await sql<DeliveryRow[]>`
      select * from webhook_delivery
      where endpoint_id = ${endpointId} and status = 'waiting'
        and ${paymentId === null ? sql`id = ${deliveryId}` : sql`payment_id = ${paymentId}`}
      order by position, id limit 1`;
    const [endpoint] = await sql<Endpoint[]>`
      select node_id, id, kind, url, failures, open_until from webhook_endpoint
      where id = ${endpointId} and archived_at is null and disabled_at is null`;
    if (!delivery || !endpoint) return null;
    return endpoint.openUntil !== null || delivery.nextAttemptAt <= this.#now() ? { delivery, endpoint } : null;
  }

  /** Of those who find the breaker's time over, one may send one request. */
  async #mayProbe({ nodeId, id }: Endpoint): Promise<boolean> {
    const now = this.#now();
    // Should this process die now, the next one probes after that.
    const until = new Date(now.getTime() + 2 * (this.#options.timeoutMs ?? TIMEOUT_MS));
    const [probing] = await this.#sql`
      update webhook_endpoint set open_until = ${until}
      where node_id = ${nodeId} and id = ${id} and open_until <= ${now} returning 1`;
    return probing !== undefined;
  }

  async #request(endpoint: Endpoint, delivery: DeliveryRow, now: Date): Promise<Outcome> {
    const event = await this.#eventOf(delivery);
    const body = JSON.stringify(event);
    const { nodeId } = endpoint;
    const [node] = await findNodes(this.#sql, [nodeId]);
    if (endpoint.kind === 'notify') await makeNotifyKey(this.#sql, this.#vault, nodeId);
    const owner = { nodeId, endpointId: endpoint.kind === 'notify' ? null : endpoint.id };
    const keys = await openKeys(this.#sql, this.#vault, owner, now);
    const headers = {
      'Content-Type': 'application/json',
      'Content-Length': String(Buffer.byteLength(body)),
      'User-Agent': USER_AGENT,
      ...signedHeaders(keys, { id: event.id, body, now }),
    };
    try {
      const answer = await send(delivery.url ?? endpoint.url, {
        method: 'POST',
        headers,
        body,
        local: node?.local ?? false,
        timeoutMs: this.#options.timeoutMs ?? TIMEOUT_MS,
        maxAnswerBytes: KEPT_ANSWER_BYTES,
      });
      return { answer, error: null };
    } catch (error) {
      if (!(error instanceof DestinationError)) throw error;
      return { answer: null, error: error.message };
    }
  }

  async #eventOf(delivery: DeliveryRow): Promise<EventJson> {
    const { eventId, eventNodeId, paymentId, createdAt, nodeId } = delivery;
    if (eventNodeId === null || paymentId === null) return testEvent(eventId, nodeId, createdAt);
    const event = await findEvent(this.#sql, { nodeId: eventNodeId, paymentId, eventId });
    if (!event) throw new Error(`Delivery ${delivery.id} is of an event that is not there.`);
    return renderEvent(event);
  }

  /** Writes down what came of an attempt, and what follows for the delivery and its endpoint; answers whether it arrived. */
  async #record(tx: Transaction, endpoint: Endpoint, delivery: DeliveryRow, attempt: Attempt): Promise<boolean> {
    const { answer, error, startedAt, latencyMs } = attempt;
    const number = delivery.attempts + 1;
    const now = this.#now();
    const arrived = answer !== null && answer.status >= 200 && answer.status < 300;
    const firstAttemptAt = delivery.firstAttemptAt ?? startedAt;
    const givenUp = now.getTime() - firstAttemptAt.getTime() >= GIVE_UP_AFTER_MS;
    const nextAttemptAt = new Date(now.getTime() + delayMs(number, answer, this.#options.random ?? Math.random));
    const status = arrived ? 'delivered' : givenUp ? 'failed' : 'waiting';
    const finishedAt = status === 'waiting' ? null : now;
    const [current] = await tx`
      update webhook_delivery set ${tx({ status, attempts: number, firstAttemptAt, nextAttemptAt, finishedAt })}
      where node_id = ${delivery.nodeId} and id = ${delivery.id} and status = 'waiting' and attempts = ${delivery.attempts}
      returning 1`;
    // Cancelled meanwhile, or sent by somebody else after this process had lost its lock.
    if (!current) return false;
    const row = {
      nodeId: delivery.nodeId,
      deliveryId: delivery.id,
      number,
      startedAt,
      latencyMs,
      statusCode: answer?.status ?? null,
      error: error ?? (arrived ? null : reasonOf(answer)),
      answer: answer && textOf(answer.body),
    };
    await tx`insert into webhook_attempt ${tx(row)}`;
    if (arrived) await this.#closeBreaker(tx, endpoint, now);
    else if (answer?.status === 410) await this.#leaveAlone(tx, endpoint, delivery, now);
    else await this.#countFailure(tx, endpoint, now);
    return arrived;
  }

  /** An endpoint that answers gets everything that waits for it at once. */
  async #closeBreaker(tx: Transaction, { nodeId, id }: Endpoint, now: Date): Promise<void> {
    const [was] = await tx<{ openUntil: Date | null }[]>`
      update webhook_endpoint e set failures = 0, open_until = null from (
        select open_until from webhook_endpoint where node_id = ${nodeId} and id = ${id}
      ) before
      where e.node_id = ${nodeId} and e.id = ${id} and (e.failures > 0 or e.open_until is not null)
      returning before.open_until`;
    if (!was?.openUntil) return;
    await tx`
      update webhook_delivery set next_attempt_at = ${now}
      where endpoint_id = ${id} and status = 'waiting' and next_attempt_at > ${now}`;
    this.#options.onAlert({ nodeId, endpointId: id, what: 'breaker closed' });
  }

  async #countFailure(tx: Transaction, { nodeId, id, openUntil }: Endpoint, now: Date): Promise<void> {
    // What was under way when the breaker opened fails with it, and says nothing about how long the outage lasts.
    const isProbe = openUntil !== null;
    const [counted] = await tx<{ failures: number }[]>`
      update webhook_endpoint set failures = failures + 1
      where node_id = ${nodeId} and id = ${id} and (open_until is null or ${isProbe}) returning failures`;
    const failures = counted?.failures ?? 0;
    if (failures < BREAKER_FAILURES) return;
    const pause = Math.min(FIRST_PROBE_MS * 2 ** Math.min(failures - BREAKER_FAILURES, 10), MAX_PROBE_MS);
    await tx`
      update webhook_endpoint set open_until = ${new Date(now.getTime() + pause)} where node_id = ${nodeId} and id = ${id}`;
    if (failures === BREAKER_FAILURES) this.#options.onAlert({ nodeId, endpointId: id, what: 'breaker opened' });
  }

  /** 410: the receiver wants no more. An endpoint is disabled until somebody enables it; a notify_url is told no more. */
  async #leaveAlone(tx: Transaction, { nodeId, id, kind }: Endpoint, delivery: DeliveryRow, now: Date): Promise<void> {
    const { paymentId, eventNodeId } = delivery;
    if (kind === 'notify') {
      await tx`
        update webhook_delivery set status = 'cancelled', finished_at = ${now}
        where endpoint_id = ${id} and payment_id = ${paymentId} and status = 'waiting'`;
      return;
    }
    await tx`
      update webhook_endpoint set disabled_at = ${now}, disabled_reason = 'gone'
      where node_id = ${nodeId} and id = ${id} and disabled_at is null`;
    this.#options.onAlert({ nodeId, endpointId: id, what: 'gone' });
    if (paymentId === null || eventNodeId === null) return;
    await writeLog(
      tx,
      { nodeId: eventNodeId, paymentId },
      {
        eventType: 'webhook.endpoint_disabled',
        message: `Webhook endpoint ${id} answered 410 Gone and is disabled; what waits for it is held.`,
        actor: { type: 'system' },
      },
    );
  }
}

type Outcome = { answer: IncomingAnswer | null; error: string | null };
type Attempt = Outcome & { startedAt: Date; latencyMs: number };

function keyOf({ endpointId, paymentId, deliveryId }: Stream): string {
  return `webhook ${endpointId} ${paymentId ?? deliveryId}`;
}

function testEvent(id: string, nodeId: string, createdAt: Date): EventJson {
  const nothing = { payment_id: null, external_id: null, status: null, reverts: null, proof: null, difference: null };
  return {
    id,
    type: 'webhook.test',
    timestamp: createdAt.toISOString(),
    data: { ...nothing, node_id: nodeId, finality: 'final', message: 'This is a test.' },
  };
}

/** How long until the attempt after the `number`th; a receiver that names a time is not asked before. */
function delayMs(number: number, answer: IncomingAnswer | null, random: () => number): number {
  const plain = Math.min(FIRST_DELAY_MS * DELAY_FACTOR ** Math.min(number - 1, 10), MAX_DELAY_MS);
  const jittered = plain * (1 - JITTER + 2 * JITTER * random());
  const seconds = /^\d{1,6}$/.exec(answer?.headers['retry-after'] ?? '')?.[0];
  return Math.max(jittered, Math.min(Number(seconds ?? 0) * 1_000, MAX_DELAY_MS));
}

function reasonOf(answer: IncomingAnswer | null): string {
  const status = answer?.status ?? 0;
  if (status >= 300 && status < 400) return `Answered ${status}; redirects are not followed.`;
  return `Answered ${status}.`;
}

/** PostgreSQL keeps no NUL in text; what is no UTF-8 is shown as replacement characters. */
function textOf(body: Buffer): string {
  return body.toString('utf8').replaceAll('\0', '\u{fffd}');
}
