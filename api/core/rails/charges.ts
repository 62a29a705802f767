// Owns what a provider's word means for a payment: its charges and refunds as the provider has them are compared with ours, and
// what differs moves state, memo balances and log in one transaction. Callbacks and answers say the same thing here, so that one
// may be lost, repeated or late.

import { unexplained } from '../chain/refusals.ts';
import { systemClock } from '../clock.ts';
import { type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { postMemo } from '../ledger.ts';
import { type Actor, writeLog } from '../log.ts';
import { lockPayment, restate } from '../payments/actions.ts';
import { findOperation, logOperation, updateOperation } from '../payments/operations.ts';
import { findCurrency } from '../platform/platform.ts';
import type {
  AttemptRow,
  AttemptStatus,
  ChainStatus,
  CurrencyRow,
  DealRow,
  MoneyDifference,
  PaymentRow,
} from '../schema.ts';
import {
  addRefund,
  findAttempts,
  findCharge,
  lockAttempt,
  missingUnits,
  OVER,
  owedUnits,
  updateAttempt,
} from './attempts.ts';
import type { ChargeSnapshot, RefundSnapshot } from './provider.ts';
import { memoParties, moveMemo } from './railLegs.ts';

/** How we came to know: the provider told us, answered what we asked of it, or was asked whether anything had been missed. */
export type Heard = 'callback' | 'answer' | 'reconciliation';

const SYSTEM: Actor = { type: 'system' };

// What an open charge is asked for by itself, in case a callback was lost.
const FIRST_LOOK_MS = 15_000;
const MAX_LOOK_MS = 600_000;
// A transfer may come after everything is over.
const LATE_LOOK_MS = 3_600_000;

/**
 * Brings a charge, its payment and their memo balances to what the provider says; an older snapshot than the last one changes
 * nothing. Answers whether anything changed.
 * @throws not_found for a charge that is not ours · invalid_request when amount or currency are not what we asked for.
 */
export async function applyCharge(
  sql: Sql | Transaction,
  provider: string,
  snapshot: ChargeSnapshot,
  heard: Heard,
): Promise<boolean> {
  const known = await findCharge(sql, { provider, ...snapshot });
  if (!known) throw new CoreError('not_found', 'The provider speaks of a charge that is not ours.');
  return await transact(sql, async (tx) => {
    const { payment, deals } = await lockPayment(tx, known);
    const charge = await lockAttempt(tx, { nodeId: known.nodeId, attemptId: known.id });
    if (!charge) return false;
    const currency = await findCurrency(tx, payment.currencyId);
    if (snapshot.amountUnits !== charge.amountUnits || snapshot.currency !== currency.code) {
      throw new CoreError('invalid_request', 'The provider speaks of another amount than ours.');
    }
    if (snapshot.sequence <= charge.sequence) return false;
    const next = await moveMoney(tx, { payment, deals, charge }, snapshot);
    await updateAttempt(tx, charge, {
      ...next,
      providerReference: snapshot.reference,
      sequence: snapshot.sequence,
      reason: snapshot.reason,
      ...scheduleOf({ ...charge, ...next }, payment),
    });
    await say(tx, { payment, currency }, charge, { ...charge, ...next }, snapshot, heard);
    await moveDeals(tx, payment, deals, { ...charge, ...next });
    await restate(tx, known, { message: describe(charge, snapshot), actor: SYSTEM });
    await giveBackCards(tx, payment, deals, { ...charge, ...next });
    return true;
  });
}

type Before = { payment: PaymentRow; deals: DealRow[]; charge: AttemptRow };
type After = Pick<AttemptRow, 'status' | 'receivedUnits' | 'fundedUnits' | 'excessUnits'>;

const OPEN_DEAL: readonly ChainStatus[] = ['none', 'awaiting', 'confirming', 'failed'];

/** Whether money that comes now still funds the payment. */
function isOpen(deals: readonly DealRow[]): boolean {
  return deals.every((deal) => !deal.cancelledAt && OPEN_DEAL.includes(deal.chainStatus));
}

/** Posts how far the money has come: received first, funding or too much second, so that both phases have their entries. */
async function moveMoney(
  tx: Transaction,
  { payment, deals, charge }: Before,
  snapshot: ChargeSnapshot,
): Promise<After> {
  const { state, receivedUnits } = snapshot;
  const open = isOpen(deals);
  const funds = charge.fundedUnits === 0n && open && state === 'captured' && receivedUnits >= charge.amountUnits;
  const fundedUnits = funds ? charge.amountUnits : charge.fundedUnits;
  const isOver = (OVER as readonly string[]).includes(state);
  const excessUnits = fundedUnits > 0n || isOver ? receivedUnits - fundedUnits : charge.excessUnits;
  const [first] = deals;
  if (!first) throw new Error(`Payment ${payment.id} has no leg.`);
  const event = (name: string) => ({
    source: `${charge.provider}:${snapshot.reference}:${snapshot.sequence}:${name}`,
    name,
    effectiveAt: new Date(),
  });
  const parties = memoParties(payment, first, charge.provider);
  const came = receivedUnits - charge.receivedUnits;
  const cameAs = payment.paymentMethod === 'credit_card' ? 'Authorized' : 'Received';
  await postMemo(tx, parties, event(came < 0n ? 'Withdrawn' : cameAs), { payer: -came, pending: came });
  if (funds) {
    for (const deal of deals) {
      const amounts = { pending: -deal.amountUnits, escrow: deal.amountUnits };
      await postMemo(tx, memoParties(payment, deal, charge.provider), event(`Captured:${deal.leg}`), amounts);
    }
  }
  const over = excessUnits - charge.excessUnits;
  await postMemo(tx, parties, event('Excess'), { pending: -over, excess: over });
  // A card that was typed in time goes on although we were about to close its charge; a cancelled payment takes it no more.
  const inTime = open && (state === 'authorized' || state === 'held');
  const closing = charge.status === 'voiding' && !inTime && !(OVER as readonly string[]).includes(state);
  return { status: closing ? 'voiding' : state, receivedUnits, fundedUnits, excessUnits };
}

/** Brings the legs to where their charge is; those of an older charge, or over already, stay. */
async function moveDeals(
  tx: Transaction,
  payment: PaymentRow,
  deals: readonly DealRow[],
  charge: AttemptRow,
): Promise<void> {
  if (!isOpen(deals)) return;
  const [newest] = (await findAttempts(tx, { nodeId: payment.nodeId, paymentId: payment.id }, 'charge')).reverse();
  if (newest?.id !== charge.id && charge.fundedUnits === 0n) return;
  const chainStatus = dealStatus(payment, charge);
  await tx`
    update deal set chain_status = ${chainStatus}
    where node_id = ${payment.nodeId} and payment_id = ${payment.id}`;
}

function dealStatus(payment: PaymentRow, { status, fundedUnits, receivedUnits }: AttemptRow): ChainStatus {
  if (fundedUnits > 0n) return 'funded';
  switch (status) {
    case 'creating':
      return 'none';
    case 'open':
    case 'voiding':
      return receivedUnits > 0n ? 'confirming' : 'awaiting';
    case 'held':
    case 'authorized':
    case 'captured':
      return 'confirming';
    case 'voided':
      return payment.expiresAt <= systemClock.now() ? 'expired' : 'failed';
    default:
      return 'failed';
  }
}

/** When the provider is asked next: at once where we have something to do, else now and then, in case we were not told. */
export function scheduleOf(
  { status, createdAt }: Pick<AttemptRow, 'status' | 'createdAt'>,
  { paymentMethod }: Pick<PaymentRow, 'paymentMethod'>,
): Pick<AttemptRow, 'nextStepAt' | 'tries'> {
  const after = (ms: number) => ({ nextStepAt: new Date(Date.now() + ms), tries: 0 });
  if (status === 'authorized' || status === 'voiding' || status === 'creating') return after(0);
  if (!OVER.includes(status)) {
    return after(Math.min(MAX_LOOK_MS, Math.max(FIRST_LOOK_MS, (Date.now() - createdAt.getTime()) / 4)));
  }
  const late = paymentMethod === 'bank_transfer' && status !== 'refused';
  return late ? after(LATE_LOOK_MS) : { nextStepAt: null, tries: 0 };
}

async function say(
  tx: Transaction,
  { payment, currency }: { payment: PaymentRow; currency: CurrencyRow },
  before: AttemptRow,
  after: AttemptRow,
  snapshot: ChargeSnapshot,
  heard: Heard,
): Promise<void> {
  const key = { nodeId: payment.nodeId, paymentId: payment.id };
  if (heard === 'reconciliation') {
    const message = `No callback had said so: attempt ${before.number} was ${before.status} here and is ${snapshot.state} at ${before.provider}, ${snapshot.receivedUnits} base units received.`;
    await writeLog(tx, key, { eventType: 'payment.reconciled', message, actor: SYSTEM });
  }
  if (after.receivedUnits <= before.receivedUnits) return;
  const difference = differenceOf(after, currency);
  const arrived = `${after.receivedUnits} of ${after.amountUnits} base units arrived`;
  if (after.excessUnits > before.excessUnits) {
    const message = `${arrived}: ${after.excessUnits} too much${after.fundedUnits > 0n ? '' : `, since the payment is ${payment.status}`}.`;
    await writeLog(tx, key, { eventType: 'payment.overpaid', message, actor: SYSTEM, difference });
  } else if (after.receivedUnits < after.amountUnits) {
    const message = `${arrived}: ${after.amountUnits - after.receivedUnits} are missing.`;
    await writeLog(tx, key, { eventType: 'payment.underpaid', message, actor: SYSTEM, difference });
  }
}

function differenceOf(
  charge: AttemptRow,
  { code: currency, decimals }: CurrencyRow,
  excessUnits = charge.excessUnits,
): MoneyDifference {
  return {
    currency,
    decimals,
    amountUnits: charge.amountUnits.toString(),
    receivedUnits: charge.receivedUnits.toString(),
    missingUnits: missingUnits(charge).toString(),
    excessUnits: excessUnits.toString(),
  };
}

function describe({ number, provider }: AttemptRow, { state, reason, receivedUnits }: ChargeSnapshot): string {
  const because = reason === null ? '' : ` ${reason}`;
  return `Attempt ${number} is ${state} at ${provider}, ${receivedUnits} base units received.${because}`;
}

/** A card was captured for a payment that is over: nobody has to ask for that money back. */
async function giveBackCards(
  tx: Transaction,
  payment: PaymentRow,
  deals: readonly DealRow[],
  charge: AttemptRow,
): Promise<void> {
  if (payment.paymentMethod !== 'credit_card') return;
  const refunds = await findAttempts(tx, { nodeId: payment.nodeId, paymentId: payment.id }, 'refund');
  const amountUnits = owedUnits(charge, refunds);
  if (amountUnits === 0n) return;
  await addRefund(tx, { charge, legId: deals[0]?.id ?? null, ofExcess: true, operationId: null, amountUnits });
}

/** Ends a charge that the provider will not make: the payment has failed and may be tried anew. */
export async function refuseCharge(sql: Sql, { nodeId, id: attemptId }: AttemptRow, reason: string): Promise<void> {
  await transact(sql, async (tx) => {
    const found = await lockAttemptOf(tx, { nodeId, attemptId });
    if (!found || OVER.includes(found.attempt.status)) return;
    const { attempt, payment, deals } = found;
    const status: AttemptStatus = attempt.status === 'voiding' ? 'voided' : 'refused';
    await updateAttempt(tx, attempt, { status, reason, nextStepAt: null });
    await moveDeals(tx, payment, deals, { ...attempt, status });
    const message = `${attempt.provider} refused attempt ${attempt.number}. ${reason}`;
    await restate(tx, attempt, { message, actor: SYSTEM });
  });
}

/** Notes where the payer goes on; the payment waits for them from now on. */
export async function openCharge(
  sql: Sql,
  { nodeId, id: attemptId }: AttemptRow,
  opened: Pick<AttemptRow, 'providerReference' | 'pageUrl' | 'transfer'>,
): Promise<void> {
  await transact(sql, async (tx) => {
    const found = await lockAttemptOf(tx, { nodeId, attemptId });
    if (!found) return;
    const { attempt, payment, deals } = found;
    // A callback may have been faster, and a cancellation too.
    const status = attempt.status === 'creating' ? 'open' : attempt.status;
    await updateAttempt(tx, attempt, { ...opened, status, ...scheduleOf({ ...attempt, status }, payment) });
    await moveDeals(tx, payment, deals, { ...attempt, status });
    await restate(tx, attempt, {
      message: `Attempt ${attempt.number} is open at ${attempt.provider}; its payer is awaited.`,
      actor: SYSTEM,
    });
  });
}

/** Writes what became of a refund. Answers whether the provider still has to be asked again. */
export async function applyRefund(
  sql: Sql,
  { nodeId, id: attemptId }: AttemptRow,
  snapshot: Pick<RefundSnapshot, 'state' | 'reason'> & { reference: string | null },
): Promise<void> {
  await transact(sql, async (tx) => {
    const found = await lockAttemptOf(tx, { nodeId, attemptId });
    if (found?.attempt.status !== 'requested') return;
    const { attempt: refund, payment, deals } = found;
    const { reference: providerReference, state, reason } = snapshot;
    if (state === 'pending') {
      await updateAttempt(tx, refund, {
        providerReference,
        nextStepAt: new Date(Date.now() + FIRST_LOOK_MS),
        tries: 0,
      });
      return;
    }
    await updateAttempt(tx, refund, { providerReference, status: state, reason, nextStepAt: null });
    const deal = deals.find(({ id }) => id === refund.legId);
    if (!deal) throw new Error(`Refund ${refund.id} has no leg.`);
    if (state === 'done') await moveRefund(tx, payment, deal, refund);
    if (!refund.ofExcess) {
      await tx`update deal set cancel_requested_at = null where node_id = ${nodeId} and id = ${deal.id}`;
    }
    await endOperation(tx, refund, state === 'done' ? null : `${refund.provider} refused. ${reason ?? ''}`.trim());
    const message =
      state === 'done' ? `${refund.amountUnits} base units went back.` : `The refund was refused. ${reason}`;
    await restate(tx, refund, { message, actor: SYSTEM });
  });
}

async function moveRefund(tx: Transaction, payment: PaymentRow, deal: DealRow, refund: AttemptRow): Promise<void> {
  const event = { source: `${refund.provider}:refund:${refund.id}`, name: 'Refunded', effectiveAt: new Date() };
  if (refund.ofExcess) {
    const amounts = { excess: -refund.amountUnits, payer: refund.amountUnits };
    await postMemo(tx, memoParties(payment, deal, refund.provider), event, amounts);
    const message = `${refund.amountUnits} base units that were too much went back.`;
    const key = { nodeId: payment.nodeId, paymentId: payment.id };
    const charge = (await findAttempts(tx, key, 'charge')).find(({ id }) => id === refund.chargeId);
    if (!charge) throw new Error(`Refund ${refund.id} has no charge.`);
    const owed = owedUnits(charge, await findAttempts(tx, key, 'refund'));
    const difference = differenceOf(charge, await findCurrency(tx, payment.currencyId), owed);
    await writeLog(tx, key, { eventType: 'payment.excess_refunded', message, actor: SYSTEM, difference });
    return;
  }
  const refundedUnits = deal.refundedUnits + refund.amountUnits;
  await moveMemo(tx, payment, deal, { ...deal, refundedUnits }, refund, event);
}

async function endOperation(
  tx: Transaction,
  { nodeId, operationId, provider }: AttemptRow,
  refused: string | null,
): Promise<void> {
  const operation = operationId && (await findOperation(tx, { nodeId, operationId }, { lock: true }));
  if (!operation) return;
  const end =
    refused === null ? { status: 'done' as const } : { status: 'failed' as const, error: unexplained(refused) };
  await updateOperation(tx, operation, end);
  const message =
    refused === null ? `${operation.verb} was carried out by ${provider}.` : `${operation.verb} failed. ${refused}`;
  await logOperation(tx, operation, refused === null ? 'done' : 'failed', message, SYSTEM);
}

/** An attempt with its payment, all locked, payment first as everywhere. */
async function lockAttemptOf(tx: Transaction, key: { nodeId: string; attemptId: string }) {
  const [row] = await tx<{ paymentId: string }[]>`
    select payment_id from rail_attempt where node_id = ${key.nodeId} and id = ${key.attemptId}`;
  if (!row) return undefined;
  const locked = await lockPayment(tx, { nodeId: key.nodeId, paymentId: row.paymentId });
  const attempt = await lockAttempt(tx, key);
  return attempt && { attempt, ...locked };
}
