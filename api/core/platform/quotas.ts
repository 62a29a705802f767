// Owns quotas: how often a node may ask for what costs the operator gas and earns nobody anything.
import type { Sql, Transaction } from '../database/db.ts';
import { CoreError } from '../errors.ts';

/**
 * Unfunded cancellations a day that a node may ask for when neither it nor a node above states another number. Alone each costs
 * about 50,000 gas (npm run bench:gas), so this is 5 million a day: cents on a rollup, and the most that one node can burn.
 */
export const DEFAULT_UNFUNDED_CANCELS_PER_DAY = 100;

/**
 * Signed deposits a day that the operator sends for a node when neither it nor a node above states another number. Each costs about
 * 104,000 gas (npm run bench:gas), and unlike a cancellation it opens a deal that pays a fee.
 */
export const DEFAULT_RELAYS_PER_DAY = 5_000;

const DAY_SECONDS = 86_400;

/** How many deposits a day are relayed for the node. */
export async function relaysPerDay(sql: Sql | Transaction, nodeId: string): Promise<number> {
  const [quota] = await sql<{ perDay: number }[]>`
    select above.relays_per_day as per_day from node n join node above on above.id = any(n.path)
    where n.id = ${nodeId} and above.relays_per_day is not null order by array_position(n.path, above.id) desc limit 1`;
  return quota?.perDay ?? DEFAULT_RELAYS_PER_DAY;
}

/**
 * Counts one more cancellation of an unfunded deal against the node's quota of the last 24 hours; those for which nothing was
 * sent do not count.
 * @throws rate_limited with the time until the oldest one is a day old.
 */
export async function spendUnfundedCancel(tx: Transaction, nodeId: string): Promise<void> {
  // Cancellations of one node take turns here, so that racing ones cannot all be the last.
  await tx`select pg_advisory_xact_lock(hashtextextended(${`unfunded cancels ${nodeId}`}, 0))`;
  const [quota] = await tx<{ perDay: number }[]>`
    select above.unfunded_cancels_per_day as per_day from node n join node above on above.id = any(n.path)
    where n.id = ${nodeId} and above.unfunded_cancels_per_day is not null
    order by array_position(n.path, above.id) desc limit 1`;
  const perDay = quota?.perDay ?? DEFAULT_UNFUNDED_CANCELS_PER_DAY;
  const [spent] = await tx<{ count: number; oldestAgeSeconds: number | null }[]>`
    select count(*)::int as count, extract(epoch from now() - min(created_at))::int as oldest_age_seconds
    from operation
    where node_id = ${nodeId} and verb = 'cancelDeal'
      and coalesce(terms -> 0, terms) ->> 'payer' = '0x0000000000000000000000000000000000000000'
      and created_at > now() - make_interval(secs => ${DAY_SECONDS}) and (status <> 'failed' or transaction_hash is not null)`;
  if (!spent || spent.count < perDay) return;
  throw new CoreError(
    'rate_limited',
    `The node has cancelled ${spent.count} unfunded deals within 24 hours, and its quota is ${perDay}: each costs the operator gas. Unpaid payments also expire by themselves.`,
    [],
    { retryAfterSeconds: Math.max(1, DAY_SECONDS - (spent.oldestAgeSeconds ?? 0)) },
  );
}
