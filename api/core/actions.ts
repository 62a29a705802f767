// Owns what integrations and widgets ask of a payment after it exists: cancel, release, retry, rotate, hand out call data.
// Each takes the payment's row lock, decides, and writes state, operation, log and queued work in one transaction.
import type { Hex } from 'viem';
import { zeroAddress } from 'viem';
import { type Sql, type Transaction, transact } from './db.ts';
import { findDeal, termsOf } from './deals.ts';
import { CoreError } from './errors.ts';
import { type Actor, writeLog } from './log.ts';
import { inFlight, latestOperation, recordOperation, requestOperation } from './operations.ts';
import { enqueueCreation, loadPayment, type PaymentKey, type PaymentRecord } from './payments.ts';
import type { DealRow, OperationRow, PaymentRow, PaymentStatus } from './schema.ts';
import { paymentStatus } from './status.ts';
import { termsToJson } from './terms.ts';

/** A payment and its deal, both locked until the transaction ends. @throws not_found */
export async function lockPayment(
  tx: Transaction,
  { nodeId, paymentId }: PaymentKey,
): Promise<{ payment: PaymentRow; deal: DealRow }> {
  const [payment] = await tx<PaymentRow[]>`
    select * from payment where node_id = ${nodeId} and id = ${paymentId} for update`;
  if (!payment) throw new CoreError('not_found', 'The payment does not exist.');
  return { payment, deal: await findDeal(tx, { nodeId, paymentId }, { lock: true }) };
}

/** Derives the payment's status anew from its row and its deal's; writes and logs it when it changed. */
export async function restate(
  tx: Transaction,
  key: PaymentKey,
  entry: { message: string; actor: Actor; chainFact?: Parameters<typeof writeLog>[2]['chainFact'] },
): Promise<PaymentStatus> {
  const { payment, deal } = await lockPayment(tx, key);
  const status = paymentStatus({ ...deal, ...payment });
  if (status === payment.status) return status;
  await tx`
    update payment set status = ${status}, updated_at = now()
    where node_id = ${key.nodeId} and id = ${key.paymentId}`;
  await writeLog(tx, key, { eventType: `payment.${status}`, ...entry });
  return status;
}

const CANCELLABLE: readonly PaymentStatus[] = [
  'pending',
  'awaiting_deposit',
  'expired',
  'confirming',
  'funded',
  'partially_released',
];

/**
 * Cancels a payment: an unfunded one is closed for good, a funded one is refunded. Asking again answers with the same
 * operation.
 * @throws illegal_transition when the payment is released, disputed or being released.
 */
export async function cancelPayment(sql: Sql, key: PaymentKey, actor: Actor): Promise<OperationRow> {
  return await transact(sql, async (tx) => {
    const { payment, deal } = await lockPayment(tx, key);
    const latest = await latestOperation(tx, key);
    if (latest?.verb === 'cancelDeal' && (inFlight(latest) || !CANCELLABLE.includes(payment.status))) return latest;
    if (inFlight(latest)) throw new CoreError('illegal_transition', 'The payment is being released.');
    if (!CANCELLABLE.includes(payment.status)) {
      throw new CoreError('illegal_transition', `A payment that is ${payment.status} cannot be cancelled.`);
    }
    const target = { ...key, networkId: payment.networkId, verb: 'cancelDeal' as const };
    if (!deal.offerId || (!deal.handedOutAt && deal.chainStatus === 'none')) {
      const operation = await recordOperation(tx, target, actor);
      await tx`update payment set cancelled_at = now() where node_id = ${key.nodeId} and id = ${key.paymentId}`;
      await restate(tx, key, { message: 'Cancelled before any call data was handed out.', actor });
      return operation;
    }
    const operation = await requestOperation(tx, { ...target, ...slotOf(deal), stray: false }, actor);
    await tx`update payment set cancel_requested_at = now() where node_id = ${key.nodeId} and id = ${key.paymentId}`;
    await restate(tx, key, { message: 'Cancellation requested; call data is withdrawn.', actor });
    return operation;
  });
}

/**
 * Releases what a funded payment's deal holds to the payee. Asking again answers with the same operation.
 * @throws illegal_transition unless the payment is funded or partially released and not being cancelled.
 */
