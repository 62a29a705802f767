// Owns the rows of what signers send: one a nonce, every form of it that was signed, and the operations that it carries. The
// database itself refuses a nonce twice and an operation in two transactions at once. Knows no chain and no key.
import { type Hex, keccak256 } from 'viem';
import { columns, type Sql, type Transaction } from '../database/db.ts';
import type { OperationRow } from '../schema.ts';

/** One signer on one network. Its nonces are the chain's, whose other networks may use them too. */
export type Lane = { networkId: string; chainId: string; signer: Hex };

/** One transaction of ours, by its nonce. */
export type NonceKey = Omit<Lane, 'chainId'> & { nonce: bigint };

/** open: in no block that we know of. taken: a transaction that is not ours has the nonce. */
export type TransactionStatus = 'open' | 'mined' | 'reverted' | 'taken';

/** A transaction of ours that is not final yet. */
export type FollowedTransaction = Lane & {
  nonce: bigint;
  status: TransactionStatus;
  blockNumber: bigint | null;
  blockHash: Hex | null;
  minedHash: Hex | null;
  missingSince: Date | null;
  /** Every form that was signed, the newest first. */
  forms: SignedForm[];
};

/** One signed form of a nonce; `sentAt`: when a node last had it from us. */
export type SignedForm = { attempt: number; hash: Hex; raw: Hex; createdAt: Date; sentAt: Date | null };

/** What a deal had settled when a part of it was signed, in base units; null for verbs that move all that is held. */
export type SettledBefore = { releasedUnits: bigint; refundedUnits: bigint } | null;

/** The first nonce that no row has, or null when the signer has none on this chain. */
export async function nonceAfterOurs(sql: Sql | Transaction, { chainId, signer }: Lane): Promise<bigint | null> {
  const [row] = await sql<{ next: bigint | null }[]>`
    select max(nonce) + 1 as next from chain_transaction where chain_id = ${chainId} and signer = ${signer}`;
  return row?.next ?? null;
}

/** Stores a signed transaction with what it carries, before anything is sent. */
export async function storeTransaction(
  tx: Transaction,
  { chainId, ...lane }: Lane,
  { nonce, raw, carries }: { nonce: bigint; raw: Hex; carries: { operation: OperationRow; before: SettledBefore }[] },
): Promise<SignedForm> {
  await tx`insert into chain_transaction ${tx(columns({ ...lane, chainId, nonce, status: 'open' }))}`;
  if (carries.length > 0) {
    await tx`insert into transaction_operation ${tx(
      carries.map(({ operation, before }, position) =>
        columns({
          ...lane,
          nonce,
          position,
          nodeId: operation.nodeId,
          operationId: operation.id,
          releasedUnits: before?.releasedUnits ?? null,
          refundedUnits: before?.refundedUnits ?? null,
        }),
      ),
    )}`;
    await tx`
      update operation set status = 'submitted', transaction_hash = ${keccak256(raw)}, updated_at = now()
      where (node_id, id) in (
        select node_id, operation_id from transaction_operation
        where network_id = ${lane.networkId} and signer = ${lane.signer} and nonce = ${nonce})`;
  }
  return await storeForm(tx, { ...lane, nonce }, raw);
}

/** Stores another signed form of a nonce that has a row. */
export async function storeForm(
  tx: Sql | Transaction,
  { networkId, signer, nonce }: NonceKey,
  raw: Hex,
): Promise<SignedForm> {
  const [form] = await tx<SignedForm[]>`
    insert into signed_transaction (network_id, signer, nonce, attempt, hash, raw)
    select ${networkId}, ${signer}, ${nonce}, coalesce(max(attempt) + 1, 0), ${keccak256(raw)}, ${raw}
    from signed_transaction where network_id = ${networkId} and signer = ${signer} and nonce = ${nonce}
    returning attempt, hash, raw, created_at, sent_at`;
  if (!form) throw new Error('The signed transaction was not stored.');
  return form;
}

/** Notes that a node has, or may have, this form. */
export async function markSent(sql: Sql, hash: Hex): Promise<void> {
  await sql`update signed_transaction set sent_at = now() where hash = ${hash}`;
}

/** The lane's transactions that are not final, by nonce. */
export async function followedTransactions(sql: Sql, { networkId, signer }: Lane): Promise<FollowedTransaction[]> {
  const rows = await sql<Omit<FollowedTransaction, 'forms'>[]>`
    select network_id, chain_id, signer, nonce, status, block_number, block_hash, mined_hash, missing_since
    from chain_transaction
    where network_id = ${networkId} and signer = ${signer} and final_at is null order by nonce`;
  const forms = await sql<(SignedForm & { nonce: bigint })[]>`
    select s.nonce, s.attempt, s.hash, s.raw, s.created_at, s.sent_at from signed_transaction s
    join chain_transaction t using (network_id, signer, nonce)
    where network_id = ${networkId} and signer = ${signer} and final_at is null order by attempt desc`;
  return rows.map((row) => ({ ...row, forms: forms.filter((form) => form.nonce === row.nonce) }));
}

