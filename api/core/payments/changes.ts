/**
 * Owns noticing that something a widget shows has changed: one query for all payments that anybody in this process waits for,
 * again and again while somebody does. Knows nothing of HTTP and hands out nothing.
 */
import type { Sql } from '../database/db.ts';
import { CoreError } from '../errors.ts';

// Less than half of what lies between two settle passes; the query takes 6 ms for 1,000 payments, and nothing when nobody listens.
const INTERVAL_MS = 100;
const MAX_LISTENERS = 2_000;
const MAX_PER_PAYMENT = 10;

type Waiting = { listeners: Set<() => void>; seen: string | null };

/** Tells listeners when their payment has changed. One lives as long as the process; it works only while somebody listens. */
export class PaymentChanges {
  readonly #sql: Sql;
  readonly #waiting = new Map<string, Waiting>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #count = 0;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Calls `listener` soon and at each change until the function that it answers is called. @throws rate_limited: too many listen */
  listen(paymentId: string, listener: () => void): () => void {
    const waiting = this.#waiting.get(paymentId) ?? { listeners: new Set(), seen: null };
    if (this.#count >= MAX_LISTENERS || waiting.listeners.size >= MAX_PER_PAYMENT) {
      throw new CoreError('rate_limited', 'Too many listen already; read the payment from time to time instead.');
    }
    this.#waiting.set(paymentId, waiting);
    waiting.listeners.add(listener);
    this.#count += 1;
    this.#timer ??= setTimeout(() => void this.#look(), INTERVAL_MS);
    return () => {
      if (!waiting.listeners.delete(listener)) return;
      this.#count -= 1;
      if (waiting.listeners.size === 0) this.#waiting.delete(paymentId);
    };
  }

  async #look(): Promise<void> {
    this.#timer = undefined;
    const ids = [...this.#waiting.keys()];
    if (ids.length === 0) return;
    try {
      for (const { id, state } of await this.#states(ids)) {
        const waiting = this.#waiting.get(id);
        if (!waiting || waiting.seen === state) continue;
        // The first look tells too: what changed since the listener's own reading is not known.
        waiting.seen = state;
        for (const listener of waiting.listeners) listener();
      }
    } catch {
      // A database that does not answer has changed nothing; listeners learn of what they missed by the next look.
    }
    this.#timer ??= setTimeout(() => void this.#look(), INTERVAL_MS);
  }

  /** Each payment's state as one text: everything of it that a widget shows and that can change. */
  async #states(ids: string[]): Promise<{ id: string; state: string }[]> {
    return await this.#sql<{ id: string; state: string }[]>`
      select p.id, concat_ws(' ', p.status, p.transaction_hash, p.access_token_version, r.transaction_hash, o.status, d.state, a.state, f.state, s.state) as state
      from payment p
      left join reported_transaction r on r.node_id = p.node_id and r.payment_id = p.id
      left join lateral (
        select o.status from operation o
        where o.node_id = p.node_id and o.payment_id = p.id and o.relay is not null order by o.id desc limit 1
      ) o on true
      left join lateral (
        select string_agg(concat_ws(' ', d.offer_id, d.chain_status, d.released_units, d.refunded_units), ' ' order by d.leg) as state
        from deal d where d.node_id = p.node_id and d.payment_id = p.id
      ) d on true
      left join lateral (
        select string_agg(concat_ws(' ', a.status, a.sequence), ' ' order by a.created_at, a.id) as state
        from rail_attempt a where a.node_id = p.node_id and a.payment_id = p.id and p.payment_method <> 'web3'
      ) a on true
      left join lateral (
        select concat_ws(' ', count(*), count(f.withdrawn_at), count(f.declined_at)) as state
        from refund_request f where f.node_id = p.node_id and f.payment_id = p.id
      ) f on true
      left join lateral (
        select string_agg(concat_ws(' ', s.signed_by, s.made), ' ' order by s.leg_id, s.signed_by) as state
        from split_proposal s where s.node_id = p.node_id and s.payment_id = p.id
      ) s on true
      where p.id in ${this.#sql(ids)}`;
  }
}
