/** The calm after a phase: nothing is disturbed any more, and everything that was begun must come to rest. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Patience } from './patience.ts';
import { moveClock } from './performer.ts';
import { CONFIRMATIONS } from './schedule.ts';
import type { Stage } from './stage.ts';

const POLL_MS = 250;
// Far more than any retry of ours waits, but for webhooks: their waiting is what the clock is moved for.
const REST_WITHIN_MS = 120_000;
// Longer than the longest pause between two attempts within a run, a breaker's included.
const SKIP_SECONDS = 900;
const WEBHOOK_PATIENCE_MS = 2_500;
// While other things still move, webhooks come of themselves.
const MIXED_PATIENCE_MS = 20_000;

type Unrest = { what: string; count: number };

/** Waits until nothing is under way. @throws Error that names what still is */
export async function comeToRest(stage: Stage): Promise<void> {
  const patience = new Patience(REST_WITHIN_MS);
  for (const kept of [...stage.apis, ...stage.workers, stage.indexer]) await kept.up();
  let movedAt = Date.now();
  for (;;) {
    await sendAgain(stage).catch(() => {});
    const unrest = await findUnrest(stage).catch((error: Error) => [{ what: error.message, count: 1 }]);
    if (unrest.length === 0) return;
    if (patience.isOver) throw new Error(unrest.map(({ what, count }) => `${count} ${what}`).join(', '));
    const patienceMs = unrest.every(({ what }) => what === WAITING) ? WEBHOOK_PATIENCE_MS : MIXED_PATIENCE_MS;
    if (unrest.some(({ what }) => what === WAITING) && Date.now() - movedAt > patienceMs) {
      await moveClock(stage, SKIP_SECONDS);
      movedAt = Date.now();
    }
    await sleep(POLL_MS);
  }
}

const WAITING = 'webhooks wait';

/** What could not be prepared, and says so, is sent to its consumer again, as a shop would. */
async function sendAgain({ sql, client }: Stage): Promise<void> {
  const rows = await sql<{ id: string }[]>`
    select p.id from payment p
    where p.status = 'pending'
      and not exists (
        select 1 from graphile_worker._private_jobs j
        where j.payload->>'paymentId' = p.id::text and (j.attempts < j.max_attempts or j.locked_at is not null))
      and exists (
        select 1 from payment_log l
        where l.node_id = p.node_id and l.payment_id = p.id and l.event_type = 'payment.send_failed')`;
  for (const { id } of rows) await client.call('POST', `/payments/${id}/retry-send`);
}

async function findUnrest(stage: Stage): Promise<Unrest[]> {
  const { sql, chain, diamond, wallets, payee } = stage;
  const head = await chain.getBlockNumber();
  const recent = await chain.getLogs({ address: diamond, fromBlock: head - BigInt(CONFIRMATIONS), toBlock: head });
  const [counts] = await sql<Record<string, number>[]>`
    select
      (select count(*)::int from operation where status in ('queued', 'submitted')) as "operations under way",
      (select count(*)::int from chain_transaction where final_at is null) as "transactions not final",
      (select count(*)::int from graphile_worker._private_jobs
        where attempts < max_attempts or locked_at is not null) as "jobs queued",
      (select count(*)::int from payment_log where position is null) as "events without a place",
      (select count(*)::int from webhook_delivery where status = 'waiting') as ${sql(WAITING)},
      (select count(*)::int from deal where chain_status = 'confirming') as "deposits confirming",
      (select count(*)::int from payment where status in ('pending', 'cancel_requested')) as "payments between two states"`;
  const [mirror] = await sql<{ block: bigint }[]>`select block from chain.position where is_ready`;
  const unrest = Object.entries(counts ?? {}).map(([what, count]) => ({ what, count }));
  unrest.push({ what: 'recent events', count: recent.length });
  unrest.push({ what: 'blocks not mirrored', count: Math.max(0, Number(head - (mirror?.block ?? 0n)) - 1) });
  unrest.push({
    what: "wallets' transactions not mined",
    count: [...wallets, payee].filter(({ isWaiting }) => isWaiting).length,
  });
  return unrest.filter(({ count }) => count > 0);
}
