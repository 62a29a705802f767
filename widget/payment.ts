/**
 * Owns the wire to the API: one payment's data, read with its access token. The token goes into one header and nowhere
 * else: no URL, no storage, no message. What the data means is not decided here.
 * @see GET /api/v1/widget/payments/{id}
 */
import type { Address, Hex } from 'viem';

/** The API's statuses of a payment. */
export const statuses = [
  'pending',
  'awaiting_deposit',
  'confirming',
  'funded',
  'partially_released',
  'disputed',
  'cancel_requested',
  'expired',
  'released',
  'refunded',
  'partially_refunded',
  'cancelled',
  'failed',
] as const;

/** One of the API's statuses of a payment. */
export type PaymentStatus = (typeof statuses)[number];

/** The terms as JSON carries them: whole numbers as decimal text. */
export type TermsJson = Record<string, string | number>;

/** What the API hands to a widget, of a payment on chain or on a rail. */
export type WidgetPayment = ChainPayment | RailPayment;

type CommonPayment = {
  external_id: string;
  /** Base units, exact. */
  price_units: string;
  price_decimals: number;
  /** The token's symbol, or ISO 4217. */
  currency: string;
  status: PaymentStatus;
  /** Of the deposit, once it was mirrored. */
  transaction_hash: Hex | null;
  /** RFC 3339: the last second for a deposit. */
  expires_at: string;
  offer_hash: Hex | null;
  /** The deal's id, once a deposit was mirrored. */
  deal_hash: Hex | null;
  /** The deposit that a wallet on some device says it has sent. */
  reported_hash: Hex | null;
  /** Whether the service sends signed deposits for this payment. */
  relays: boolean;
  /** The last signature that the service took for relaying. */
  relay: { status: 'queued' | 'submitted' | 'done' | 'failed'; error: string | null } | null;
  /** What can be signed for the token. */
  signatures: {
    domain: { name: string; version: string } | null;
    permit: boolean;
    authorization: { standard: boolean; bytes: boolean };
    permit2: Address | null;
  };
  /** Blocks that make a deposit count. */
  confirmations: number;
  /** What the price is worth approximately: a decimal as text in an ISO 4217 currency, and since when (RFC 3339). */
  fiat_estimate: { currency: string; amount: string; as_of: string } | null;
};

/** A payment into the escrow. */
export type ChainPayment = CommonPayment & {
  payment_method: 'web3';
  rail: null;
  /** EIP-155 chain id. */
  network_id: number;
  /** The payee. */
  payment_address: Address;
  diamond_address: Address;
  token_address: Address;
  /** One a payee, at least one; of a payee's page its own. */
  legs: Leg[];
  /** Null unless a deposit is possible; the argument of a cart is the list of its terms. */
  contract: { function_name: string; arguments: (TermsJson | TermsJson[])[] } | null;
};

/** What one payee is to get, and what buyer and seller asked of each other since; units are base units. */
export type Leg = {
  leg: number;
  payment_address: Address;
  price_units: string;
  released_units: string;
  refunded_units: string;
  offer_hash: Hex | null;
  status: PaymentStatus;
  refund_request: RefundRequest | null;
  split_proposals: SplitProposal[];
};

/** What the buyer asked back; granted: as much has gone back since. over: nothing is held any more. */
export type RefundRequest = {
  id: string;
  status: 'open' | 'withdrawn' | 'declined' | 'granted' | 'over';
  amount_units: string;
  reason: string | null;
  decline_reason: string | null;
  created_at: string;
};

/** A split that one party has signed; the deadline by RFC 3339, in whole seconds. */
export type SplitProposal = {
  signed_by: 'payer' | 'payee';
  to_payee_units: string;
  to_payer_units: string;
  released_units: string;
  refunded_units: string;
  deadline: string;
  signature: Hex;
};

