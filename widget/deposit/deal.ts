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

/** A payment's agreement after it was checked. */
export type Deal = {
  terms: Terms;
  offer: Hex;
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
 * The deal that a payable payment offers. `before` is what an earlier reading gave: it may not change any more.
 * @throws Mismatch
 */
export function openDeal(payment: WidgetPayment, expected: Expected, before: Deal | null): Deal {
  const json = payment.contract?.arguments[0];
  if (!payment.contract || !json) throw new Mismatch('the call', 'nothing', 'a deposit');
  agree('the call', payment.contract.function_name, 'deposit');
  const terms = termsOf(json);
  const chainId = payment.network_id;
  const diamond = getAddress(lower(payment.diamond_address));
  const offer = offerId(terms, chainId, diamond);

  agree('the hash of the terms', offer, payment.offer_hash);
  // Only an offer can be closed by a cancellation: terms that name a payer were not handed out by this operation.
  agree('the payer', terms.payer, zeroAddress);
  agree('the amount', terms.amount, BigInt(payment.price_units));
  agreeAddress('the token', terms.token, payment.token_address);
  agreeAddress('the seller’s address', terms.payee, payment.payment_address);

  if (expected.chainId !== undefined) agree('the network', chainId, expected.chainId);
  if (expected.diamond !== undefined) agreeAddress('the escrow contract', diamond, expected.diamond);
  if (expected.token !== undefined) agreeAddress('the token', terms.token, expected.token);
  if (expected.payee !== undefined) agreeAddress('the seller’s address', terms.payee, expected.payee);
  if (expected.amountUnits !== undefined) agree('the amount', terms.amount, BigInt(expected.amountUnits));

  if (before) {
    agree('the network', chainId, before.chainId);
    agreeAddress('the escrow contract', diamond, before.diamond);
    agree('the hash of the terms', offer, before.offer);
  }
  return { terms, offer, chainId, diamond };
}

/** The id that the deal gets when this account deposits. */
export function dealIdFor({ terms, chainId, diamond }: Deal, payer: Address): Hex {
  return dealId({ ...terms, payer }, chainId, diamond);
}

/** @throws Mismatch when a confirmed deal is not what this payment offered. */
export function agreeOnId(deal: Deal, payer: Address, dealHash: Hex): void {
  agree('the deal on the network', dealHash, dealIdFor(deal, payer));
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
