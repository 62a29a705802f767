// Owns how each signer stands on each network: its balance, and whether it sends. Written when looked at, logged when changed.
import type { Logger } from 'pino';
import { columns, type Sql } from '../database/db.ts';
import type { NetworkRow } from '../schema.ts';
import type { Lane } from './transactions.ts';

/** ok, low: it should be topped up. paused: it is short of coin and sends nothing. dear: fees are above the ceiling, so it waits. */
export type StandingState = 'ok' | 'low' | 'paused' | 'dear';

/** A signer on a network; the balance in wei. */
export type Standing = Omit<Lane, 'chainId'> & {
  state: StandingState;
  detail: string | null;
  balanceWei: bigint;
  changedAt: Date;
  checkedAt: Date;
};

// Warned of while a hundred more transactions of the present size and price can be paid for.
const LOW_BELOW_TRANSACTIONS = 100n;

/** How a signer stands that has `balanceWei`, of which `boundWei` may go to what it sent, and whose next costs `nextWei`. */
export function standingOf(
  { balanceWei, boundWei, nextWei }: { balanceWei: bigint; boundWei: bigint; nextWei: bigint },
  network: Pick<NetworkRow, 'name'>,
): { state: StandingState; detail: string | null } {
  const free = balanceWei - boundWei;
  if (free < nextWei) {
    const detail = `It has ${balanceWei} wei on ${network.name}, ${boundWei} of them bound, and the next transaction may cost ${nextWei}: send it more.`;
    return { state: 'paused', detail };
  }
  const count = nextWei === 0n ? LOW_BELOW_TRANSACTIONS : free / nextWei;
  if (count >= LOW_BELOW_TRANSACTIONS) return { state: 'ok', detail: null };
  return {
    state: 'low',
    detail: `It has ${balanceWei} wei on ${network.name}, enough for ${count} more transactions.`,
  };
}

/** Writes how a signer stands, and logs it when that is another state than before. */
export async function recordStanding(
  sql: Sql,
  log: Logger,
  lane: Lane,
  { state, detail, balanceWei }: Pick<Standing, 'state' | 'detail' | 'balanceWei'>,
): Promise<void> {
  const [before] = await sql<{ state: StandingState }[]>`
    select state from signer_standing where network_id = ${lane.networkId} and signer = ${lane.signer}`;
  const changed = (before?.state ?? 'ok') !== state;
  const { networkId, signer } = lane;
  const values = columns({ networkId, signer, state, detail, balanceWei });
  await sql`
    insert into signer_standing ${sql(values)}
    on conflict (network_id, signer) do update set state = excluded.state, detail = excluded.detail,
      balance_wei = excluded.balance_wei, checked_at = now(),
      changed_at = case when signer_standing.state = excluded.state then signer_standing.changed_at else now() end`;
  if (!changed) return;
  const entry = { ...lane, state, detail };
  if (state === 'ok') log.info(entry, 'the signer stands well again');
  else if (state === 'dear') log.warn(entry, 'fees are above the ceiling; the signer waits');
  else log[state === 'paused' ? 'error' : 'warn'](entry, `the signer is ${state}`);
}

/** Every signer on every network that it has sent on, with what waits for the chain. */
export async function listStandings(
  sql: Sql,
): Promise<(Standing & { network: string; openTransactions: number; waitingOperations: number })[]> {
  return await sql`
    select s.*, n.name as network,
      (select count(*)::int from chain_transaction t
        where t.network_id = s.network_id and t.signer = s.signer and t.status = 'open') as open_transactions,
      (select count(*)::int from operation o
        where o.network_id = s.network_id and o.status = 'queued') as waiting_operations
    from signer_standing s join network n on n.id = s.network_id order by n.name, s.signer`;
}
