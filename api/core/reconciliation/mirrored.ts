// Owns holding the mirror against the chain: every event of the diamond up to a block, read from its nodes, beside the rows that the
// indexer made of it. Judges nothing by itself and writes nothing; that the sums are right is reconcile's part (reconcile.ts).
import type { Hex } from 'viem';
import { decodeDealState, offerId } from '../../../contracts/terms.ts';
import type { Chain } from '../chain/chain.ts';
import { type DiamondLog, type LoggedRange, readDiamondLogs } from '../chain/diamondLogs.ts';
import type { Sql } from '../database/db.ts';
import type { NetworkRow } from '../schema.ts';

/**
 * A row of the mirror that is not as the chain has it. `field`: the column that differs; null when one of the two has no such row:
 * then what `chain` or `mirror` has is the event's name, and the other is null. Of a deal's terms `what` is `deal`.
 */
export type Mismirrored = {
  block: bigint;
  logIndex: number;
  what: 'event' | 'deal' | 'closed deal' | 'skipped deal' | 'credit';
  dealId: Hex | null;
  transactionHash: Hex | null;
  field: string | null;
  chain: string | null;
  mirror: string | null;
};

/** How many events the chain has in the blocks that were looked at, and the rows of the mirror that are not as it says. */
export type Mirrored = { events: number; differences: Mismirrored[] };

type Row = {
  what: Mismirrored['what'];
  block: bigint;
  logIndex: number;
  /** What the row is of, said when the other side has none. */
  name: string;
  dealId: Hex | null;
  transactionHash: Hex;
  fields: Record<string, string>;
};

/**
 * Compares what the mirror has of the blocks `from` to `to` with what the diamond logged in them. A block's time is compared where
 * the nodes say it with its logs; who sent a transaction is not.
 * @throws upstream_unavailable when no quorum gives the logs
 */
export async function compareMirror(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  { from, to }: { from: bigint; to: bigint },
  onProgress: (block: bigint) => void = () => {},
): Promise<Mirrored> {
  const found: Mirrored = { events: 0, differences: [] };
  for await (const range of readDiamondLogs(chain, network, { from, to })) {
    const logged = range.logs.flatMap((log) => rowsOf(network, log));
    const dealIds = logged.flatMap(({ what, dealId }) => (what === 'deal' && dealId ? [dealId] : []));
    found.events += logged.filter(
      ({ what }) => what === 'event' || what === 'skipped deal' || what === 'credit',
    ).length;
    found.differences.push(...differencesOf(logged, await mirroredRows(sql, network, range, dealIds)));
    onProgress(range.to);
  }
  const lacked = new Set(
    found.differences.flatMap(({ chain: has, mirror, dealId }) => (has && !mirror ? [dealId] : [])),
  );
  const unfounded = await unfoundedDeals(sql, network, { from, to });
  // Of a deal whose event the mirror lacks that has been said already.
  found.differences.push(...unfounded.filter(({ dealId }) => !lacked.has(dealId)));
  return found;
}

/** The rows that the indexer makes of an event (indexer/src/escrow.ts). */
function rowsOf(
  network: NetworkRow,
  { event, blockNumber: block, logIndex, transactionHash, ...log }: DiamondLog,
): Row[] {
  const at = { block, logIndex, transactionHash };
  const time: Record<string, string> = log.blockTimestamp === null ? {} : { block_timestamp: text(log.blockTimestamp) };
  const { eventName: name, args } = event;
  if (name === 'Skipped') {
    const row = { ...at, what: 'skipped deal', name, dealId: args.id } as const;
    return [{ ...row, fields: texts({ dealId: args.id, reason: args.reason, transactionHash }) }];
  }
  if (name === 'Credited' || name === 'Withdrawn') {
    const { token, account, amount } = args;
    const fields = { ...texts({ name, token, account, amount, transactionHash }), ...time };
    return [{ ...at, what: 'credit', name, dealId: null, fields }];
  }
  if (name !== 'Deposited' && !('state' in Object(args))) return [];
  const { id, state, evidence = null } = args as { id: Hex; state?: bigint; evidence?: Hex };
  const { released, refunded, status } =
    state === undefined ? { released: 0n, refunded: 0n, status: 'Funded' } : decodeDealState(state);
  const moved = { dealId: id, name, released, refunded, status: status.toLowerCase(), evidence };
  const fields = { ...texts({ ...moved, blockHash: log.blockHash, transactionHash }), ...time };
  const rows: Row[] = [{ ...at, what: 'event', name, dealId: id, fields }];
  if (name === 'Deposited') {
    const { terms } = event.args;
    const derived = {
      offerId: offerId(terms, Number(network.eip155Id), network.diamondAddress),
      number: terms.ref >> 192n,
      depositBlock: block,
      depositLogIndex: logIndex,
      depositTransaction: transactionHash,
    };
    rows.push({ ...at, what: 'deal', name, dealId: id, fields: texts({ ...terms, ...derived }) });
  }
  if (status === 'Cancelled') {
    rows.push({ ...at, what: 'closed deal', name, dealId: id, fields: texts({ transaction: transactionHash }) });
  }
  return rows;
}

