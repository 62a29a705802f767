/**
 * Owns the trust in a payment's data: the deal is what its terms hash to, on the chain and diamond that the data names, and
 * everything shown must be in those terms. Any difference is a Mismatch, and nothing gets signed.
 */
import { type Address, getAddress, type Hex, isAddressEqual, zeroAddress } from 'viem';
import { dealId, offerId, type Terms } from '../../contracts/terms.ts';
import type { TermsJson, WidgetPayment } from '../payment.ts';

/** What the page around the widget knows for certain; every field given must agree. */
export type Expected = {
  chainId?: number;
  diamond?: Address;
  token?: Address;
  payee?: Address;
  /** Base units; text where the page has no bigint. */
  amountUnits?: bigint | string;
};

/** What one payee gets: its terms, and the id of the offer that they are. */
export type Leg = { terms: Terms; offer: Hex };

/** A payment's agreement after it was checked: usually one leg; several are paid by one call. */
export type Deal = {
  legs: readonly [Leg, ...Leg[]];
  token: Address;
  /** What the legs cost together, in base units. */
  amountUnits: bigint;
  chainId: number;
  diamond: Address;
};

/** The data disagrees with itself, with the page or with what was read before. */
export class Mismatch extends Error {
  override name = 'Mismatch';
  /** What differs, as a buyer would say it. */
  readonly field: string;
  constructor(field: string, actual: unknown, expected: unknown) {
    super(`${field}: ${String(actual)} is not ${String(expected)}`);
    this.field = field;
  }
}

/**
 * The deal that a payable payment offers; with a payer that it was asked for, its terms may name that one and no other. `before`
 * is what an earlier reading gave: it may not change any more.
 * @throws Mismatch
 */
export function openDeal(
  payment: WidgetPayment,
  expected: Expected,
  before: Deal | null,
  payer: Address = zeroAddress,
): Deal {
  const chainId = payment.network_id;
  const diamond = getAddress(lower(payment.diamond_address));
  const [first, ...others] = calledTerms(payment).map((json) =>
    openLeg(termsOf(json), payment, { chainId, diamond, payer }),
  );
  if (!first) throw new Mismatch('the call', 'nothing', 'a deposit');
  agree('the hash of the terms', payment.legs[0]?.offer_hash, payment.offer_hash);
  const legs = [first, ...others] as const;
  const { token } = first.terms;
  const amountUnits = legs.reduce((sum, { terms }) => sum + terms.amount, 0n);
  // Legs that are paid already are not called again; before that, all of them cost the price.
  if (legs.length === payment.legs.length) agree('the amount', amountUnits, BigInt(payment.price_units));
  if (payment.legs.length === 1) agreeAddress('the seller’s address', first.terms.payee, payment.payment_address);

  if (expected.chainId !== undefined) agree('the network', chainId, expected.chainId);
  if (expected.diamond !== undefined) agreeAddress('the escrow contract', diamond, expected.diamond);
  if (expected.token !== undefined) agreeAddress('the token', token, expected.token);
  for (const { terms } of legs) {
    if (expected.payee !== undefined) agreeAddress('the seller’s address', terms.payee, expected.payee);
  }
  if (expected.amountUnits !== undefined) agree('the amount', amountUnits, BigInt(expected.amountUnits));

  if (before) {
    agree('the network', chainId, before.chainId);
    agreeAddress('the escrow contract', diamond, before.diamond);
    // A leg that somebody paid meanwhile may be gone; none may come or change.
    const known = before.legs.map((leg) => leg.offer);
    for (const { offer } of legs) agree('the hash of the terms', known.includes(offer), true);
  }
  return { legs, token, amountUnits, chainId, diamond };
}

/** The terms that the call deposits under: of one leg, or of a cart. @throws Mismatch */
function calledTerms({ contract }: WidgetPayment): TermsJson[] {
  const [argument] = contract?.arguments ?? [];
  if (!contract || !argument) throw new Mismatch('the call', 'nothing', 'a deposit');
  const isCart = Array.isArray(argument);
  agree('the call', contract.function_name, isCart ? 'depositMany' : 'deposit');
  return isCart ? argument : [argument];
}

/** One leg, held against what the payment says of it. @throws Mismatch */
function openLeg(
  terms: Terms,
  payment: WidgetPayment,
  { chainId, diamond, payer }: { chainId: number; diamond: Address; payer: Address },
): Leg {
  const offer = offerId(terms, chainId, diamond);
  const said = payment.legs.find((leg) => leg.offer_hash === offer);
  if (!said) throw new Mismatch('the hash of the terms', offer, payment.legs.map((leg) => leg.offer_hash).join(' or '));
  // A cancellation closes what was handed out: the offer, and the form for the payer that was asked for.
  agreeAddress('the payer', terms.payer, payer);
  agree('the amount', terms.amount, BigInt(said.price_units));
  agreeAddress('the token', terms.token, payment.token_address);
  agreeAddress('the seller’s address', terms.payee, said.payment_address);
  return { terms, offer };
}

/** The id that a leg gets when this account deposits. */
export function dealIdFor({ chainId, diamond }: Deal, { terms }: Leg, payer: Address): Hex {
  return dealId({ ...terms, payer }, chainId, diamond);
}

/** @throws Mismatch when a deal's id is not what the terms of this leg hash to. */
export function agreeOnId(deal: Deal, leg: Leg, payer: Address, dealHash: Hex): void {
  agree('the deal on the network', dealHash, dealIdFor(deal, leg, payer));
}

function termsOf(json: TermsJson): Terms {
  const whole = (name: keyof Terms) => {
    const text = json[name];
    if (typeof text !== 'string' || !/^\d+$/.test(text)) throw new Mismatch(name, text, 'a whole number');
    return BigInt(text);
  };
  const address = (name: keyof Terms): Address => {
    const text = json[name];
    if (typeof text !== 'string' || !isHexAddress(text)) throw new Mismatch(name, text, 'an address');
    return getAddress(lower(text));
  };
  const outcome = json.defaultOutcome;
  if (outcome !== 0 && outcome !== 1) throw new Mismatch('defaultOutcome', outcome, '0 or 1');
  return {
    ref: whole('ref'),
    operator: address('operator'),
    payee: address('payee'),
    payer: address('payer'),
    token: address('token'),
    amount: whole('amount'),
    fee: whole('fee'),
    feeRecipient: address('feeRecipient'),
    arbiter: address('arbiter'),
    depositDeadline: whole('depositDeadline'),
    settlementDeadline: whole('settlementDeadline'),
    resolutionDeadline: whole('resolutionDeadline'),
    defaultOutcome: outcome,
  };
}

// Checksums are the API's own affair: only the twenty bytes count.
function isHexAddress(text: string): text is Address {
  return /^0x[0-9a-fA-F]{40}$/.test(text);
}

function agree(field: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Mismatch(field, actual, expected);
}

function agreeAddress(field: string, actual: Address, expected: Address): void {
  if (!isAddressEqual(lower(actual), lower(expected))) throw new Mismatch(field, actual, expected);
}

function lower(address: Address): Address {
  return address.toLowerCase() as Address;
}