/** The operations that a transaction carries, in the order of its batch. */
export async function carriedOperations(sql: Sql | Transaction, { networkId, signer, nonce }: NonceKey) {
  return await sql<OperationRow[]>`
    select o.* from transaction_operation e join operation o on o.node_id = e.node_id and o.id = e.operation_id
    where e.network_id = ${networkId} and e.signer = ${signer} and e.nonce = ${nonce} and e.live order by e.position`;
}

/** Writes what the chain says of a transaction now. */
export async function recordStatus(
  sql: Sql | Transaction,
  { networkId, signer, nonce }: NonceKey,
  fact: {
    status: TransactionStatus;
    minedHash: Hex | null;
    blockNumber: bigint | null;
    blockHash: Hex | null;
    missingSince: Date | null;
  },
): Promise<void> {
  await sql`
    update chain_transaction set ${sql(columns(fact))}, final_at = null
    where network_id = ${networkId} and signer = ${signer} and nonce = ${nonce}`;
}

/** No fact: the transaction is in no block that we know of. */
export const NOWHERE = {
  status: 'open',
  minedHash: null,
  blockNumber: null,
  blockHash: null,
  missingSince: null,
} as const;

/** Ends the following of a transaction whose outcome is written. */
export async function markFinal(sql: Sql | Transaction, { networkId, signer, nonce }: NonceKey): Promise<void> {
  await sql`
    update chain_transaction set final_at = now()
    where network_id = ${networkId} and signer = ${signer} and nonce = ${nonce}`;
}

/** Takes the operations that are not at their end out of a transaction that can no longer carry them: they wait again. */
export async function setFree(tx: Transaction, { networkId, signer, nonce }: NonceKey): Promise<void> {
  await tx`
    with freed as (
      update transaction_operation e set live = false from operation o
      where o.node_id = e.node_id and o.id = e.operation_id and o.status = 'submitted' and e.live
        and e.network_id = ${networkId} and e.signer = ${signer} and e.nonce = ${nonce}
      returning e.node_id, e.operation_id)
    update operation o set status = 'queued', updated_at = now() from freed
    where o.node_id = freed.node_id and o.id = freed.operation_id`;
}

/** What a part's deal had settled when it was last signed; undefined when it never was. */
export async function settledBefore(
  tx: Transaction,
  { nodeId, id }: OperationRow,
): Promise<{ releasedUnits: bigint; refundedUnits: bigint } | undefined> {
  const [row] = await tx<{ releasedUnits: bigint; refundedUnits: bigint }[]>`
    select released_units, refunded_units from transaction_operation
    where node_id = ${nodeId} and operation_id = ${id} and released_units is not null limit 1`;
  return row;
}

/**
 * The nonces from `from` on, below our last, that are final or unknown to us, whichever network of the chain they are of;
 * those that are followed are left out.
 */
export async function unfollowedNonces(
  sql: Sql,
  { chainId, signer }: Lane,
  from: bigint,
): Promise<{ nonce: bigint; networkId: string | null; status: TransactionStatus | null }[]> {
  return await sql<{ nonce: bigint; networkId: string | null; status: TransactionStatus | null }[]>`
    select n.nonce, t.network_id, t.status
    from generate_series(${from}::bigint, (
      select max(nonce) from chain_transaction where chain_id = ${chainId} and signer = ${signer})) as n(nonce)
    left join chain_transaction t on t.chain_id = ${chainId} and t.signer = ${signer} and t.nonce = n.nonce
    where t.nonce is null or t.final_at is not null order by n.nonce`;
}

// A reorganisation that goes deeper than a network's confirmations is not expected to come later than that.
const LOOKED_BACK_SECONDS = 600;

/** The networks on which something waits to be sent, is followed, or was final only a short time ago. */
export async function busyNetworks(sql: Sql): Promise<string[]> {
  const rows = await sql<{ networkId: string }[]>`
    select network_id from operation where status = 'queued'
    union select network_id from chain_transaction where final_at is null
    union select s.network_id from signer_standing s, lateral (
      select t.final_at from chain_transaction t where t.network_id = s.network_id and t.signer = s.signer
      order by t.nonce desc limit 1) newest
    where newest.final_at > now() - make_interval(secs => ${LOOKED_BACK_SECONDS})`;
  return rows.map((row) => row.networkId);
}
