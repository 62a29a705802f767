// Owns what the parties of a deal and its arbiter decide: dispute, give it up, resolve, settle, give back. The operator may
// do none of it alone, so each is an operation with the exact call for the wallet that may; only a settlement, which both
// parties signed, is relayed.
import { type Address, type Hex, keccak256, stringToHex, zeroAddress, zeroHash } from 'viem';
import { disputeOpener } from '../chain/mirror.ts';
import { systemClock } from '../clock.ts';
import type { Sql, Transaction } from '../database/db.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import type { Actor } from '../log.ts';
import { findNetwork } from '../platform/platform.ts';
import { isOnRail } from '../rails/railLegs.ts';
import type { DealRow, OperationArguments, OperationRow, PaymentRow, PaymentStatus } from '../schema.ts';
import { legStatus } from '../status.ts';
import {
  heldUnits,
  type LegChoice,
  type LegVerb,
  onLegs,
  parseAmount,
  refuseWhileInFlight,
  requireLeg,
  targetOf,
} from './actions.ts';
import {
  awaitingOperations,
  awaitSignature,
  enqueueOperation,
  latestOperation,
  type OperationTarget,
  requestOperation,
} from './operations.ts';
import type { PaymentKey } from './payments.ts';

/** A party of a deal. */
export type Party = 'payer' | 'payee';

/** What is claimed: a hash for the chain, or words whose hash goes there; the words stay with the operation. */
export type DisputeRequest = LegChoice & { as: Party; evidence?: Hex | undefined; reason?: string | undefined };

/**
 * Asks a party to open a dispute on a leg, which freezes it but for concessions.
 * @throws illegal_transition unless money is held, undisputed, with an arbiter and before the settlement deadline ·
 * invalid_request · not_found: no such leg.
 */
export async function openDispute(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  request: DisputeRequest,
): Promise<OperationRow[]> {
  return await onOneLeg(sql, key, actor, request, async (tx, _payment, deal) => {
    requireStatus(deal, ['funded', 'partially_released'], 'disputed');
    if (deal.arbiter === zeroAddress) {
      throw new CoreError('illegal_transition', 'The deal has no arbiter, so nobody can dispute it.');
    }
    requireBefore(deal.settlementDeadline, 'disputed');
    const evidence = request.evidence ?? (request.reason ? keccak256(stringToHex(request.reason)) : zeroHash);
    return await askSigner(
      tx,
      deal,
      {
        ...targetOf(deal, 'openDispute'),
        signer: partyOf(deal, request.as),
        signBy: deal.settlementDeadline,
        arguments: { evidence, ...(request.reason !== undefined && { reason: request.reason }) },
      },
      actor,
    );
  });
}

/** Asks whoever opened the dispute on a leg to give it up. @throws illegal_transition unless disputed · not_found */
export async function withdrawDispute(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  choice: LegChoice,
): Promise<OperationRow[]> {
  return await onOneLeg(sql, key, actor, choice, async (tx, _payment, deal) => {
    const network = deal.networkId === null ? null : await findNetwork(tx, deal.networkId);
    const opener = network && deal.dealId && (await disputeOpener(tx, network, deal.dealId));
    if (legStatus(deal) !== 'disputed' || !opener) {
      throw new CoreError('illegal_transition', `There is no dispute to give up: the payment is ${legStatus(deal)}.`);
    }
    return await askSigner(tx, deal, { ...targetOf(deal, 'withdrawDispute'), signer: partyOf(deal, opener) }, actor);
  });
}

/** A split of what a leg holds: what goes to the payee, as decimal text; the rest goes back to the payer. */
export type SplitRequest = LegChoice & { toPayee: string };

/**
 * Asks the arbiter to split a disputed leg; when our workers hold its key, they send it.
 * @throws illegal_transition unless disputed and before the resolution deadline · invalid_request · not_found
 */
export async function resolveDispute(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  request: SplitRequest,
): Promise<OperationRow[]> {
  return await onOneLeg(sql, key, actor, request, async (tx, payment, deal) => {
    requireStatus(deal, ['disputed'], 'resolved');
    requireBefore(deal.resolutionDeadline, 'resolved');
    const amountUnits = await splitOf(tx, payment, deal, request);
    const target = targetOf(deal, 'resolve', amountUnits);
    const operation = await askSigner(
      tx,
      deal,
      { ...target, signer: deal.arbiter, signBy: deal.resolutionDeadline },
      actor,
    );
    await enqueueOperation(tx, operation);
    return operation;
  });
}

/** A split that both parties signed (`settlementTypes` in contracts/typed-data.ts); the deadline in Unix seconds. */
export type SettlementRequest = SplitRequest & { deadline: bigint; payerSignature: Hex; payeeSignature: Hex };

/**
 * Relays a split that payer and payee agreed on, in a dispute or not. Whether the signatures hold is for the caller to
 * preview first; the contract decides.
 * @throws illegal_transition unless money is held and nothing of ours is under way · invalid_request · not_found
 */
