// Owns a deal's terms: drafted from a request and the node's policy, frozen once by the create-payment consumer, handed
// out only while a deposit is possible. Refuses anything that the contract would refuse (IEscrow.sol, Terms).
import { randomBytes } from 'node:crypto';
import { type Address, getAddress, type Hex, isAddressEqual, zeroAddress } from 'viem';
import { MAX_AMOUNT, MAXIMUM_HORIZON_SECONDS, offerId, type Terms } from '../../contracts/terms.ts';
import { columns, type Sql, type Transaction } from './db.ts';
import type { FieldFaults } from './errors.ts';
import { AmountError, feeUnits, parseUnits } from './money.ts';
import type { CurrencyRow, DealPolicy, DealRow, NetworkRow } from './schema.ts';

/** What a deal's terms say before a number and a salt make them unique. */
export type DealDraft = Pick<
  DealRow,
  | 'networkId'
  | 'operator'
  | 'payee'
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

/** Drafts the terms of a payment; every reason against them is added to `faults` under its field. */
export function draftDeal(
  {
    network,
    currency,
    policy,
    payee,
    amountUnits,
    expiresAt,
  }: {
    network: NetworkRow;
    currency: CurrencyRow;
    policy: DealPolicy;
    payee: Address;
    amountUnits: bigint;
    expiresAt: Date;
  },
  faults: FieldFaults,
): DealDraft {
  if (amountUnits === 0n) faults.add('/paid_price', 'must be greater than 0');
  if (amountUnits > MAX_AMOUNT) faults.add('/paid_price', 'is more than a deal can hold');
  for (const [name, address] of [
    ['the diamond', network.diamondAddress],
    ['the token', currency.tokenAddress],
    ['the operator', network.operatorAddress],
    ['the zero address', zeroAddress],
  ] as const) {
    if (isAddressEqual(payee, address)) faults.add('/payment_address', `must not be ${name}`);
  }
  const fee = draftFee(amountUnits, policy, currency, faults);
  const depositDeadline = BigInt(Math.floor(expiresAt.getTime() / 1000));
  const settlementDeadline = depositDeadline + BigInt(policy.settlementPeriodSeconds);
  const resolutionDeadline = settlementDeadline + BigInt(policy.resolutionPeriodSeconds);
  const now = BigInt(Math.floor(Date.now() / 1000));
  if (depositDeadline <= now) faults.add('/expires_at', 'must be in the future');
  if (resolutionDeadline > now + MAXIMUM_HORIZON_SECONDS)
    faults.add('/expires_at', 'puts the last deadline too far away');
  return {
    networkId: network.id,
    operator: lower(network.operatorAddress),
    payee: lower(payee),
    token: lower(currency.tokenAddress),
    amountUnits,
    feeUnits: fee,
    feeRecipient: lower(fee === 0n ? zeroAddress : (policy.feeRecipient ?? zeroAddress)),
    arbiter: lower(policy.arbiter ?? zeroAddress),
    depositDeadline,
    settlementDeadline,
    resolutionDeadline,
    defaultOutcome: policy.defaultOutcome === 'release' ? 1 : 0,
  };
}

function draftFee(amountUnits: bigint, policy: DealPolicy, currency: CurrencyRow, faults: FieldFaults): bigint {
  let fixed = 0n;
  try {
    fixed = parseUnits(policy.feeFixed, currency.decimals);
  } catch (error) {
    if (!(error instanceof AmountError)) throw error;
    faults.add('/deal/fee_fixed', error.message);
  }
  const fee = feeUnits(amountUnits, policy.feeBps, fixed);
  if (fee > amountUnits) faults.add('/paid_price', 'is less than the fee');
  if (fee > 0n && !policy.feeRecipient) faults.add('/deal/fee_recipient', 'is required when there is a fee');
  return fee;
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
    where node_id = ${deal.nodeId} and payment_id = ${deal.paymentId}`;
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

/** The deal of a payment; `lock` holds its row until the transaction ends. */
export async function findDeal(
  sql: Sql | Transaction,
  { nodeId, paymentId }: { nodeId: string; paymentId: string },
  { lock = false } = {},
): Promise<DealRow> {
  const [deal] = await sql<DealRow[]>`
    select * from deal where node_id = ${nodeId} and payment_id = ${paymentId} ${lock ? sql`for update` : sql``}`;
  if (!deal) throw new Error(`Payment ${paymentId} has no deal.`);
  return deal;
}

function lower(address: Address): Address {
  return address.toLowerCase() as Hex;
}