/** A payment by card or bank transfer, which a provider takes and holds. */
export type RailPayment = CommonPayment & {
  payment_method: 'credit_card' | 'bank_transfer';
  rail: Rail;
  /** Null without a chain. */
  network_id: number | null;
  contract: null;
};

/** How a payment stands with its provider; units are base units. */
export type Rail = {
  provider: string;
  /** 1, 2, … */
  attempt: number;
  /** Of that attempt: creating, open, held, authorized, captured, declined, refused, bounced, voiding, voided. */
  status: string;
  /** Why it came to nothing, in the provider's words. */
  reason: string | null;
  /** Where the card is typed, while the provider waits for it. */
  page_url: string | null;
  /** Where a transfer goes, while the provider waits for it. */
  transfer: { iban: string; bic: string; holder: string; reference: string } | null;
  /** Whether that page leads back by itself. */
  returns: boolean;
  can_retry: boolean;
  received_units: string;
  missing_units: string;
  excess_units: string;
  excess_refunded_units: string;
};

/** The access token, or what provides one when it is needed; a provider is asked again after a 401. */
export type AccessToken = string | (() => string | Promise<string>);

/**
 * Why a payment could not be read or a request was not taken: `unreachable` may pass, `denied` needs another token, `malformed` is
 * not our API, `refused` is its no to this very request.
 */
export class PaymentError extends Error {
  override name = 'PaymentError';
  readonly code: 'unreachable' | 'denied' | 'malformed' | 'refused';
  constructor(code: PaymentError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const TIMEOUT_MS = 10_000;
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;
const HASH = /^0x[0-9a-fA-F]{64}$/;

/** Where a payment is, and what opens it. */
export type PaymentSource = {
  /** Base URL of the API. */
  api: string;
  paymentId: string;
  accessToken: AccessToken;
};

/** A signature over the deposit, for the service to relay. @see POST /api/v1/widget/payments/{id}/relay */
export type RelayRequest =
  | { form: 'authorization'; payer: Address; valid_before: string; signature: Hex }
  | { form: 'permit2'; payer: Address; nonce: string; deadline: string; signature: Hex };

/** Reads the payment; with a payer its terms name that payer. @throws PaymentError */
export async function readPayment(source: PaymentSource, payer: Address | null = null): Promise<WidgetPayment> {
  const response = await request(source, payer ? `?payer=${payer}` : '');
  if (response.status === 409) throw new PaymentError('refused', 'The terms were handed out too often.');
  if (!response.ok) throw new PaymentError('unreachable', `The payment service answered ${response.status}.`);
  return paymentOf(await response.json().catch(() => null));
}

/** Hands a signature to the service. @throws PaymentError refused: the service will not relay it */
export async function relaySignature(source: PaymentSource, signed: RelayRequest): Promise<void> {
  const response = await request(source, '/relay', signed);
  if (response.ok) return;
  // What the service refuses for good or for now; what is its own failure may pass.
  const code = response.status < 500 || response.status === 503 ? 'refused' : 'unreachable';
  throw new PaymentError(code, `The payment service answered ${response.status}.`);
}

/** Tells the buyer's other devices what was sent; null: nothing any more. A failure is nobody's trouble. */
export async function reportTransaction(source: PaymentSource, hash: Hex | null): Promise<void> {
  await request(source, '/transaction', { transaction_hash: hash }).catch(() => undefined);
}

/** Opens the attempt after this one; the same again opens no second one. @throws PaymentError */
export async function openNextAttempt(source: PaymentSource, after: number): Promise<WidgetPayment> {
  const response = await request(source, '/attempts', { after });
  if (!response.ok) throw new PaymentError('unreachable', 'There is no next attempt.');
  return paymentOf(await response.json());
}

/** A URL of the hosted checkout that opens the payment once; without `returnUrl` where the shop has not allowed that. @throws PaymentError */
export async function handOver(source: PaymentSource, returnUrl: string | null): Promise<string> {
  let response = await request(source, '/handoffs', returnUrl ? { return_url: returnUrl } : {});
  if (response.status === 400 && returnUrl) response = await request(source, '/handoffs', {});
  const url: unknown = Object(await response.json().catch(() => null)).url;
  if (!response.ok || typeof url !== 'string' || !/^https?:/.test(url))
    throw new PaymentError('unreachable', 'No link.');
  return url;
}

/** Opens the payment's events. @see GET /api/v1/widget/payments/{id}/events */
export async function openEvents(source: PaymentSource, signal: AbortSignal): Promise<Response> {
  return await request(source, '/events', undefined, signal);
}

/** An answer as a payment. @throws PaymentError malformed */
export function paymentOf(answer: unknown): WidgetPayment {
  if (!isPayment(answer)) throw new PaymentError('malformed', 'The payment service answered something else.');
  return answer;
}

/** Asks the payment service at a path below the payment. @throws PaymentError denied, unreachable */
export async function request(
  { api, paymentId, accessToken }: PaymentSource,
  path: string,
  body?: object,
  signal?: AbortSignal,
): Promise<Response> {
  const url = `${api.replace(/\/+$/, '')}/api/v1/widget/payments/${encodeURIComponent(paymentId)}${path}`;
  const attempt = async () => await send(url, await tokenOf(accessToken), body, signal);
  let response = await attempt();
  // A provider may hold a newer token: the old one was rotated away or its time is over.
  if (response.status === 401 && typeof accessToken === 'function') response = await attempt();
  if (response.status === 401 || response.status === 403 || response.status === 404) {
    throw new PaymentError('denied', `The payment cannot be opened (${response.status}).`);
  }
  return response;
}

async function tokenOf(accessToken: AccessToken): Promise<string> {
  if (typeof accessToken === 'string') return accessToken;
  try {
    return await accessToken();
  } catch (cause) {
    throw new PaymentError('unreachable', 'The page could not provide an access token.', { cause });
  }
}

async function send(url: string, token: string, body?: object, signal?: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, {
      headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }) },
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
      credentials: 'omit',
      cache: 'no-store',
      referrerPolicy: 'no-referrer',
      signal: signal ?? AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (cause) {
    throw new PaymentError('unreachable', 'The payment service cannot be reached.', { cause });
  }
}

