// Owns what a buyer's wallet says it has sent. It is a hint for the buyer's other devices and moves nothing: that a deposit is
// there, only the chain says.
import type { Hex } from 'viem';
import type { Sql } from './db.ts';
import type { PaymentKey } from './payments.ts';

/** Keeps the hash of a deposit that was sent, in place of an earlier one. */
export async function reportTransaction(sql: Sql, { nodeId, paymentId }: PaymentKey, hash: Hex): Promise<void> {
  await sql`
    insert into reported_transaction ${sql({ nodeId, paymentId, transactionHash: hash.toLowerCase() })}
    on conflict (node_id, payment_id) do update set transaction_hash = excluded.transaction_hash, reported_at = now()`;
}

/** Forgets it: the wallet says that it was dropped or refused. */
export async function withdrawReport(sql: Sql, { nodeId, paymentId }: PaymentKey): Promise<void> {
  await sql`delete from reported_transaction where node_id = ${nodeId} and payment_id = ${paymentId}`;
}
