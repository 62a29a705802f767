// Owns reading the indexer's mirror of the chain: plain SQL on the views in schema `chain` (indexer/ponder.schema.ts; made by
// deployments.ts).
// It is never trusted early: a fact counts once its block is at or below the safe block that the caller names.
import type { Address, Hex } from 'viem';
import { isMissingRelation, type Sql, type Transaction } from '../database/db.ts';
import type { DealEvent } from '../ledger.ts';
import type { ChainStatus, NetworkRow } from '../schema.ts';

/** What the chain says of one leg: the columns of our deal row that follow from the mirror. */
export type DealFacts = {
  nodeId: string;
  paymentId: string;
  legId: string;
  chainStatus: ChainStatus;
  dealId: Hex | null;
  payer: Address | null;
  releasedUnits: bigint;
  refundedUnits: bigint;
  depositTransaction: Hex | null;
  /** Of the event that the status follows from; null for `none` and `expired`. */
  eventName: string | null;
  blockNumber: bigint | null;
  transactionHash: Hex | null;
  logIndex: number | null;
};

/** Up to where the mirror counts: the newest block that is deep enough, and its time in Unix seconds. */
export type SafeBlock = { number: bigint; timestamp: bigint };

/** A deal on chain that bears our number or operator but no offer of ours. */
export type StrayFacts = {
  dealId: Hex;
  kind: 'unmatched' | 'duplicate';
  nodeId: string | null;
  paymentId: string | null;
  /** Of its deposit. */
  blockNumber: bigint;
  transactionHash: Hex;
  logIndex: number;
};

// One pass takes this many legs at most; the next pass follows at once when it was full.
const BATCH_SIZE = 200;

/** Which legs to look at: one, or all that something touched from this block on, their deadline included; 0: every leg. */
export type LegsOf = { nodeId: string; legId: string } | { since: bigint };

/**
 * The legs of a network whose row differs from the mirror at the safe block; or one leg's facts, changed or not. Empty while
 * the indexer rebuilds: it then drops rows that it will mirror again, so a missing row proves nothing, and neither does a
 * mirror that has not come to the safe block, or a safe block that has not come back to the block of what we know.
 */
export async function readFacts(
  sql: Sql | Transaction,
  network: NetworkRow,
  safe: SafeBlock,
  legs: LegsOf,
): Promise<DealFacts[]> {
  const only = 'legId' in legs ? legs : undefined;
  return await sql<DealFacts[]>`
    with mirror as (
      ${mirrorPosition(sql, network)}
    ), facts as (
      select
        d.node_id, d.payment_id, d.id as leg_id,
        case
          when m.id is not null then coalesce(e.status, 'confirming')
          when c.id is not null then 'closed'
          when d.deposit_deadline < ${safe.timestamp} then 'expired'
          else 'none'
        end as chain_status,
        m.id as deal_id, m.payer,
        coalesce(e.released, 0) as released_units, coalesce(e.refunded, 0) as refunded_units,
        m.deposit_transaction,
        coalesce(e.name, case when m.id is null then c.name else 'Deposited' end) as event_name,
        coalesce(e.block_number, m.deposit_block, c.block) as block_number,
        coalesce(e.transaction_hash, m.deposit_transaction, c.transaction) as transaction_hash,
        coalesce(e.log_index, m.deposit_log_index, c.log_index) as log_index,
        d.chain_status as known_status, d.deal_id as known_deal_id, d.payer as known_payer,
        d.released_units as known_released, d.refunded_units as known_refunded,
        d.fact_block as known_block, d.fact_transaction as known_transaction, d.fact_log_index as known_log_index
      from mirror cross join deal d
      left join lateral (
        select * from chain.deal m
        where m.chain_id = ${network.eip155Id} and m.diamond = ${network.diamondAddress} and m.offer_id = d.offer_id
        order by m.id = d.deal_id desc nulls last, m.deposit_block, m.deposit_log_index limit 1
      ) m on true
      left join lateral (
        select * from chain.deal_event e
        where e.chain_id = m.chain_id and e.diamond = m.diamond and e.deal_id = m.id and e.block_number <= ${safe.number}
        order by e.block_number desc, e.log_index desc limit 1
      ) e on true
      left join lateral (
        select c.*, 'DealCancelled' as name from chain.closed_deal c
        where c.chain_id = ${network.eip155Id} and c.diamond = ${network.diamondAddress} and c.id = d.offer_id
          and c.block <= ${safe.number}
      ) c on true
      where d.network_id = ${network.id} and d.offer_id is not null
        and mirror.block >= greatest(d.fact_block, ${safe.number})
        and (d.fact_block is null or d.chain_status = 'confirming' or ${safe.number} >= d.fact_block)
        ${only ? sql`and d.node_id = ${only.nodeId} and d.id = ${only.legId}` : sql``}
        ${'since' in legs && legs.since > 0n ? sql`and (d.node_id, d.id) in (${touched(sql, network, safe, legs.since)})` : sql``}
    )
    select node_id, payment_id, leg_id, chain_status, deal_id, payer, released_units, refunded_units, deposit_transaction,
      event_name, block_number, transaction_hash, log_index::int as log_index
    from facts
    ${
      only
        ? sql``
        : sql`where (chain_status, deal_id, payer, released_units, refunded_units, block_number, transaction_hash, log_index)
            is distinct from (known_status, known_deal_id, known_payer, known_released, known_refunded, known_block,
              known_transaction, known_log_index)`
    }
    limit ${BATCH_SIZE}`;
}

