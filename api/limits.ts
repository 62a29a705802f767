// Owns how many requests a caller may make in a minute: an integration by its id, anybody else by address. Counts in memory
// and tells the database every hundredth of a limit, where all processes add up; so a request costs no query, and each
// process may let through at most that hundredth, and what is on its way, too many.
import { createHash } from 'node:crypto';
import type { Context } from 'hono';
import type { Logger } from 'pino';
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import { networkOf } from './address.ts';
import type { Sql } from './core/database/db.ts';
import { CoreError } from './core/errors.ts';

const WINDOW_SECONDS = 60;
const WINDOW_MS = WINDOW_SECONDS * 1000;
const WRITES_PER_LIMIT = 100;

// Beyond this many callers, those whose minute is over are forgotten.
const SWEEP_AT = 10_000;

/** Whom a limit holds for. */
export type LimitName = 'integration' | 'address';

/** Requests a minute of each kind of caller; 0: as many as they like. */
export type RequestLimits = Readonly<Record<LimitName, number>>;

type Counter = {
  /** In all processes, as the database last said, and since then here: written, on its way, not yet. */
  stored: number;
  writing: number;
  pending: number;
  endsAtMs: number;
};

/** The requests that callers may still make. */
export class RequestLimiter {
  readonly #limits: RequestLimits;
  readonly #log: Logger;
  readonly #stores: Record<LimitName, RateLimiterPostgres>;
  readonly #counters = new Map<string, Counter>();
  #sweepAt = SWEEP_AT;

  constructor(sql: Sql, limits: RequestLimits, log: Logger) {
    this.#limits = limits;
    this.#log = log;
    this.#stores = { integration: storeOf(sql, 'integration', limits), address: storeOf(sql, 'address', limits) };
  }

  /**
   * Counts a request of `caller` and says in the answer's headers what is left.
   * @throws rate_limited with Retry-After when nothing is.
   * @see draft-ietf-httpapi-ratelimit-headers
   */
  take(c: Context, name: LimitName, caller: string): void {
    const limit = this.#limits[name];
    if (limit === 0) return;
    const key = `${name} ${caller}`;
    const counter = this.#counterOf(key);
    const left = limit - counter.stored - counter.writing - counter.pending;
    const waitSeconds = Math.max(1, Math.ceil((counter.endsAtMs - Date.now()) / 1000));
    c.header('RateLimit-Policy', `"${name}";q=${limit};w=${WINDOW_SECONDS}`);
    c.header('RateLimit', `"${name}";r=${Math.max(0, left - 1)};t=${waitSeconds}`);
    if (left <= 0) {
      c.header('Retry-After', String(waitSeconds));
      const whose = name === 'integration' ? 'this integration' : 'this address';
      throw new CoreError('rate_limited', `${limit} requests a minute of ${whose} are used up: wait ${waitSeconds} s.`);
    }
    counter.pending += 1;
    if (counter.pending >= limit / WRITES_PER_LIMIT) void this.#write(name, caller, counter);
  }

  #counterOf(key: string): Counter {
    const nowMs = Date.now();
    const known = this.#counters.get(key);
    if (known && known.endsAtMs > nowMs) return known;
    if (this.#counters.size >= this.#sweepAt) this.#sweep(nowMs);
    const counter = { stored: 0, writing: 0, pending: 0, endsAtMs: nowMs + WINDOW_MS };
    this.#counters.set(key, counter);
    return counter;
  }

  #sweep(nowMs: number): void {
    for (const [key, { endsAtMs }] of this.#counters) if (endsAtMs <= nowMs) this.#counters.delete(key);
    this.#sweepAt = Math.max(SWEEP_AT, this.#counters.size * 2);
  }

  async #write(name: LimitName, caller: string, counter: Counter): Promise<void> {
    const count = counter.pending;
    counter.pending = 0;
    counter.writing += count;
    try {
      // Hashed: an address is personal.
      const digest = createHash('sha256').update(caller).digest('base64url');
      // More than the limit is no failure here; it is told as one, with the same facts.
      const total = await this.#stores[name].consume(digest, count).catch((error: unknown) => {
        if (error instanceof RateLimiterRes) return error;
        throw error;
      });
      counter.stored = total.consumedPoints;
      counter.endsAtMs = Date.now() + total.msBeforeNext;
    } catch (err) {
      // Without the database each process limits by what it sees itself.
      counter.stored += count;
      this.#log.warn({ err }, 'request counts cannot be stored');
    } finally {
      counter.writing -= count;
    }
  }
}

function storeOf(sql: Sql, name: LimitName, limits: RequestLimits): RateLimiterPostgres {
  return new RateLimiterPostgres({
    storeClient: { query: queryOf(sql) },
    storeType: 'client',
    tableName: 'request_count',
    tableCreated: true,
    keyPrefix: name,
    points: limits[name],
    duration: WINDOW_SECONDS,
  });
}

/** The one method of `pg` that the store calls, on our client; what it reads are plain numbers. */
function queryOf(sql: Sql) {
  return async ({ text, values }: { text: string; values: (string | number)[] }) => {
    const rows = await sql.unsafe(text, values, { prepare: true });
    const plain = rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
      ),
    );
    return { rows: plain, rowCount: rows.count };
  };
}

/** What stands for an address in the count: an IPv6 caller has a whole /64. Requests without one count together. */
export function callerOf(address: string | null): string {
  return address === null ? 'unknown' : networkOf(address);
}