function isPayment(value: unknown): value is WidgetPayment {
  if (typeof value !== 'object' || value === null) return false;
  const field = (name: string): unknown => Reflect.get(value, name);
  const matches = (name: string, pattern: RegExp) => {
    const text = field(name);
    return typeof text === 'string' && pattern.test(text);
  };
  const isContract = (contract: unknown) =>
    contract === null ||
    (typeof contract === 'object' && contract !== undefined && Array.isArray(Reflect.get(contract, 'arguments')));
  const isOnChain = () =>
    field('payment_method') === 'web3' &&
    Number.isSafeInteger(field('network_id')) &&
    ['payment_address', 'diamond_address', 'token_address'].every((name) => matches(name, ADDRESS)) &&
    Array.isArray(field('legs')) &&
    isContract(field('contract'));
  return (
    // Of a rail's own, rails/ makes sure.
    (field('rail') || isOnChain()) &&
    typeof field('external_id') === 'string' &&
    Number.isSafeInteger(field('price_decimals')) &&
    Number.isSafeInteger(field('confirmations')) &&
    typeof field('currency') === 'string' &&
    matches('price_units', /^\d+$/) &&
    ['transaction_hash', 'reported_hash', 'offer_hash', 'deal_hash'].every(
      (name) => field(name) === null || matches(name, HASH),
    ) &&
    !Number.isNaN(Date.parse(String(field('expires_at')))) &&
    statuses.some((status) => status === field('status')) &&
    typeof field('signatures') === 'object' &&
    field('signatures') !== null &&
    typeof field('relays') === 'boolean' &&
    typeof field('relay') === 'object'
  );
}
