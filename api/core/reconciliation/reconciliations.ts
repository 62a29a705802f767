// Owns the record of reconciliations: one a network and hour, by whichever process comes first, and what it found.
import { v7 as uuidv7 } from 'uuid';
import type { Chain } from '../chain/chain.ts';
import { type Sql, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { listNetworks } from '../platform/platform.ts';
import type { NetworkRow } from '../schema.ts';
import { agrees, type Reconciliation, reconcileNetwork } from './reconcile.ts';

/** One recorded run on one network; amounts inside `tokens` and `differences` are base units as text. */
export type ReconciliationRow = {
  id: string;
  networkId: string;
  startedAt: Date;
  finishedAt: Date;
  /** Null with a `failure`: nothing could be compared. */
  block: bigint | null;
  failure: string | null;
  deals: number;
  differing: number;
  tokens: AsText<Reconciliation['tokens']>;
  differences: AsText<Reconciliation['differences']>;
};

/** A value as JSON keeps it: integers as text. */
export type AsText<T> = T extends bigint
  ? string
  : T extends readonly (infer Item)[]
    ? AsText<Item>[]
    : T extends object
      ? { [Field in keyof T]: AsText<T[Field]> }
      : T;

const INTERVAL_MS = 3_600_000;
// A broken database may differ in every deal; a hundred show what is wrong.
const MOST_DIFFERENCES = 100;
// Any constant will do: whoever holds it reconciles, the others leave it at that.
const RECONCILE_LOCK = 4_210_156n;

/** Compares every network that was not compared within the last hour, and records what was found; answers the new rows. */
export async function reconcileWhenDue(sql: Sql, chain: Chain): Promise<ReconciliationRow[]> {
  const session = await sql.reserve();
  try {
    const [lock] = await session<{ free: boolean }[]>`select pg_try_advisory_lock(${RECONCILE_LOCK}) as free`;
    if (!lock?.free) return [];
    try {
      const recorded: ReconciliationRow[] = [];
      for (const network of await dueNetworks(sql)) recorded.push(await reconcileAndRecord(sql, chain, network));
      return recorded;
    } finally {
      await session`select pg_advisory_unlock(${RECONCILE_LOCK})`;
    }
  } finally {
    session.release();
  }
}

async function dueNetworks(sql: Sql): Promise<NetworkRow[]> {
  const since = new Date(Date.now() - INTERVAL_MS);
  const done = await sql<{ networkId: string }[]>`
    select distinct network_id from reconciliation where started_at > ${since}`;
  const isDone = new Set(done.map(({ networkId }) => networkId));
  return (await listNetworks(sql)).filter((network) => !network.archivedAt && !isDone.has(network.id));
}

async function reconcileAndRecord(sql: Sql, chain: Chain, network: NetworkRow): Promise<ReconciliationRow> {
  const startedAt = new Date();
  try {
    const found = await reconcileNetwork(sql, chain, network);
    return await record(sql, { networkId: network.id, startedAt, failure: null }, found);
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    return await record(sql, { networkId: network.id, startedAt, failure: error.message });
  }
}

async function record(
  sql: Sql,
  row: Pick<ReconciliationRow, 'networkId' | 'startedAt' | 'failure'>,
  found?: Reconciliation,
): Promise<ReconciliationRow> {
  const differing = found ? found.differences.length + found.tokens.filter((token) => !token.agrees).length : 0;
  if (found && (differing === 0) !== agrees(found)) throw new Error('A reconciliation disagrees with itself.');
  const differences = asText(found?.differences.slice(0, MOST_DIFFERENCES) ?? []);
  return await transact(sql, async (tx) => {
    const [written] = await tx<ReconciliationRow[]>`
      insert into reconciliation (id, network_id, started_at, finished_at, block, failure, deals, differing, tokens, differences)
      values (${uuidv7()}, ${row.networkId}, ${row.startedAt}, now(), ${found ? found.block.toString() : null},
        ${row.failure}, ${found?.deals ?? 0}, ${differing}, ${tx.json(asText(found?.tokens ?? []))}, ${tx.json(differences)})
      returning *`;
    if (!written) throw new Error('The reconciliation was not recorded.');
    return written;
  });
}

/** Integers as text, so that it can become JSON. */
export function asText<T>(value: T): AsText<T> {
  return JSON.parse(JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? part.toString() : part)));
}

/** Recorded runs, newest first, of one network or all. */
export async function listReconciliations(
  sql: Sql,
  networkId: string | undefined,
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: ReconciliationRow[]; total: number }> {
  const where = networkId === undefined ? sql`true` : sql`network_id = ${networkId}`;
  const rows = await sql<ReconciliationRow[]>`
    select * from reconciliation where ${where} order by id desc limit ${perPage} offset ${(page - 1) * perPage}`;
  const [count] = await sql<{ total: number }[]>`select count(*)::int as total from reconciliation where ${where}`;
  return { rows, total: count?.total ?? 0 };
}

/** How each network's newest run ended: what differed (null: it could not be compared) and how long ago, in seconds. */
export async function readReconciliations(
  sql: Sql,
): Promise<{ network: string; differing: number | null; ageSeconds: number }[]> {
  return await sql`
    select distinct on (r.network_id) n.name as network, case when r.failure is null then r.differing end as differing,
      extract(epoch from now() - r.finished_at)::float8 as age_seconds
    from reconciliation r join network n on n.id = r.network_id where n.archived_at is null
    order by r.network_id, r.id desc`;
}