export async function settlePayment(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  request: SettlementRequest,
): Promise<OperationRow[]> {
  return await onOneLeg(sql, key, actor, request, async (tx, payment, deal) => {
    if (request.deadline * 1000n < BigInt(systemClock.now().getTime())) {
      throw new CoreError('invalid_request', 'Not valid: deadline.', [{ pointer: '/deadline', message: 'is over' }]);
    }
    const amountUnits = await splitOf(tx, payment, deal, request);
    const { payerSignature, payeeSignature } = request;
    const more = { deadline: request.deadline.toString(), payerSignature, payeeSignature };
    const latest = await latestOperation(tx, deal);
    if (latest?.verb === 'settle' && latest.status !== 'failed' && sameCall(latest, amountUnits, more)) return latest;
    refuseWhileInFlight(latest);
    requireStatus(deal, ['funded', 'partially_released', 'disputed'], 'settled');
    return await requestOperation(
      tx,
      { ...targetOf(deal, 'settle', amountUnits), arguments: more, signBy: request.deadline },
      actor,
    );
  });
}

/**
 * Asks the payee to give released money back from its own pocket: all that was released, or a part.
 * @throws illegal_transition unless nothing is held and something was released · invalid_request · not_found
 */
export async function returnPayment(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  request: LegChoice & { amount?: string | undefined },
): Promise<OperationRow[]> {
  return await onOneLeg(sql, key, actor, request, async (tx, payment, deal) => {
    requireStatus(deal, ['released', 'partially_refunded'], 'given back');
    const returnable = deal.amountUnits - deal.refundedUnits;
    const faults = new FieldFaults();
    const { amount } = request;
    const units =
      amount === undefined ? returnable : await parseAmount(tx, payment, { pointer: '/amount', amount }, faults);
    if (units === 0n) faults.add('/amount', 'must be greater than 0');
    if (units > returnable) faults.add('/amount', `is more than the ${returnable} base units that can be given back`);
    faults.throwIfAny();
    return await askSigner(tx, deal, { ...targetOf(deal, 'returnPayment', units), signer: deal.payee }, actor);
  });
}

/** Runs a verb on the one leg that is meant. @throws invalid_request when several could be */
async function onOneLeg(
  sql: Sql | Transaction,
  key: PaymentKey,
  actor: Actor,
  { leg }: LegChoice,
  verb: LegVerb,
): Promise<OperationRow[]> {
  return await onLegs(sql, key, { leg }, actor, async (tx, payment, deal, by) => {
    if (isOnRail(payment)) {
      throw new CoreError(
        'illegal_transition',
        'Only what the escrow on chain holds can be disputed, settled or returned.',
      );
    }
    const faults = new FieldFaults();
    await requireLeg(tx, deal, leg, 'is required: the payment has several', faults);
    faults.throwIfAny();
    return await verb(tx, payment, deal, by);
  });
}

/** Adds an operation for its signer, or answers with the one that asks the same of it already. */
async function askSigner(
  tx: Transaction,
  deal: DealRow,
  target: OperationTarget & { signer: Address },
  actor: Actor,
): Promise<OperationRow> {
  const asked = (await awaitingOperations(tx, deal)).find(
    (operation) =>
      operation.verb === target.verb &&
      operation.signer === target.signer &&
      sameCall(operation, target.amountUnits, target.arguments ?? {}),
  );
  return asked ?? (await awaitSignature(tx, { ...target, sinceBlock: deal.factBlock }, actor));
}

function sameCall(
  operation: OperationRow,
  amountUnits: bigint | null,
  { evidence, deadline, payerSignature, payeeSignature }: OperationArguments,
): boolean {
  const known = operation.arguments ?? {};
  return (
    operation.amountUnits === amountUnits &&
    known.evidence === evidence &&
    known.deadline === deadline &&
    known.payerSignature === payerSignature &&
    known.payeeSignature === payeeSignature
  );
}

/** What of a split goes to the payee, in base units. */
async function splitOf(
  tx: Transaction,
  payment: PaymentRow,
  deal: DealRow,
  { toPayee }: SplitRequest,
): Promise<bigint> {
  const faults = new FieldFaults();
  const units = await parseAmount(tx, payment, { pointer: '/to_payee', amount: toPayee }, faults);
  const held = heldUnits(deal);
  // A deal that holds nothing is refused for its state, not for the amount.
  if (held > 0n && units > held) faults.add('/to_payee', `is more than the ${held} base units that are held`);
  faults.throwIfAny();
  return units;
}

function partyOf(deal: DealRow, party: Party): Address {
  if (party === 'payee') return deal.payee;
  if (!deal.payer) throw new CoreError('illegal_transition', 'The deal has no payer yet.');
  return deal.payer;
}

function requireStatus(deal: DealRow, allowed: readonly PaymentStatus[], participle: string): void {
  const status = legStatus(deal);
  if (!allowed.includes(status)) {
    throw new CoreError('illegal_transition', `A payment that is ${status} cannot be ${participle}.`);
  }
}

function requireBefore(deadline: bigint, participle: string): void {
  if (BigInt(Math.floor(systemClock.now().getTime() / 1000)) <= deadline) return;
  const time = new Date(Number(deadline) * 1000).toISOString();
  throw new CoreError('illegal_transition', `The payment could be ${participle} until ${time}.`);
}
