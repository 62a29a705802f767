// Owns what operators watch: how much work waits, how far the mirror is, how each signer stands, what the escrow holds. Reads
// the database only, so that asking costs no RPC; judges nothing.
import { isMissingRelation, type Sql } from './db.ts';

/** Jobs of one kind that wait: due ones, the age in seconds of the oldest of them, and those whose attempts are used up. */
export type QueueVitals = { work: string; due: number; oldestSeconds: number; exhausted: number };

/** How far the mirror of one network is: the block, and how many seconds ago that block was made; null without a mirror. */
export type MirrorVitals = { network: string; block: bigint | null; ageSeconds: number | null; ready: boolean };

/** What the diamond owes in one token, in base units, as mirrored. */
export type EscrowVitals = {
  network: string;
  currency: string;
  token: string;
  decimals: number;
  heldUnits: bigint;
  creditUnits: bigint;
};

/** The queue by kind of work; kinds without waiting jobs are left out. */
export async function readQueue(sql: Sql): Promise<QueueVitals[]> {
  return await sql<QueueVitals[]>`
    select t.identifier as work,
      count(*) filter (where j.run_at <= now() and j.attempts < j.max_attempts)::int as due,
      coalesce(extract(epoch from now() - min(j.run_at) filter (where j.run_at <= now() and j.attempts < j.max_attempts)), 0)::float8
        as oldest_seconds,
      count(*) filter (where j.attempts >= j.max_attempts)::int as exhausted
    from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id
    group by t.identifier order by t.identifier`;
}

/** The mirror of every network in use. */
export async function readMirrors(sql: Sql): Promise<MirrorVitals[]> {
  const mirrored = sql<MirrorVitals[]>`
    select n.name as network, p.block, (extract(epoch from now()) - p.timestamp)::float8 as age_seconds,
      coalesce(p.is_ready, false) as ready
    from network n join chain c on c.id = n.chain_id
    left join chain.position p on p.chain_id = c.eip155_id and p.diamond = n.diamond_address
    where n.archived_at is null order by n.name`;
  return await mirrored.catch(async (error) => {
    if (!isMissingRelation(error)) throw error;
    return await sql<MirrorVitals[]>`
      select name as network, null::numeric as block, null::float8 as age_seconds, false as ready
      from network where archived_at is null order by name`;
  });
}

/** What the escrow holds and owes, by token; empty without a mirror. */
export async function readEscrow(sql: Sql): Promise<EscrowVitals[]> {
  const mirrored = sql<EscrowVitals[]>`
    select n.name as network, cu.code as currency, cu.token_address as token, cu.decimals,
      t.held as held_units, t.credits as credit_units
    from chain.token_total t
    join chain c on c.eip155_id = t.chain_id
    join network n on n.chain_id = c.id and n.diamond_address = t.diamond
    join currency cu on cu.network_id = n.id and cu.token_address = t.token
    order by n.name, cu.code`;
  return await mirrored.catch((error) => {
    if (isMissingRelation(error)) return [];
    throw error;
  });
}

/** What waits to be sent, and the endpoints that do not take it. */
export type WebhookVitals = { waiting: number; oldestSeconds: number; failed: number; open: number; gone: number };

/** Webhooks on their way: how many, the age of the oldest, those given up; endpoints whose breaker is open, or that are gone. */
export async function readWebhooks(sql: Sql): Promise<WebhookVitals> {
  const [row] = await sql<WebhookVitals[]>`
    select count(*)::int as waiting, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as oldest_seconds,
      (select count(*)::int from webhook_delivery where status = 'failed') as failed,
      (select count(*)::int from webhook_endpoint where open_until is not null and archived_at is null) as open,
      (select count(*)::int from webhook_endpoint where disabled_reason = 'gone' and archived_at is null) as gone
    from webhook_delivery where status = 'waiting'`;
  return row ?? { waiting: 0, oldestSeconds: 0, failed: 0, open: 0, gone: 0 };
}

/** Whether any worker lives: it holds the lock that it announced. */
export async function hasWorker(sql: Sql): Promise<boolean> {
  const [row] = await sql`
    select 1 from worker_process w join pg_locks l on l.locktype = 'advisory' and l.granted
      and l.database = (select oid from pg_database where datname = current_database())
      and (l.classid::bigint << 32 | l.objid::bigint) = w.lock_key and l.objsubid = 1
    limit 1`;
  return row !== undefined;
}
