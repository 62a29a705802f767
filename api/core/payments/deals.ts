// Owns a deal's terms: drafted from a request and the node's policy, frozen once by the create-payment consumer, handed
// out only while a deposit is possible. Refuses anything that the contract would refuse (IEscrow.sol, Terms).
import { randomBytes } from 'node:crypto';
import { type Address, getAddress, type Hex, isAddressEqual, zeroAddress } from 'viem';
import { MAX_AMOUNT, MAXIMUM_HORIZON_SECONDS, offerId, type Terms } from '../../../contracts/terms.ts';
import { columns, type Sql, type Transaction } from '../database/db.ts';
import type { FieldFaults } from '../errors.ts';
import { AmountError, feeUnits, parseUnits, splitUnits } from '../money.ts';
import type { CurrencyRow, DealPolicy, DealRow, FeeRule, NetworkRow } from '../schema.ts';

/** What a leg's terms say before a number and a salt make them unique. */
export type DealDraft = Pick<
  DealRow,
  | 'leg'
  | 'externalId'
  | 'networkId'
  | 'operator'
  | 'payee'
  | 'partyId'
  | 'token'
  | 'amountUnits'
  | 'feeUnits'
  | 'feeRecipient'
  | 'arbiter'
  | 'depositDeadline'
  | 'settlementDeadline'
  | 'resolutionDeadline'
  | 'defaultOutcome'
>;

/** Who gets how much of a payment; the pointers name the request's fields. */
export type LegRequest = {
  externalId: string | null;
  /** Null: on a rail, whose payees need no address. */
  payee: Address | null;
  partyId: string | null;
  payeePointer: string;
  amountUnits: bigint;
  amountPointer: string;
  /** Its own fee; null: its share of the whole payment's. */
  feeUnits: bigint | null;
};

/** What all legs of a payment share. */
export type DealContext = {
  /** Null: on a rail, without a chain. */
  network: NetworkRow | null;
  currency: CurrencyRow;
  policy: DealPolicy;
  expiresAt: Date;
  now: Date;
};

/**
 * Drafts the terms of a payment's legs. `totalFeeUnits` is the fee of the whole payment: unless the legs bear fees of their own, it
 * is split in proportion to the amounts, to the unit. Every reason against the terms is added to `faults` under its field.
 */
export function draftDeals(
  legs: readonly LegRequest[],
  totalFeeUnits: bigint,
  { network, currency, policy, expiresAt, now: moment }: DealContext,
  faults: FieldFaults,
): DealDraft[] {
  const depositDeadline = BigInt(Math.floor(expiresAt.getTime() / 1000));
  const settlementDeadline = depositDeadline + BigInt(policy.settlementPeriodSeconds);
  const resolutionDeadline = settlementDeadline + BigInt(policy.resolutionPeriodSeconds);
  const now = BigInt(Math.floor(moment.getTime() / 1000));
  if (depositDeadline <= now) faults.add('/expires_at', 'must be in the future');
  if (resolutionDeadline > now + MAXIMUM_HORIZON_SECONDS) {
    faults.add('/expires_at', 'puts the last deadline too far away');
  }
  // A provider holds what is earned in fiat money.
  if (totalFeeUnits > 0n && !policy.feeRecipient && currency.type === 'token') {
    faults.add('/deal/fee_recipient', 'is required when there is a fee');
  }
  for (const leg of legs) checkLeg(leg, { network, currency }, faults);
  const amounts = legs.map((leg) => leg.amountUnits);
  const shares = amounts.every((amount) => amount > 0n) ? splitUnits(totalFeeUnits, amounts) : amounts.map(() => 0n);
  return legs.map((leg, index) => {
    const legFeeUnits = leg.feeUnits ?? shares[index] ?? 0n;
    return {
      leg: index,
      externalId: leg.externalId,
      networkId: network?.id ?? null,
      operator: lower(network?.operatorAddress ?? zeroAddress),
      payee: lower(leg.payee ?? zeroAddress),
      partyId: leg.partyId,
      // Fiat money has no token.
      token: lower(currency.tokenAddress ?? zeroAddress),
      amountUnits: leg.amountUnits,
      feeUnits: legFeeUnits,
      feeRecipient: lower(legFeeUnits === 0n ? zeroAddress : (policy.feeRecipient ?? zeroAddress)),
      arbiter: lower(policy.arbiter ?? zeroAddress),
      depositDeadline,
      settlementDeadline,
      resolutionDeadline,
      defaultOutcome: policy.defaultOutcome === 'release' ? 1 : 0,
    };
  });
}

