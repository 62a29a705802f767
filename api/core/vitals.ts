// Owns what operators watch: how much work waits, how far the mirror is, how each signer stands, what the escrow holds. Reads
// the database only, so that asking costs no RPC; judges nothing.
import { isMissingRelation, type Sql } from './database/db.ts';

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

/** A signer on a network: its standing, its balance in wei, and its transactions that are in no block yet. */
export type SignerVitals = {
  network: string;
  signer: string;
  state: 'ok' | 'low' | 'paused' | 'dear';
  detail: string | null;
  balanceWei: bigint;
  open: number;
  oldestSeconds: number;
};

/** A node's webhook endpoint that is not well: failures in a row, and the deliveries that wait for it. */
export type FailingEndpoint = { endpointId: string; origin: string; failures: number; waiting: number };

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
export type WebhookVitals = {
  waiting: number;
  retrying: number;
  oldestSeconds: number;
  failed: number;
  open: number;
  gone: number;
};

/** Webhooks on their way: how many, those of them that failed before, the age of the oldest, those given up; endpoints whose breaker is open, or that are gone. */
export async function readWebhooks(sql: Sql): Promise<WebhookVitals> {
  const [row] = await sql<WebhookVitals[]>`
    select count(*)::int as waiting, count(*) filter (where attempts > 0)::int as retrying, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as oldest_seconds,
      (select count(*)::int from webhook_delivery where status = 'failed') as failed,
      (select count(*)::int from webhook_endpoint where open_until is not null and archived_at is null) as open,
      (select count(*)::int from webhook_endpoint where disabled_reason = 'gone' and archived_at is null) as gone
    from webhook_delivery where status = 'waiting'`;
  return row ?? { waiting: 0, retrying: 0, oldestSeconds: 0, failed: 0, open: 0, gone: 0 };
}

/** Every signer that a worker has looked at. */
export async function readSigners(sql: Sql): Promise<SignerVitals[]> {
  return await sql<SignerVitals[]>`
    select n.name as network, s.signer, s.state, s.detail, s.balance_wei, count(t.nonce)::int as open,
      coalesce(extract(epoch from now() - min(t.created_at)), 0)::float8 as oldest_seconds
    from signer_standing s join network n on n.id = s.network_id
    left join chain_transaction t on t.network_id = s.network_id and t.signer = s.signer and t.status = 'open'
    group by n.name, s.signer, s.state, s.detail, s.balance_wei order by n.name, s.signer`;
}

/** The webhook endpoints in use whose breaker is open, the most patient first. */
export async function readFailingEndpoints(sql: Sql): Promise<FailingEndpoint[]> {
  const rows = await sql<{ endpointId: string; url: string; failures: number; waiting: number }[]>`
    select e.id as endpoint_id, e.url, e.failures,
      (select count(*)::int from webhook_delivery d
        where d.node_id = e.node_id and d.endpoint_id = e.id and d.status = 'waiting') as waiting
    from webhook_endpoint e
    where e.open_until is not null and e.disabled_at is null and e.archived_at is null
    order by e.failures desc limit 100`;
  // A path may hold a key.
  return rows.map(({ url, ...row }) => ({ ...row, origin: new URL(url).origin }));
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
