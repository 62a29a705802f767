// Owns what is done to the legs of a payment on a rail: released by a memo entry at once, refunded and voided through the provider.
// The caller holds the payment's row and derives its status anew afterwards (actions.ts).

import { zeroAddress } from 'viem';
import type { Transaction } from '../database/db.ts';
import { columns } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { balancesOf, type DealParties, difference, postMemo } from '../ledger.ts';
import type { Actor } from '../log.ts';
import { logOperation, recordOperation } from '../payments/operations.ts';
import type { AttemptRow, DealRow, OperationRow, PaymentRow } from '../schema.ts';
import { legStatus } from '../status.ts';
import { addRefund, findAttempts, owedUnits } from './attempts.ts';

/** Whether a provider holds the payment's money, and not the escrow. */
export function isOnRail(payment: Pick<PaymentRow, 'paymentMethod'>): boolean {
  return payment.paymentMethod !== 'web3';
}

/**
 * Whose memo accounts a leg's money moves between. The payer is known to the provider alone; a payee without an address is known as a
 * party or by the leg's external id, and whoever is not named is the node itself.
 */
export function memoParties(
  { nodeId, id: paymentId, currencyId }: PaymentRow,
  { id: legId, partyId, externalId, ...deal }: DealRow,
  provider: string,
): DealParties & { heldBy: string } {
  const payee = deal.payee === zeroAddress ? (partyId ?? externalId ?? nodeId) : deal.payee;
  const feeRecipient = deal.feeRecipient === zeroAddress ? nodeId : deal.feeRecipient;
  return { nodeId, paymentId, legId, currencyId, payer: paymentId, payee, feeRecipient, heldBy: provider };
}

/** Refunds what a funded leg holds, or closes the payment's charge before it has brought anything. */
export async function cancelRailLeg(
  tx: Transaction,
  payment: PaymentRow,
  deal: DealRow,
  actor: Actor,
): Promise<OperationRow> {
  const status = legStatus(deal);
  if (status === 'funded' || status === 'partially_released') {
    return await refundRailLeg(tx, payment, deal, null, actor);
  }
  if (!['pending', 'awaiting_deposit', 'confirming', 'expired', 'failed'].includes(status)) {
    throw new CoreError('illegal_transition', `A payment that is ${status} cannot be cancelled.`);
  }
  const operation = await recordOperation(tx, { ...targetOf(deal), verb: 'cancelDeal' }, actor);
  await tx`
    update deal set cancelled_at = now(), chain_status = 'none' where node_id = ${deal.nodeId} and id = ${deal.id}`;
  await closeCharges(tx, payment);
  return operation;
}

/** Lets the worker close whatever charge of the payment may still bring money. */
export async function closeCharges(tx: Transaction, payment: Pick<PaymentRow, 'nodeId' | 'id'>): Promise<void> {
  await tx`
    update rail_attempt set status = 'voiding', tries = 0, next_step_at = now(), updated_at = now()
    where node_id = ${payment.nodeId} and payment_id = ${payment.id} and execution = 'charge'
      and status in ('creating', 'open', 'held', 'authorized')`;
}

/** Pays a part of what a leg holds, or all of it (null), out to its payee: a memo entry, since the provider pays out. */
export async function releaseRailLeg(
  tx: Transaction,
  payment: PaymentRow,
  deal: DealRow,
  amountUnits: bigint | null,
  actor: Actor,
): Promise<OperationRow> {
  const charge = await fundingOf(tx, payment, deal);
  const verb = amountUnits === null ? 'release' : 'releasePart';
  const operation = await recordOperation(tx, { ...targetOf(deal), verb, amountUnits }, actor);
  const releasedUnits = deal.releasedUnits + (amountUnits ?? balancesOf(deal).escrow);
  await moveMemo(tx, payment, deal, { ...deal, releasedUnits }, charge, {
    source: `operation:${operation.id}`,
    name: 'Released',
  });
  await logOperation(tx, operation, 'done', `${verb} is recorded; ${charge.provider} pays out.`, actor);
  return operation;
}

/** Asks the provider to give a part of what a leg holds, or all of it (null), back to the payer. */
export async function refundRailLeg(
  tx: Transaction,
  payment: PaymentRow,
  deal: DealRow,
  amountUnits: bigint | null,
  actor: Actor,
): Promise<OperationRow> {
  const charge = await fundingOf(tx, payment, deal);
  const verb = amountUnits === null ? 'cancelDeal' : 'refundPart';
  const operation = await recordOperation(tx, { ...targetOf(deal), verb, amountUnits }, actor, 'submitted');
  const refund = { legId: deal.id, ofExcess: false, operationId: operation.id };
  await addRefund(tx, { ...refund, charge, amountUnits: amountUnits ?? balancesOf(deal).escrow });
  if (amountUnits === null) {
    await tx`update deal set cancel_requested_at = now() where node_id = ${deal.nodeId} and id = ${deal.id}`;
  }
  await logOperation(tx, operation, 'requested', `${verb} was handed to ${charge.provider}.`, actor);
  return operation;
}

/** Asks the provider to give back whatever was too much. @throws illegal_transition when nothing is. */
export async function refundExcessOf(
  tx: Transaction,
  payment: PaymentRow,
  deal: DealRow,
  actor: Actor,
): Promise<OperationRow[]> {
  const key = { nodeId: payment.nodeId, paymentId: payment.id };
  const refunds = await findAttempts(tx, key, 'refund');
  const operations: OperationRow[] = [];
  for (const charge of await findAttempts(tx, key, 'charge', { lock: true })) {
    const amountUnits = owedUnits(charge, refunds);
    if (amountUnits === 0n) continue;
    const target = { ...targetOf(deal), legId: null, verb: 'refundExcess' as const, amountUnits };
    const operation = await recordOperation(tx, target, actor, 'submitted');
    await addRefund(tx, { charge, legId: deal.id, ofExcess: true, operationId: operation.id, amountUnits });
    await logOperation(tx, operation, 'requested', `The excess of ${amountUnits} base units goes back.`, actor);
    operations.push(operation);
  }
  if (operations.length === 0) throw new CoreError('illegal_transition', 'The payment has no excess to give back.');
  return operations;
}

/** Brings a leg and its memo balances from one state of its money to the next. */
export async function moveMemo(
  tx: Transaction,
  payment: PaymentRow,
  before: DealRow,
  after: DealRow,
  { provider }: Pick<AttemptRow, 'provider'>,
  event: { source: string; name: string; effectiveAt?: Date },
): Promise<void> {
  const { releasedUnits, refundedUnits } = after;
  const chainStatus = balancesOf(after).escrow === 0n ? 'settled' : after.chainStatus;
  await tx`
    update deal set ${tx(columns({ releasedUnits, refundedUnits, chainStatus }))}
    where node_id = ${before.nodeId} and id = ${before.id}`;
  const amounts = difference(balancesOf(before), balancesOf(after));
  await postMemo(tx, memoParties(payment, before, provider), { effectiveAt: new Date(), ...event }, amounts);
}

async function fundingOf(tx: Transaction, payment: PaymentRow, deal: DealRow): Promise<AttemptRow> {
  const charges = await findAttempts(tx, { nodeId: payment.nodeId, paymentId: payment.id }, 'charge');
  const charge = charges.find(({ fundedUnits }) => fundedUnits > 0n);
  if (!charge) throw new Error(`Leg ${deal.id} is funded by no charge.`);
  return charge;
}

function targetOf({ nodeId, paymentId, id: legId, networkId }: DealRow) {
  return { nodeId, paymentId, legId, networkId };
}
