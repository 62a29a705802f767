// Owns the shape of everything that a checkout shows. It knows no browser: words and views are functions of it.
import type { Address, Hex } from 'viem';
import type { Deal } from './deposit/deal.ts';
import type { WidgetPayment } from './payment.ts';
import type { StateName } from './states.ts';

/** What a wallet signs on the way to a deposit. */
export type Step = 'reset' | 'approve' | 'deposit';

/** A wallet to choose. */
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
  | 'replaced';

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
  /** What is left to sign, in order. */
  steps: readonly Step[];
  /** How many of them are signed and mined. */
  signed: number;
  step: Step | 'connect' | 'switch' | 'check' | null;
  problem: ProblemCode | null;
  /** What differs from what was expected, while `refused`. */
  mismatch: string | null;
  transactionHash: Hex | null;
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
  steps: [],
  signed: 0,
  step: null,
  problem: null,
  mismatch: null,
  transactionHash: null,
  stale: false,
};
