// Owns reading withdrawals from the indexer's mirror: which fee accounts somebody withdrew from, when, and what of a node's fees was
// there then. A withdrawal pays out the whole credit of an address, whichever nodes and deals it came from.
import type { Address, Hex } from 'viem';
import type { Sql, Transaction } from '../database/db.ts';
import type { FeeAccount, WithdrawalEvent } from '../ledger.ts';
import type { NetworkRow } from '../schema.ts';
import { mirrorPosition, type SafeBlock } from './mirror.ts';

/** A confirmed withdrawal; `amountUnits` is all that the address was paid, of whatever node. */
export type Withdrawal = WithdrawalEvent & {
  token: Address;
  account: Address;
  amountUnits: bigint;
  blockNumber: bigint;
  transactionHash: Hex;
  logIndex: number;
};

/** A node's fee account and the token that it is in. */
export type FeeAccountInToken = FeeAccount & { token: Address };

// A reorganisation that takes back more than the last hour is found by the look at everything.
const RECENT = '1 hour';

/**
 * Fee accounts whose withdrawals may be others than the ledger says: somebody withdrew from the block `since` on, or what we have
 * posted lately may be gone. 0: every account that anything was ever withdrawn from. None while the indexer rebuilds.
 */
export async function touchedFeeAccounts(
  sql: Sql | Transaction,
  network: NetworkRow,
  safe: SafeBlock,
  since: bigint,
): Promise<FeeAccountInToken[]> {
  const fees = sql`a.type = 'fee' and a.held_by is null`;
  return await sql<FeeAccountInToken[]>`
    with mirror as (${mirrorPosition(sql, network)})
    select a.node_id, a.owner, a.currency_id, c.token_address as token
    from mirror cross join chain.credit_event w
    join currency c on c.network_id = ${network.id} and c.token_address = w.token
    join ledger_account a on a.owner = w.account and a.currency_id = c.id and ${fees}
    where mirror.block >= ${safe.number} and w.chain_id = ${network.eip155Id} and w.diamond = ${network.diamondAddress}
      and w.name = 'Withdrawn' and w.block_number between ${since} and ${safe.number}
    union
    select a.node_id, a.owner, a.currency_id, c.token_address
    from mirror cross join ledger_entry e
    join ledger_posting p on p.node_id = e.node_id and p.entry_id = e.id
    join ledger_account a on a.node_id = p.node_id and a.id = p.account_id and ${fees}
    join currency c on c.id = a.currency_id and c.network_id = ${network.id}
    where mirror.block >= ${safe.number} and e.leg_id is null
      ${since > 0n ? sql`and e.recorded_at > now() - ${RECENT}::interval` : sql``}`;
}

/** Everything that was withdrawn from an address in a token up to the safe block, in the chain's order. */
export async function readWithdrawals(
  sql: Sql | Transaction,
  network: NetworkRow,
  safe: SafeBlock,
  { token, owner }: Pick<FeeAccountInToken, 'token' | 'owner'>,
): Promise<Withdrawal[]> {
  const rows = await sql<(Omit<Withdrawal, 'effectiveAt'> & { blockTimestamp: bigint })[]>`
    select token, account, amount as amount_units, block_number, block_timestamp, transaction_hash, log_index::int as log_index,
      concat_ws(':', chain_id, block_number, transaction_hash, log_index) as source
    from chain.credit_event
    where chain_id = ${network.eip155Id} and diamond = ${network.diamondAddress} and name = 'Withdrawn'
      and token = ${token} and account = ${owner} and block_number <= ${safe.number}
    order by block_number, log_index`;
  return rows.map(({ blockTimestamp, ...row }) => ({ ...row, effectiveAt: new Date(Number(blockTimestamp) * 1000) }));
}

/** All fees that deals of a node had earned for a recipient before a place in the chain, in base units. */
export async function feesBefore(
  sql: Sql | Transaction,
  network: NetworkRow,
  { nodeId, owner, token }: FeeAccountInToken,
  { blockNumber, logIndex }: Pick<Withdrawal, 'blockNumber' | 'logIndex'>,
): Promise<bigint> {
  const [row] = await sql<{ fees: bigint }[]>`
    select coalesce(sum(div(d.fee_units * e.released, d.amount_units)), 0) as fees
    from deal d join lateral (
      select e.released from chain.deal_event e
      where e.chain_id = ${network.eip155Id} and e.diamond = ${network.diamondAddress} and e.deal_id = d.deal_id
        and (e.block_number, e.log_index) < (${blockNumber}, ${logIndex})
      order by e.block_number desc, e.log_index desc limit 1
    ) e on true
    where d.node_id = ${nodeId} and d.network_id = ${network.id} and d.fee_recipient = ${owner} and d.token = ${token}
      and d.deal_id is not null`;
  return row?.fees ?? 0n;
}
