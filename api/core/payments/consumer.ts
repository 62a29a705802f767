// Owns the create-payment consumer and what follows an operation's end. Each may run twice.
import type { Hex } from 'viem';
import type { Chain } from '../chain/chain.ts';
import { learnSignatures } from '../chain/signatures.ts';
import { type Sql, transact } from '../database/db.ts';
import type { Attempt } from '../database/queue.ts';
import { CoreError } from '../errors.ts';
import { writeLog } from '../log.ts';
import type { Refusal } from '../schema.ts';
import { lockPayment, restate } from './actions.ts';
import { freezeTerms } from './deals.ts';
import { findOperation, logOperation, updateOperation } from './operations.ts';
import { loadPayment, networkOf } from './payments.ts';

/**
 * Checks the network and freezes a pending payment's terms; sends nothing. A failed attempt is logged on the payment.
 * @throws upstream_unavailable so that the queue tries again while attempts are left.
 */
export async function consumeCreation(
  sql: Sql,
  chain: Chain,
  key: { nodeId: string; paymentId: string },
  attempt: Attempt,
): Promise<void> {
  const record = await loadPayment(sql, key);
  if (record.payment.status !== 'pending') return;
  const { currency } = record;
  const network = networkOf(record);
  try {
    await chain.checkPayable(network, currency);
    await learnSignatures(sql, chain, network, currency);
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    const message = `Attempt ${attempt.number} of ${attempt.of} failed. ${error.message}`;
    await sql.begin((tx) =>
      writeLog(tx, key, { eventType: 'payment.send_failed', message, actor: { type: 'system' } }),
    );
    throw error;
  }
  await transact(sql, async (tx) => {
    const { deals } = await lockPayment(tx, key);
    for (const deal of deals) if (!deal.cancelledAt) await freezeTerms(tx, deal, network);
    await restate(tx, key, { message: 'Terms are frozen; a deposit is awaited.', actor: { type: 'system' } });
  });
}

/** How an operation ended; the hash of what was mined for it, if anything was. */
export type OperationResult = ({ done: true } | { done: false; refusal: Refusal }) & { transactionHash?: Hex };

/** Writes how an operation ended, once; a failed cancellation gives the payment back its status. */
export async function finishOperation(
  sql: Sql,
  key: { nodeId: string; operationId: string },
  result: OperationResult,
): Promise<void> {
  const operation = await findOperation(sql, key);
  if (!operation) return;
  const { nodeId, paymentId, legId, verb } = operation;
  const actor = { type: 'operator' } as const;
  await transact(sql, async (tx) => {
    const { deals } = paymentId === null ? { deals: [] } : await lockPayment(tx, { nodeId, paymentId });
    const deal = deals.find((candidate) => candidate.id === legId);
    const current = await findOperation(tx, key, { lock: true });
    if (!current || current.status === 'done' || current.status === 'failed') return;
    const { transactionHash = null } = result;
    const end = result.done ? { status: 'done' as const } : { status: 'failed' as const, error: result.refusal };
    await updateOperation(tx, current, { ...end, transactionHash });
    const message = result.done ? `${verb} was mined.` : `${verb} failed. ${result.refusal.message}`;
    await logOperation(tx, current, result.done ? 'done' : 'failed', message, actor);
    if (verb !== 'cancelDeal' || !deal) return;
    // A cancellation that failed, or that closed the offer after a deposit was in, has cancelled nothing.
    const overtaken = deal.dealId !== null && current.dealId === deal.offerId;
    if (result.done && !overtaken) return;
    await tx`update deal set cancel_requested_at = null where node_id = ${nodeId} and id = ${deal.id}`;
    await restate(tx, deal, { message: 'The cancellation did not take place.', actor });
  });
}