/** The legs that something touched from the block `since` on: an event, a reorganisation of one, or their deposit deadline. */
function touched(sql: Sql | Transaction, network: NetworkRow, safe: SafeBlock, since: bigint) {
  return sql`
    select d.node_id, d.id from chain.deal m join deal d on d.network_id = ${network.id} and d.offer_id = m.offer_id
    where m.chain_id = ${network.eip155Id} and m.diamond = ${network.diamondAddress} and m.last_block >= ${since}
    union
    select d.node_id, d.id from chain.closed_deal c join deal d on d.network_id = ${network.id} and d.offer_id = c.id
    where c.chain_id = ${network.eip155Id} and c.diamond = ${network.diamondAddress} and c.block >= ${since}
    union
    select node_id, id from deal where network_id = ${network.id} and fact_block >= ${since}
    union
    select node_id, id from deal
    where network_id = ${network.id} and chain_status = 'none' and offer_id is not null
      and deposit_deadline < ${safe.timestamp}`;
}

/** The block up to which the mirror is complete; null while the indexer rebuilds or has not published its views yet. */
export async function mirroredBlock(sql: Sql, network: NetworkRow): Promise<bigint | null> {
  try {
    const [row] = await sql<{ block: bigint }[]>`${mirrorPosition(sql, network)}`;
    return row?.block ?? null;
  } catch (error) {
    if (isMissingRelation(error)) return null;
    throw error;
  }
}

/** Whether an error says that the indexer has not published its views yet: the same request succeeds once it has. */
export function isMirrorMissing(error: unknown): boolean {
  return isMissingRelation(error) && /\bchain\b/.test((error as Error).message);
}

/** One row with the block up to which the mirror is complete, or none while the indexer rebuilds. */
export function mirrorPosition(sql: Sql | Transaction, network: NetworkRow) {
  return sql`
    select p.block from chain.position p
    where p.chain_id = ${network.eip155Id} and p.diamond = ${network.diamondAddress} and p.is_ready`;
}

/** The newest block that the indexer no longer takes back, as far as it has noted; its depth is the chain's own (Ponder). */
export async function finalizedBlock(sql: Sql | Transaction, network: NetworkRow): Promise<bigint> {
  const [row] = await sql<{ block: bigint }[]>`
    select finalized_block as block from chain.position
    where chain_id = ${network.eip155Id} and diamond = ${network.diamondAddress}`;
  return row?.block ?? 0n;
}