/** What the mirror has of a range of blocks, and the deals that were deposited into in it. */
async function mirroredRows(
  sql: Sql,
  { eip155Id, diamondAddress }: NetworkRow,
  { from, to }: Pick<LoggedRange, 'from' | 'to'>,
  dealIds: Hex[],
): Promise<Row[]> {
  const here = sql`chain_id = ${eip155Id} and diamond = ${diamondAddress}`;
  const between = sql`block_number between ${from} and ${to}`;
  const [events, skipped, credits, closed, deals] = await Promise.all([
    sql`select * from chain.deal_event where ${here} and ${between}`,
    sql`select * from chain.skipped_deal where ${here} and ${between}`,
    sql`select * from chain.credit_event where ${here} and ${between}`,
    sql`select *, block as block_number, transaction as transaction_hash from chain.closed_deal
      where ${here} and block between ${from} and ${to}`,
    sql`select *, deposit_block as block_number, deposit_log_index as log_index, deposit_transaction as transaction_hash
      from chain.deal where ${here} and id = any(${dealIds})`,
  ]);
  const rows = (found: readonly Record<string, unknown>[], what: Row['what'], name?: string) =>
    found.map((row): Row => {
      const dealId = (row.dealId ?? row.id ?? null) as Hex | null;
      return {
        what,
        block: BigInt(String(row.blockNumber)),
        logIndex: Number(row.logIndex),
        name: name ?? String(row.name),
        dealId,
        transactionHash: row.transactionHash as Hex,
        fields: texts(row),
      };
    });
  return [
    ...rows(events, 'event'),
    ...rows(skipped, 'skipped deal', 'Skipped'),
    ...rows(credits, 'credit'),
    ...rows(closed, 'closed deal', 'DealCancelled'),
    ...rows(deals, 'deal', 'Deposited'),
  ];
}

/**
 * Deals that rest on no deposit of the mirror's, which has been held against the chain, and deals that stand otherwise than their
 * last event left them.
 */
async function unfoundedDeals(
  sql: Sql,
  { eip155Id, diamondAddress }: NetworkRow,
  { from, to }: { from: bigint; to: bigint },
): Promise<Mismirrored[]> {
  const rows = await sql<
    { id: Hex; block: bigint; logIndex: number; transaction: Hex; stands: string; left: string; known: boolean }[]
  >`
    with standing as (
      select m.id, m.deposit_block as block, m.deposit_log_index as log_index, m.deposit_transaction as transaction,
        concat_ws(' ', m.status, m.released, m.refunded, m.last_block, m.last_log_index) as stands,
        exists (
          select 1 from chain.deal_event e
          where e.chain_id = m.chain_id and e.diamond = m.diamond and e.block_number = m.deposit_block
            and e.log_index = m.deposit_log_index and e.deal_id = m.id and e.name = 'Deposited') as known,
        (select concat_ws(' ', e.status, e.released, e.refunded, e.block_number, e.log_index) from chain.deal_event e
          where e.chain_id = m.chain_id and e.diamond = m.diamond and e.deal_id = m.id
          order by e.block_number desc, e.log_index desc limit 1) as "left"
      from chain.deal m
      where m.chain_id = ${eip155Id} and m.diamond = ${diamondAddress} and m.deposit_block between ${from} and ${to}
    )
    select * from standing where not known or "left" <> stands`;
  return rows.map(({ id: dealId, block, logIndex, transaction: transactionHash, stands, left, known }) => {
    const row = { block, logIndex, what: 'deal' as const, dealId, transactionHash };
    if (!known) return { ...row, field: null, chain: null, mirror: 'Deposited' };
    return { ...row, field: 'status, released, refunded, last block and place', chain: left, mirror: stands };
  });
}

function differencesOf(logged: Row[], mirrored: Row[]): Mismirrored[] {
  const left = new Map(mirrored.map((row) => [keyOf(row), row]));
  const differences: Mismirrored[] = [];
  for (const row of logged) {
    const other = left.get(keyOf(row));
    left.delete(keyOf(row));
    if (!other) {
      differences.push({ ...placeOf(row), field: null, chain: row.name, mirror: null });
      continue;
    }
    for (const [field, chain] of Object.entries(row.fields)) {
      const mirror = other.fields[field] ?? '';
      if (mirror !== chain) differences.push({ ...placeOf(row), field, chain, mirror });
    }
  }
  for (const row of left.values()) differences.push({ ...placeOf(row), field: null, chain: null, mirror: row.name });
  return differences;
}

function keyOf({ what, block, logIndex, dealId }: Row): string {
  // A deal's row is found by its id, so that one at another place than its deposit is a row that differs.
  return what === 'deal' ? `deal ${dealId}` : `${what} ${block} ${logIndex}`;
}

function placeOf({ what, block, logIndex, dealId, transactionHash }: Row) {
  return { what, block, logIndex, dealId, transactionHash };
}

/** A row as columns and text: hex in lower case, whole numbers in decimal. */
function texts(row: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      text(value),
    ]),
  );
}

function text(value: unknown): string {
  return value === null || value === undefined ? '' : String(value).toLowerCase();
}
