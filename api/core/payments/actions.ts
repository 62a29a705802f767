// Owns what integrations and widgets ask of a payment after it exists: cancel, release, refund, retry, rotate, hand out call
// data. Each takes the payment's row lock, decides, and writes state, operation, log and queued work in one transaction.
import { type Address, type Hex, zeroAddress } from 'viem';
import { type TermsJson, termsToJson } from '../chain/terms.ts';
import { systemClock } from '../clock.ts';
import { type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import { balancesOf } from '../ledger.ts';
import { type Actor, type LogEntry, writeLog } from '../log.ts';
import { AmountError, parseUnits } from '../money.ts';
import { findCurrency } from '../platform/platform.ts';
import { spendUnfundedCancel } from '../platform/quotas.ts';
import { addCharge, findAttempts, mayRetry } from '../rails/attempts.ts';
import { cancelRailLeg, isOnRail, refundExcessOf, refundRailLeg, releaseRailLeg } from '../rails/railLegs.ts';
import type { DealRow, OperationRow, OperationVerb, PaymentRow, PaymentStatus } from '../schema.ts';
import { legStatus, paymentStatus } from '../status.ts';
import { enqueueCreation } from './creation.ts';
import { findDeals, termsOf } from './deals.ts';
import { inFlight, latestOperation, type OperationTarget, recordOperation, requestOperation } from './operations.ts';
import { loadPayment, type PaymentKey, type PaymentRecord } from './payments.ts';

/** A payment and its legs, all locked until the transaction ends. */
export type LockedPayment = { payment: PaymentRow; deals: DealRow[] };

/** Locks a payment and its legs. @throws not_found */
export async function lockPayment(tx: Transaction, { nodeId, paymentId }: PaymentKey): Promise<LockedPayment> {
  const [payment] = await tx<PaymentRow[]>`
    select * from payment where node_id = ${nodeId} and id = ${paymentId} for update`;
  if (!payment) throw new CoreError('not_found', 'The payment does not exist.');
  return { payment, deals: await findDeals(tx, { nodeId, paymentId }, { lock: true }) };
}

/**
 * Derives the payment's status anew from its legs; writes and logs it when it changed. `takenBack`: what the old status rested
 * on is on the chain no more; then the event says that the old status is reverted, and the new one is announced only if that
 * very fact has not been announced before. With `replaced`, the transaction of what was taken back, a status that stays the same
 * is reverted and announced anew when its announcement named that transaction.
 */
export async function restate(
  tx: Transaction,
  key: PaymentKey,
  {
    takenBack = false,
    replaced = null,
    ...entry
  }: Omit<LogEntry, 'eventType' | 'status' | 'reverts'> & { takenBack?: boolean; replaced?: Hex | null },
): Promise<PaymentStatus> {
  const { payment, deals } = await lockPayment(tx, key);
  const status = paymentStatus(deals.map(legStatus));
  if (status === payment.status) {
    if (takenBack && replaced) await announceAnew(tx, key, status, replaced, entry);
    return status;
  }
  await tx`
    update payment set status = ${status}, updated_at = now()
    where node_id = ${key.nodeId} and id = ${key.paymentId}`;
  const eventType = `payment.${status}`;
  if (takenBack) {
    const reverted = `payment.${payment.status}`;
    const reverts = (await findAnnouncement(tx, key, reverted))?.id;
    await writeLog(tx, key, { ...entry, eventType: `${reverted}.reverted`, status, reverts });
    const announced = await findAnnouncement(tx, key, eventType);
    if (announced && announced.transactionHash === (entry.chainFact?.transactionHash ?? null)) return status;
  }
  await writeLog(tx, key, { ...entry, eventType, status });
  return status;
}

/** Another deposit or release has come in the place of the one that a status was announced with. */
async function announceAnew(
  tx: Transaction,
  key: PaymentKey,
  status: PaymentStatus,
  replaced: Hex,
  entry: Omit<LogEntry, 'eventType' | 'status' | 'reverts'>,
): Promise<void> {
  const eventType = `payment.${status}`;
  const announced = await findAnnouncement(tx, key, eventType);
  if (announced?.transactionHash !== replaced) return;
  await writeLog(tx, key, { ...entry, eventType: `${eventType}.reverted`, status, reverts: announced.id });
  await writeLog(tx, key, { ...entry, eventType, status });
}

async function findAnnouncement(tx: Transaction, { nodeId, paymentId }: PaymentKey, eventType: string) {
  const [row] = await tx<{ id: string; transactionHash: string | null }[]>`
    select id, chain_fact ->> 'transactionHash' as transaction_hash from payment_log
    where node_id = ${nodeId} and payment_id = ${paymentId} and event_type = ${eventType} order by seq desc limit 1`;
  return row;
}

/** Which leg is meant, by its place in the request (0, 1, …); left out: all of them. */
export type LegChoice = { leg?: number | undefined };
/** A part of a leg as decimal text in the currency's major unit; left out: everything that is held. */
export type PartChoice = LegChoice & { amount?: string | undefined };

/** What a verb does to one leg; every refusal comes before anything is written for it. */
export type LegVerb = (tx: Transaction, payment: PaymentRow, deal: DealRow, actor: Actor) => Promise<OperationRow>;

/** Runs a verb on the legs that are meant; of several, those whose state forbids it are left alone. */
export async function onLegs(
  sql: Sql | Transaction,
  key: PaymentKey,
  { leg }: LegChoice,
  actor: Actor,
  verb: LegVerb,
): Promise<OperationRow[]> {
  return await transact(sql, async (tx) => {
    const { payment, deals } = await lockPayment(tx, key);
    const meant = leg === undefined ? deals : deals.filter((deal) => deal.leg === leg);
    if (meant.length === 0) throw new CoreError('not_found', `The payment has no leg ${leg}.`);
    const operations: OperationRow[] = [];
    let refusal: CoreError | undefined;
    for (const deal of meant) {
      try {
        operations.push(await verb(tx, payment, deal, actor));
      } catch (error) {
        if (!(error instanceof CoreError) || error.code !== 'illegal_transition') throw error;
        refusal ??= error;
      }
    }
    if (refusal && operations.length === 0) throw refusal;
    return operations;
  });
}

const CANCELLABLE: readonly PaymentStatus[] = [
  'pending',
  'awaiting_deposit',
  'expired',
  'confirming',
  'funded',
  'partially_released',
  'failed',
];

/**
 * Cancels a payment, or one leg: what is unfunded is closed for good, what is funded is refunded. Asking again answers with
 * the same operations.
 * @throws illegal_transition when it is released, disputed or being released · not_found: no such leg · rate_limited when
 * the node's quota of cancellations that cost gas for nothing is used up.
 */
export async function cancelPayment(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  choice: LegChoice = {},
): Promise<OperationRow[]> {
  return await onLegs(sql, key, choice, actor, (tx, payment, deal, by) => cancelLeg(tx, payment, deal, by, choice));
}

async function cancelLeg(
  tx: Transaction,
  payment: PaymentRow,
  deal: DealRow,
  actor: Actor,
  { leg }: LegChoice,
): Promise<OperationRow> {
  const key = { nodeId: payment.nodeId, paymentId: payment.id };
  const status = legStatus(deal);
  const latest = await latestOperation(tx, deal);
  if (latest?.verb === 'cancelDeal' && (inFlight(latest) || !CANCELLABLE.includes(status))) return latest;
  refuseWhileInFlight(latest);
  if (!CANCELLABLE.includes(status)) {
    throw new CoreError('illegal_transition', `A payment that is ${status} cannot be cancelled.`);
  }
  if (isOnRail(payment)) {
    if (leg !== undefined && status !== 'funded' && status !== 'partially_released') {
      throw new CoreError('illegal_transition', 'One charge funds all legs: until it has, cancel the whole payment.');
    }
    const operation = await cancelRailLeg(tx, payment, deal, actor);
    await restate(tx, key, { message: 'Cancelled; its provider closes the charge or gives the money back.', actor });
    return operation;
  }
  if (!deal.offerId || (!deal.handedOutAt && deal.chainStatus === 'none')) {
    const { networkId, id: legId } = deal;
    const operation = await recordOperation(tx, { ...key, legId, networkId, verb: 'cancelDeal' }, actor);
    await tx`update deal set cancelled_at = now() where node_id = ${deal.nodeId} and id = ${deal.id}`;
    await restate(tx, key, { message: 'Cancelled before any call data was handed out.', actor });
    return operation;
  }
  if (deal.dealId === null) await spendUnfundedCancel(tx, deal.nodeId);
  const operation = await requestOperation(tx, await closingOf(tx, deal), actor);
  await tx`update deal set cancel_requested_at = now() where node_id = ${deal.nodeId} and id = ${deal.id}`;
  await restate(tx, key, { message: 'Cancellation requested; call data is withdrawn.', actor });
  return operation;
}

/**
 * Releases what a payment holds to its payees; with a leg only that one, with an amount only that part of it. Asking again
 * for a full release answers with the same operations.
 * @throws illegal_transition unless funded or partially released and not being cancelled · invalid_request for an amount
 * that cannot be · not_found: no such leg.
 */
export async function releasePayment(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  choice: PartChoice = {},
): Promise<OperationRow[]> {
  return await onLegs(sql, key, choice, actor, async (tx, payment, deal) => {
    const latest = await latestOperation(tx, deal);
    const amountUnits = await partOf(tx, payment, deal, choice);
    if (amountUnits === null && latest?.verb === 'release' && latest.status !== 'failed') return latest;
    return await movePart(tx, payment, deal, latest, { full: 'release', part: 'releasePart' }, amountUnits, actor);
  });
}

/**
 * Refunds what a funded payment holds to its payer; with a leg only that one, with an amount only that part of it.
 * @throws as {@link releasePayment}.
 */
export async function refundPayment(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  choice: PartChoice = {},
): Promise<OperationRow[]> {
  if (choice.amount === undefined) return await cancelPayment(sql, key, actor, choice);
  return await onLegs(sql, key, choice, actor, async (tx, payment, deal) => {
    const amountUnits = await partOf(tx, payment, deal, choice);
    const latest = await latestOperation(tx, deal);
    return await movePart(tx, payment, deal, latest, { full: 'cancelDeal', part: 'refundPart' }, amountUnits, actor);
  });
}

/**
 * Releases a part of what a leg holds, or all of it (null); the caller holds the payment's row.
 * @throws illegal_transition as {@link releasePayment}
 */
export async function releaseLeg(
  tx: Transaction,
  payment: PaymentRow,
  deal: DealRow,
  amountUnits: bigint | null,
  actor: Actor,
): Promise<OperationRow> {
  const latest = await latestOperation(tx, deal);
  return await movePart(tx, payment, deal, latest, { full: 'release', part: 'releasePart' }, amountUnits, actor);
}

async function movePart(
  tx: Transaction,
  payment: PaymentRow,
  deal: DealRow,
  latest: OperationRow | undefined,
  verbs: { full: OperationVerb; part: OperationVerb },
  amountUnits: bigint | null,
  actor: Actor,
): Promise<OperationRow> {
  refuseWhileInFlight(latest);
  const status = legStatus(deal);
  if (status !== 'funded' && status !== 'partially_released') {
    throw new CoreError('illegal_transition', `A payment that is ${status} cannot be ${PARTICIPLE[verbs.part]}.`);
  }
  if (isOnRail(payment)) {
    const move = verbs.full === 'release' ? releaseRailLeg : refundRailLeg;
    const operation = await move(tx, payment, deal, amountUnits, actor);
    await restate(tx, deal, { message: `${operation.verb} of a payment that its provider holds.`, actor });
    return operation;
  }
  return await requestOperation(tx, targetOf(deal, amountUnits === null ? verbs.full : verbs.part, amountUnits), actor);
}

/**
 * Gives back whatever a transfer brought beyond the payment's amount, or after its end.
 * @throws illegal_transition when there is no excess.
 */
export async function refundExcess(sql: Sql | Transaction, key: PaymentKey, actor: Actor): Promise<OperationRow[]> {
  return await transact(sql, async (tx) => {
    const { payment, deals } = await lockPayment(tx, key);
    const [deal] = deals;
    if (!deal) throw new Error(`Payment ${payment.id} has no leg.`);
    return await refundExcessOf(tx, payment, deal, actor);
  });
}

/**
 * Opens the next attempt of a failed payment at its provider; its payer gets a new page or new details. With the number of the
 * attempt that it follows, asking again opens no second one.
 * @throws not_retryable unless the payment has failed and is still in time; for payers also after ten attempts.
 */
export async function retryCharge(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  { after }: { after?: number } = {},
): Promise<PaymentRecord> {
  await transact(sql, async (tx) => {
    const { payment } = await lockPayment(tx, key);
    const charges = await findAttempts(tx, key, 'charge');
    const last = charges.at(-1);
    if (last && after !== undefined && last.number > after) return;
    const byPayer = actor.type === 'payer';
    if (!last || !mayRetry(payment, charges, systemClock.now(), { byPayer })) {
      throw new CoreError(
        'not_retryable',
        `Only a failed card or transfer payment that has not expired can be tried again; this one is ${payment.status}${byPayer && payment.status === 'failed' ? ', after as many attempts as a payer has' : ''}.`,
      );
    }
    await addCharge(tx, payment, last.provider, last.number + 1);
    await tx`update deal set chain_status = 'none' where node_id = ${key.nodeId} and payment_id = ${key.paymentId}`;
    await restate(tx, key, { message: `Attempt ${last.number + 1} was asked for.`, actor });
  });
  return await loadPayment(sql, key);
}

const PARTICIPLE: Partial<Record<OperationVerb, string>> = { releasePart: 'released', refundPart: 'refunded' };

/** @throws illegal_transition while we wait for the chain's answer to an operation of ours on the leg. */
export function refuseWhileInFlight(latest: OperationRow | undefined): void {
  if (latest && inFlight(latest)) {
    throw new CoreError('illegal_transition', `${latest.verb} is under way; wait for the chain's answer.`);
  }
}

/** The part that a request names, in base units; null: everything. */
async function partOf(
  tx: Transaction,
  payment: PaymentRow,
  deal: DealRow,
  { amount, leg }: PartChoice,
): Promise<bigint | null> {
  if (amount === undefined) return null;
  const faults = new FieldFaults();
  await requireLeg(tx, deal, leg, 'is required with an amount: the payment has several', faults);
  const units = await parseAmount(tx, payment, { pointer: '/amount', amount }, faults);
  const held = heldUnits(deal);
  if (units === 0n) faults.add('/amount', 'must be greater than 0');
  // A deal that holds nothing is refused for its state, not for the amount.
  if (held > 0n && units > held) faults.add('/amount', `is more than the ${held} base units that are held`);
  faults.throwIfAny();
  return units;
}

/** What of a deposited leg the escrow still holds, in base units. */
export function heldUnits(deal: DealRow): bigint {
  return balancesOf(deal).escrow;
}

/** Adds a fault when a request names no leg although there are several. */
export async function requireLeg(
  tx: Transaction,
  { nodeId, paymentId }: DealRow,
  leg: number | undefined,
  message: string,
  faults: FieldFaults,
): Promise<void> {
  if (leg !== undefined) return;
  const [count] = await tx<{ legs: number }[]>`
    select count(*)::int as legs from deal where node_id = ${nodeId} and payment_id = ${paymentId}`;
  if (count?.legs !== 1) faults.add('/leg', message);
}

/** An amount of a request in base units; what is wrong with it is added to `faults`. */
export async function parseAmount(
  tx: Transaction,
  payment: PaymentRow,
  { pointer, amount }: { pointer: string; amount: string },
  faults: FieldFaults,
): Promise<bigint> {
  const currency = await findCurrency(tx, payment.currencyId);
  try {
    return parseUnits(amount, currency.decimals);
  } catch (error) {
    if (!(error instanceof AmountError)) throw error;
    faults.add(pointer, error.message);
    return 1n;
  }
}

/** What an operation on this leg acts on: its deal, or before a deposit its offer. */
export function targetOf(deal: DealRow, verb: OperationVerb, amountUnits: bigint | null = null) {
  const { nodeId, paymentId, networkId, id: legId } = deal;
  return { nodeId, paymentId, legId, networkId, verb, amountUnits, stray: false, ...slotOf(deal) };
}

/** What a cancellation acts on: the deal, or before a deposit the offer and every form of it that was handed out. */
async function closingOf(tx: Transaction, deal: DealRow): Promise<OperationTarget> {
  const target = targetOf(deal, 'cancelDeal');
  if (deal.dealId) return target;
  const forms = await tx<{ payer: Address }[]>`
    select payer from handed_out_form where node_id = ${deal.nodeId} and leg_id = ${deal.id} order by handed_out_at`;
  if (forms.length === 0) return target;
  const closed = forms.map(({ payer }) => termsToJson(termsOf(deal, payer)));
  return { ...target, terms: [slotOf(deal).terms, ...closed] };
}

/** Closes the offer of a leg that is being cancelled, when a reorganisation took the deposit back that was to be returned. */
export async function closeOffer(tx: Transaction, deal: DealRow): Promise<void> {
  await requestOperation(tx, await closingOf(tx, deal), { type: 'system' });
}

function slotOf(deal: DealRow): { dealId: Hex; terms: TermsJson } {
  if (deal.dealId && deal.payer) return { dealId: deal.dealId, terms: termsToJson(termsOf(deal, deal.payer)) };
  if (!deal.offerId) throw new Error('The terms are not frozen yet.');
  return { dealId: deal.offerId, terms: termsToJson(termsOf(deal, zeroAddress)) };
}

/** Sends a pending web3 payment to the create-payment consumer again, with one more attempt. @throws not_retryable */
export async function retrySend(sql: Sql | Transaction, key: PaymentKey, actor: Actor): Promise<PaymentRecord> {
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
export async function rotateAccessToken(sql: Sql | Transaction, key: PaymentKey, actor: Actor): Promise<PaymentRecord> {
  await transact(sql, async (tx) => {
    await lockPayment(tx, key);
    await tx`
      update payment set access_token_version = access_token_version + 1, updated_at = now()
      where node_id = ${key.nodeId} and id = ${key.paymentId}`;
    await writeLog(tx, key, { eventType: 'payment.access_token_rotated', message: 'Access token rotated.', actor });
  });
  return await loadPayment(sql, key);
}
