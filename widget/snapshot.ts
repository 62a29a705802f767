// Owns the shape of everything that a checkout shows. It knows no browser: words and views are functions of it.
import type { Address, Hex } from 'viem';
import type { Deal, MismatchField } from './deposit/deal.ts';
import type { WidgetPayment } from './payment.ts';
import type { RouteName, Way } from './routes.ts';
import type { StateName } from './states.ts';

/** What a wallet is asked for on the way to a deposit: signatures (permit, authorize, permit2) and transactions. */
export type Step = 'reset' | 'approve' | 'permit' | 'authorize' | 'permit2' | 'deposit' | 'batch';

/** A wallet to choose; the one that tells no name has an empty one. */
export type WalletChoice = { id: string; name: string; icon: string | null };

/** What can go wrong with wallet, chain or payment service once a wallet was chosen. */
export type ProblemCode =
  | 'rejected'
  | 'wallet_busy'
  | 'wallet_failed'
  | 'wallet_moved'
  | 'unknown_chain'
  | 'network_down'
  | 'api_down'
  | 'no_contract'
  | 'allowance_short'
  | 'offer_closed'
  | 'too_late'
  | 'already_paid'
  | 'deposits_paused'
  | 'token_refused'
  | 'reverted'
  | 'replaced'
  | 'dropped'
  | 'signature_failed'
  | 'relay_refused'
  | 'relay_failed'
  | 'other_tab';

/** All that there is to show. */
export type Snapshot = {
  name: StateName;
  payment: WidgetPayment | null;
  deal: Deal | null;
  wallets: readonly WalletChoice[];
  wallet: WalletChoice | null;
  account: Address | null;
  /** What the wallet holds, in the token's base units. */
  balanceUnits: bigint | null;
  /** Network fees in wei: what they will take at most, and what is there. */
  fee: { needUnits: bigint; haveUnits: bigint } | null;
  /** The ways to pay that wallet, token and contract allow, the cheapest first. */
  ways: readonly Way[];
  /** The way that is taken. */
  route: RouteName | null;
  /** What the wallet is asked for on that way, in order. */
  steps: readonly Step[];
  /** How many of them are signed and mined. */
  signed: number;
  step: Step | 'connect' | 'switch' | 'check' | null;
  problem: ProblemCode | null;
  /** What differs from what was expected, while `refused`. */
  mismatch: MismatchField | 'answer' | null;
  transactionHash: Hex | null;
  /** A link to the hosted checkout for another device, and its QR code; `failed` when there was none to be had. */
  handoff: { url: string; path: string; size: number } | 'failed' | null;
  /** On a rail: the detail of a transfer that was copied last. */
  copied: string | null;
  /** The last reading of the API failed. */
  stale: boolean;
};

/** Before anything was read. */
export const empty: Snapshot = {
  name: 'loading',
  payment: null,
  deal: null,
  wallets: [],
  wallet: null,
  account: null,
  balanceUnits: null,
  fee: null,
  ways: [],
  route: null,
  steps: [],
  signed: 0,
  step: null,
  problem: null,
  mismatch: null,
  transactionHash: null,
  handoff: null,
  copied: null,
  stale: false,
};
