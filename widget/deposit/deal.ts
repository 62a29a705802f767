/**
 * Owns the trust in a payment's data: the deal is what its terms hash to, on the chain and diamond that the data names, and
 * everything shown must be in those terms. Any difference is a Mismatch, and nothing gets signed.
 */
import { type Address, getAddress, type Hex, isAddressEqual, zeroAddress } from 'viem';
import { dealId, offerId, type Terms } from '../../contracts/terms.ts';
import type { ChainPayment, TermsJson } from '../payment.ts';

/** What the page around the widget knows for certain; every field given must agree. */
export type Expected = {
  chainId?: number;
  diamond?: Address;
  token?: Address;
  /** What the price is in: the token's symbol, or ISO 4217. */
  currency?: string;
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

/** What a payment's data can be wrong about; each has words in the language files. */
export type MismatchField =
  | 'call'
  | 'terms'
  | 'hash'
  | 'amount'
  | 'seller'
  | 'payer'
  | 'network'
  | 'contract'
  | 'token'
  | 'currency'
  | 'method'
  | 'deal';

/** The data disagrees with itself, with the page or with what was read before. */
export class Mismatch extends Error {
  override name = 'Mismatch';
  /** What differs. */
  readonly field: MismatchField;
  constructor(field: MismatchField, actual: unknown, expected: unknown) {
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
  payment: ChainPayment,
  expected: Expected,
  before: Deal | null,
  payer: Address = zeroAddress,
): Deal {
  const chainId = payment.network_id;
  const diamond = getAddress(lower(payment.diamond_address));
  const [first, ...others] = calledTerms(payment).map((json) =>
    openLeg(termsOf(json), payment, { chainId, diamond, payer }),
  );
  if (!first) throw new Mismatch('call', 'nothing', 'a deposit');
  agree('hash', payment.legs[0]?.offer_hash, payment.offer_hash);
  const legs = [first, ...others] as const;
  const { token } = first.terms;
  const amountUnits = legs.reduce((sum, { terms }) => sum + terms.amount, 0n);
  // Legs that are paid already are not called again; before that, all of them cost the price.
  if (legs.length === payment.legs.length) agree('amount', amountUnits, BigInt(payment.price_units));
  if (payment.legs.length === 1) agreeAddress('seller', first.terms.payee, payment.payment_address);

  if (expected.chainId !== undefined) agree('network', chainId, expected.chainId);
  if (expected.diamond !== undefined) agreeAddress('contract', diamond, expected.diamond);
  if (expected.token !== undefined) agreeAddress('token', token, expected.token);
  if (expected.currency !== undefined) agree('currency', payment.currency, expected.currency);
  for (const { terms } of legs) {
    if (expected.payee !== undefined) agreeAddress('seller', terms.payee, expected.payee);
  }
  if (expected.amountUnits !== undefined) agree('amount', amountUnits, BigInt(expected.amountUnits));

  if (before) {
    agree('network', chainId, before.chainId);
    agreeAddress('contract', diamond, before.diamond);
    // A leg that somebody paid meanwhile may be gone; none may come or change.
    const known = before.legs.map((leg) => leg.offer);
    for (const { offer } of legs) agree('hash', known.includes(offer), true);
  }
  return { legs, token, amountUnits, chainId, diamond };
}

/** The terms that the call deposits under: of one leg, or of a cart. @throws Mismatch */
function calledTerms({ contract }: ChainPayment): TermsJson[] {
  const [argument] = contract?.arguments ?? [];
  if (!contract || !argument) throw new Mismatch('call', 'nothing', 'a deposit');
  const isCart = Array.isArray(argument);
  agree('call', contract.function_name, isCart ? 'depositMany' : 'deposit');
  return isCart ? argument : [argument];
}

/** One leg, held against what the payment says of it. @throws Mismatch */
function openLeg(
  terms: Terms,
  payment: ChainPayment,
  { chainId, diamond, payer }: { chainId: number; diamond: Address; payer: Address },
): Leg {
  const offer = offerId(terms, chainId, diamond);
  const said = payment.legs.find((leg) => leg.offer_hash === offer);
  if (!said) throw new Mismatch('hash', offer, payment.legs.map((leg) => leg.offer_hash).join(' or '));
  // A cancellation closes what was handed out: the offer, and the form for the payer that was asked for.
  agreeAddress('payer', terms.payer, payer);
  agree('amount', terms.amount, BigInt(said.price_units));
  agreeAddress('token', terms.token, payment.token_address);
  agreeAddress('seller', terms.payee, said.payment_address);
  return { terms, offer };
}

/** The id that a leg gets when this account deposits. */
export function dealIdFor({ chainId, diamond }: Deal, { terms }: Leg, payer: Address): Hex {
  return dealId({ ...terms, payer }, chainId, diamond);
}

/** @throws Mismatch when a deal's id is not what the terms of this leg hash to. */
export function agreeOnId(deal: Deal, leg: Leg, payer: Address, dealHash: Hex): void {
  agree('deal', dealHash, dealIdFor(deal, leg, payer));
}

/** @throws Mismatch when the token counts in other units than the amount is shown in. */
export function agreeOnDecimals({ price_decimals }: { price_decimals: number }, decimals: number): void {
  agree('amount', price_decimals, decimals);
}

/** The terms as JSON carries them. @throws Mismatch with the field that is none */
export function termsOf(json: TermsJson): Terms {
  const whole = (name: keyof Terms) => {
    const text = json[name];
    if (typeof text !== 'string' || !/^\d+$/.test(text))
      throw new Mismatch('terms', `${name} ${text}`, 'a whole number');
    return BigInt(text);
  };
  const address = (name: keyof Terms): Address => {
    const text = json[name];
    if (typeof text !== 'string' || !isHexAddress(text)) throw new Mismatch('terms', `${name} ${text}`, 'an address');
    return getAddress(lower(text));
  };
  const outcome = json.defaultOutcome;
  if (outcome !== 0 && outcome !== 1) throw new Mismatch('terms', `defaultOutcome ${outcome}`, '0 or 1');
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

function agree(field: MismatchField, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Mismatch(field, actual, expected);
}

function agreeAddress(field: MismatchField, actual: Address, expected: Address): void {
  if (!isAddressEqual(lower(actual), lower(expected))) throw new Mismatch(field, actual, expected);
}

function lower(address: Address): Address {
  return address.toLowerCase() as Address;
}