function checkLeg(
  leg: LegRequest,
  { network, currency }: Pick<DealContext, 'network' | 'currency'>,
  faults: FieldFaults,
): void {
  if (leg.amountUnits === 0n) faults.add(leg.amountPointer, 'must be greater than 0');
  if (leg.amountUnits > MAX_AMOUNT) faults.add(leg.amountPointer, 'is more than a deal can hold');
  for (const [name, address] of [
    ['the diamond', network?.diamondAddress],
    ['the token', currency.tokenAddress],
    ['the operator', network?.operatorAddress],
    ['the zero address', zeroAddress],
  ] as const) {
    if (leg.payee && address && isAddressEqual(leg.payee, address)) faults.add(leg.payeePointer, `must not be ${name}`);
  }
}

/** The fee on a payment of `amountUnits` under a rule given in decimals; what is wrong with the rule is added to `faults`. */
export function feeOf(amountUnits: bigint, rule: FeeRule, currency: CurrencyRow, faults: FieldFaults): bigint {
  const parse = (field: string, text: string): bigint => {
    try {
      return parseUnits(text, currency.decimals);
    } catch (error) {
      if (!(error instanceof AmountError)) throw error;
      faults.add(`/deal/${field}`, error.message);
      return 0n;
    }
  };
  const minimum = rule.feeMinimum === null ? null : parse('fee_minimum', rule.feeMinimum);
  const maximum = rule.feeMaximum === null ? null : parse('fee_maximum', rule.feeMaximum);
  if (minimum !== null && maximum !== null && minimum > maximum) {
    faults.add('/deal/fee_maximum', 'is less than fee_minimum');
  }
  return feeUnits(amountUnits, { bps: rule.feeBps, fixed: parse('fee_fixed', rule.feeFixed), minimum, maximum });
}

/**
 * Allots the deal's number and salt and computes its offer's id; from here on the terms never change. Freezing frozen
 * terms again changes nothing.
 */
export async function freezeTerms(tx: Transaction, deal: DealRow, network: NetworkRow): Promise<void> {
  if (deal.offerId) return;
  const [allotted] = await tx<{ number: bigint }[]>`
    update network set next_deal_number = next_deal_number + 1 where id = ${network.id}
    returning next_deal_number - 1 as number`;
  const number = allotted?.number ?? 0n;
  // A random salt, so that nobody can guess the terms of a deal that was not handed to them.
  const ref = (number << 192n) | BigInt(`0x${randomBytes(24).toString('hex')}`);
  const terms = termsOf({ ...deal, ref }, zeroAddress);
  const id = offerId(terms, Number(network.eip155Id), network.diamondAddress);
  await tx`
    update deal set ${tx(columns({ number, ref, offerId: id }))}
    where node_id = ${deal.nodeId} and id = ${deal.id}`;
}

/** The terms of a frozen deal; with the zero address as payer, they are its offer. */
export function termsOf(deal: DealDraft & { ref: bigint | null }, payer: Address): Terms {
  if (deal.ref === null) throw new Error('The terms are not frozen yet.');
  return {
    ref: deal.ref,
    operator: getAddress(deal.operator),
    payee: getAddress(deal.payee),
    payer: getAddress(payer),
    token: getAddress(deal.token),
    amount: deal.amountUnits,
    fee: deal.feeUnits,
    feeRecipient: getAddress(deal.feeRecipient),
    arbiter: getAddress(deal.arbiter),
    depositDeadline: deal.depositDeadline,
    settlementDeadline: deal.settlementDeadline,
    resolutionDeadline: deal.resolutionDeadline,
    defaultOutcome: deal.defaultOutcome,
  };
}

/** The legs of a payment in their order; `lock` holds their rows until the transaction ends. */
export async function findDeals(
  sql: Sql | Transaction,
  { nodeId, paymentId }: { nodeId: string; paymentId: string },
  { lock = false } = {},
): Promise<DealRow[]> {
  return await sql<DealRow[]>`
    select * from deal where node_id = ${nodeId} and payment_id = ${paymentId}
    order by leg ${lock ? sql`for update` : sql``}`;
}

function lower(address: Address): Address {
  return address.toLowerCase() as Hex;
}