export async function releasePayment(sql: Sql, key: PaymentKey, actor: Actor): Promise<OperationRow> {
  return await transact(sql, async (tx) => {
    const { payment, deal } = await lockPayment(tx, key);
    const latest = await latestOperation(tx, { ...key, verb: 'release' });
    if (latest && latest.status !== 'failed') return latest;
    if (payment.status !== 'funded' && payment.status !== 'partially_released') {
      throw new CoreError('illegal_transition', `A payment that is ${payment.status} cannot be released.`);
    }
    const target = { ...key, networkId: payment.networkId, verb: 'release' as const, stray: false };
    return await requestOperation(tx, { ...target, ...slotOf(deal) }, actor);
  });
}

/** The slot on chain that an operation on this payment acts on: its deal, or before a deposit its offer. */
function slotOf(deal: DealRow): { dealId: Hex; terms: ReturnType<typeof termsToJson> } {
  if (deal.dealId && deal.payer) return { dealId: deal.dealId, terms: termsToJson(termsOf(deal, deal.payer)) };
  if (!deal.offerId) throw new Error('The terms are not frozen yet.');
  return { dealId: deal.offerId, terms: termsToJson(termsOf(deal, zeroAddress)) };
}

/** Sends a pending web3 payment to the create-payment consumer again, with one more attempt. @throws not_retryable */
export async function retrySend(sql: Sql, key: PaymentKey, actor: Actor): Promise<PaymentRecord> {
  await transact(sql, async (tx) => {
    const { payment } = await lockPayment(tx, key);
    if (payment.paymentMethod !== 'web3' || payment.status !== 'pending') {
      throw new CoreError(
        'not_retryable',
        `Only a pending web3 payment can be sent again; this one is ${payment.status}.`,
      );
    }
    const retryCount = payment.retryCount + 1;
    await tx`
      update payment set retry_count = ${retryCount}, updated_at = now()
      where node_id = ${key.nodeId} and id = ${key.paymentId}`;
    await enqueueCreation(tx, key, { retry: payment.retry, retryCount });
    await writeLog(tx, key, { eventType: 'payment.retry_requested', message: 'Sent to the consumer again.', actor });
  });
  return await loadPayment(sql, key);
}

/** Revokes the payment's access token; the next read returns a new one. */
export async function rotateAccessToken(sql: Sql, key: PaymentKey, actor: Actor): Promise<PaymentRecord> {
  await transact(sql, async (tx) => {
    await lockPayment(tx, key);
    await tx`
      update payment set access_token_version = access_token_version + 1, updated_at = now()
      where node_id = ${key.nodeId} and id = ${key.paymentId}`;
    await writeLog(tx, key, { eventType: 'payment.access_token_rotated', message: 'Access token rotated.', actor });
  });
  return await loadPayment(sql, key);
}

/** What a widget shows; `payable` says whether call data goes with it. */
export type WidgetRecord = PaymentRecord & { payable: boolean };

/**
 * The payment behind a verified access token. Call data is only handed out while a deposit is possible, and that it was is
 * recorded first: from then on a cancellation has to close the offer on chain.
 * @throws not_found · unauthenticated when the token was rotated away.
 */
export async function openWidget(
  sql: Sql,
  { paymentId, version }: { paymentId: string; version: number },
): Promise<WidgetRecord> {
  const [row] = await sql<{ nodeId: string; accessTokenVersion: number }[]>`
    select node_id, access_token_version from payment where id = ${paymentId}`;
  if (!row) throw new CoreError('not_found', 'The payment does not exist.');
  if (row.accessTokenVersion !== version) throw new CoreError('unauthenticated', 'The access token was replaced.');
  const key = { nodeId: row.nodeId, paymentId };
  const record = await loadPayment(sql, key);
  if (!isPayable(record) || record.deal.handedOutAt) return { ...record, payable: isPayable(record) };
  await transact(sql, async (tx) => {
    const { payment, deal } = await lockPayment(tx, key);
    if (!isPayable({ payment, deal })) return;
    await tx`
      update deal set handed_out_at = coalesce(handed_out_at, now())
      where node_id = ${key.nodeId} and payment_id = ${paymentId}`;
  });
  const current = await loadPayment(sql, key);
  return { ...current, payable: isPayable(current) && current.deal.handedOutAt !== null };
}

function isPayable({ payment, deal }: { payment: PaymentRow; deal: DealRow }): boolean {
  return payment.status === 'awaiting_deposit' && deal.depositDeadline * 1000n > BigInt(Date.now());
}