/** Whether the mirror has something that this transaction did to the deal or offer, in a block up to `upTo` or in any. */
export async function isMirrored(
  sql: Sql | Transaction,
  network: NetworkRow,
  { dealId, transactionHash, upTo }: { dealId: Hex; transactionHash: Hex; upTo: bigint | null },
): Promise<boolean> {
  const { eip155Id, diamondAddress } = network;
  const [row] = await sql`
    select 1 from chain.deal_event
    where chain_id = ${eip155Id} and diamond = ${diamondAddress} and deal_id = ${dealId}
      and transaction_hash = ${transactionHash} ${upTo === null ? sql`` : sql`and block_number <= ${upTo}`}
    union all
    select 1 from chain.closed_deal
    where chain_id = ${eip155Id} and diamond = ${diamondAddress} and id = ${dealId}
      and transaction = ${transactionHash} ${upTo === null ? sql`` : sql`and block <= ${upTo}`}
    limit 1`;
  return row !== undefined;
}

/** A deal's event as the ledger takes it, with what answers an operation that others sign. */
export type MirroredEvent = DealEvent & { evidence: Hex | null; blockNumber: bigint; transactionHash: Hex };

/** A deal's confirmed events in the chain's order. */
export async function readEvents(
  sql: Sql | Transaction,
  network: NetworkRow,
  safe: SafeBlock,
  dealId: Hex,
): Promise<MirroredEvent[]> {
  const rows = await sql<
    (Omit<MirroredEvent, 'releasedUnits' | 'refundedUnits' | 'effectiveAt'> & {
      released: bigint;
      refunded: bigint;
      blockTimestamp: bigint;
    })[]
  >`
    select name, released, refunded, evidence, block_number, block_timestamp, transaction_hash,
      concat_ws(':', chain_id, block_hash, transaction_hash, log_index) as source
    from chain.deal_event
    where chain_id = ${network.eip155Id} and diamond = ${network.diamondAddress} and deal_id = ${dealId}
      and block_number <= ${safe.number}
    order by block_number, log_index`;
  return rows.map(({ released, refunded, blockTimestamp, ...event }) => ({
    ...event,
    releasedUnits: released,
    refundedUnits: refunded,
    effectiveAt: new Date(Number(blockTimestamp) * 1000),
  }));
}

/** Who opened the dispute that a deal is in; null without one. */
export async function disputeOpener(
  sql: Sql | Transaction,
  network: NetworkRow,
  dealId: Hex,
): Promise<'payer' | 'payee' | null> {
  const [row] = await sql<{ disputedBy: 'payer' | 'payee' | null }[]>`
    select disputed_by from chain.deal
    where chain_id = ${network.eip155Id} and diamond = ${network.diamondAddress} and id = ${dealId}`;
  return row?.disputedBy ?? null;
}

/** Confirmed deals that fund no payment and are not recorded yet: a second deal for an offer of ours, or other terms under our number or operator. */
export async function readStrays(
  sql: Sql,
  network: NetworkRow,
  safe: SafeBlock,
  { since }: { since: bigint },
): Promise<StrayFacts[]> {
  return await sql<StrayFacts[]>`
    select m.id as deal_id,
      case when d.payment_id is null then 'unmatched' else 'duplicate' end as kind,
      coalesce(d.node_id, n.node_id) as node_id, coalesce(d.payment_id, n.payment_id) as payment_id,
      m.deposit_block as block_number, m.deposit_transaction as transaction_hash, m.deposit_log_index as log_index
    from chain.deal m
    left join deal d on d.network_id = ${network.id} and d.offer_id = m.offer_id
    left join deal n on n.network_id = ${network.id} and n.number = m.number
    where m.chain_id = ${network.eip155Id} and m.diamond = ${network.diamondAddress} and m.deposit_block <= ${safe.number}
      and m.last_block >= ${since}
      and (d.payment_id is null or (d.deal_id is not null and d.deal_id <> m.id))
      and (d.payment_id is not null or n.payment_id is not null or m.operator = ${network.operatorAddress})
      and not exists (select 1 from stray_deal s where s.network_id = ${network.id} and s.deal_id = m.id)
    limit ${BATCH_SIZE}`;
}
