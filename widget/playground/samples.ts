// Owns the payments that the playground shows: one lamp, paid on chain, by card and by transfer. Nobody has or owes this money.
import { type Address, getAddress, type Hex, keccak256, slice, stringToHex, zeroAddress } from 'viem';
import { dealId, offerId, type Terms } from '../../contracts/terms.ts';
import type { Deal } from '../deposit/deal.ts';
import type { ChainPayment, Leg, Rail, RailPayment } from '../payment.ts';

const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 24 * HOUR_SECONDS;
const startSeconds = Math.floor(Date.now() / 1_000);

const hash = (name: string): Hex => keccak256(stringToHex(name));
const account = (name: string): Address => getAddress(slice(hash(name), 12));

/** Base: a chain with a block explorer. */
export const CHAIN_ID = 8453;
export const DIAMOND = account('diamond');
export const BUYER = account('buyer');
export const DEPOSIT = hash('deposit');

/** In Unix seconds, some hours from when the page was opened. */
const inHours = (hours: number) => startSeconds + hours * HOUR_SECONDS;

const isoTime = (seconds: number) => new Date(seconds * 1_000).toISOString();

function termsFor(payee: Address, amount: bigint): Terms {
  return {
    ...{ ref: 7n << 192n, operator: account('operator'), payee, payer: zeroAddress, token: account('token') },
    ...{ amount, fee: amount / 100n, feeRecipient: account('fees'), arbiter: account('arbiter') },
    depositDeadline: BigInt(inHours(2)),
    settlementDeadline: BigInt(startSeconds + 30 * DAY_SECONDS),
    resolutionDeadline: BigInt(startSeconds + 60 * DAY_SECONDS),
    defaultOutcome: 0,
  };
}

const lamp = termsFor(account('seller'), 25_500_000n);
const cart = [termsFor(account('seller'), 18_000_000n), termsFor(account('another seller'), 7_500_000n)] as const;

/** The deal of the payment once the buyer has paid it. */
export const paidTerms: Terms = { ...lamp, payer: BUYER };

const offerOf = (terms: Terms): Hex => offerId(terms, CHAIN_ID, DIAMOND);

const dealOf = (...legs: readonly [Terms, ...Terms[]]): Deal => {
  const [first, ...others] = legs;
  const leg = (terms: Terms) => ({ terms, offer: offerOf(terms) });
  const amountUnits = legs.reduce((sum, { amount }) => sum + amount, 0n);
  return {
    legs: [leg(first), ...others.map(leg)],
    token: first.token,
    amountUnits,
    chainId: CHAIN_ID,
    diamond: DIAMOND,
  };
};

/** What is agreed on: with one seller, and with two. */
export const oneDeal = dealOf(lamp);
export const twoDeals = dealOf(...cart);

const common = {
  external_id: 'lamp-4711',
  transaction_hash: null,
  offer_hash: null,
  deal_hash: null,
  reported_hash: null,
  relays: true,
  relay: null,
  signatures: { domain: null, permit: true, authorization: { standard: true, bytes: false }, permit2: null },
  confirmations: 12,
  fiat_estimate: null,
} as const;

/** What one seller is to get; nobody has asked for anything. */
function legOf(terms: Terms, leg = 0): Leg {
  return {
    ...{ leg, payment_address: terms.payee, price_units: terms.amount.toString(), offer_hash: offerOf(terms) },
    ...{ status: 'awaiting_deposit', released_units: '0', refunded_units: '0' },
    ...{ refund_request: null, split_proposals: [] },
  };
}

/** The lamp for 25.50 USDC; two hours are left to pay it. */
export const chainPayment: ChainPayment = {
  ...common,
  ...{ price_units: '25500000', price_decimals: 6, currency: 'USDC', status: 'awaiting_deposit' },
  expires_at: isoTime(inHours(2)),
  offer_hash: offerOf(lamp),
  ...{ payment_method: 'web3', rail: null, network_id: CHAIN_ID, diamond_address: DIAMOND },
  ...{ payment_address: lamp.payee, token_address: lamp.token, contract: null },
  fiat_estimate: { currency: 'EUR', amount: '23.43', as_of: isoTime(startSeconds - 240) },
  legs: [legOf(lamp)],
};

/** It with two sellers. */
export const cartPayment: ChainPayment = {
  ...chainPayment,
  legs: cart.map((terms, index) => legOf(terms, index)),
};

/** It after the deposit. */
export const paidPayment: ChainPayment = {
  ...chainPayment,
  status: 'funded',
  transaction_hash: DEPOSIT,
  deal_hash: dealId(paidTerms, CHAIN_ID, DIAMOND),
};

const rail: Rail = {
  ...{ provider: 'sandbox', attempt: 1, status: 'open', reason: null, page_url: null, transfer: null },
  ...{ returns: false, can_retry: false, received_units: '0', missing_units: '2550' },
  ...{ excess_units: '0', excess_refunded_units: '0' },
};

const onRail = {
  ...common,
  ...{ price_units: '2550', price_decimals: 2, currency: 'EUR', status: 'awaiting_deposit' },
  expires_at: isoTime(inHours(2)),
  ...{ network_id: null, contract: null },
} as const;

/** The lamp for 25.50 EUR by card; `changes` is where its provider has come to. */
export function cardPayment(status: RailPayment['status'], changes: Partial<Rail> = {}): RailPayment {
  const page_url = status === 'awaiting_deposit' ? 'https://pay.example.com/4711' : null;
  return { ...onRail, status, payment_method: 'credit_card', rail: { ...rail, page_url, ...changes } };
}

/** The same by bank transfer. */
export function transferPayment(status: RailPayment['status'], changes: Partial<Rail> = {}): RailPayment {
  const isAwaited = status === 'awaiting_deposit' || status === 'confirming';
  const transfer = isAwaited
    ? { iban: 'DE02100100109307118603', bic: 'PBNKDEFF', holder: 'Ash & Lathe Ltd', reference: 'DK-4711-0815' }
    : null;
  const expires_at = isoTime(startSeconds + 9 * DAY_SECONDS);
  return { ...onRail, status, expires_at, payment_method: 'bank_transfer', rail: { ...rail, transfer, ...changes } };
}
