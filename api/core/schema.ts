// The rows of core's tables as TypeScript reads them (api/core/migrations): camelCase, integers as bigint, hex lowercase.
// Only core reads and writes them.
import type { Address, Hex } from 'viem';

/** design.md's state table; derived in one place, `status.ts`. */
export type PaymentStatus =
  | 'pending'
  | 'awaiting_deposit'
  | 'confirming'
  | 'funded'
  | 'partially_released'
  | 'disputed'
  | 'cancel_requested'
  | 'expired'
  | 'released'
  | 'refunded'
  | 'partially_refunded'
  | 'cancelled'
  | 'failed';

export type PaymentMethod = 'web3' | 'credit_card' | 'bank_transfer';
/** The methods whose money a provider holds. */
export type RailMethod = Exclude<PaymentMethod, 'web3'>;
export type PaymentGroup = 'product' | 'listing_or_subscription';

/** One line of a payment; the price as decimal text. */
export type PaymentItem = { name: string | null; price: string | null; externalId: string | null };

export type PaymentRow = {
  nodeId: string;
  id: string;
  externalId: string;
  /** Null: on a rail, without a chain. */
  networkId: string | null;
  walletId: string | null;
  memberId: string | null;
  currencyId: string;
  priceUnits: bigint;
  paidPriceUnits: bigint;
  paymentMethod: PaymentMethod;
  paymentGroup: PaymentGroup;
  /** Null: on a rail, whose payees need none. */
  paymentAddress: Address | null;
  items: PaymentItem[] | null;
  metadata: string | null;
  /** Where this payment's own notifications go, beside the node's webhook endpoints. */
  notifyUrl: string | null;
  /** Where a provider's page leads the payer back to. */
  returnUrl: string | null;
  expiresAt: Date;
  retry: boolean;
  retryCount: number;
  clientIp: string | null;
  status: PaymentStatus;
  accessTokenVersion: number;
  transactionHash: Hex | null;
  createdAt: Date;
  updatedAt: Date;
};

/**
 * What the chain, or on a rail its provider, says of a deal: `closed` = cancelled before any deposit, `confirming` = deposited, too
 * few blocks deep; on a rail authorized, under review or short. `awaiting` and `failed` are of rails alone.
 */
export type ChainStatus =
  | 'none'
  | 'awaiting'
  | 'failed'
  | 'closed'
  | 'expired'
  | 'confirming'
  | 'funded'
  | 'disputed'
  | 'settled';

/** One leg of a payment: the deal that pays one payee. */
export type DealRow = {
  nodeId: string;
  id: string;
  paymentId: string;
  /** 0, 1, … in the order of the request. */
  leg: number;
  externalId: string | null;
  /** Null: on a rail, without a chain; then operator, and payee unless stated, are the zero address. */
  networkId: string | null;
  operator: Address;
  payee: Address;
  /** Whose money it becomes; null: nobody of whom the node knows more than the address. */
  partyId: string | null;
  token: Address;
  amountUnits: bigint;
  feeUnits: bigint;
  feeRecipient: Address;
  arbiter: Address;
  depositDeadline: bigint;
  settlementDeadline: bigint;
  resolutionDeadline: bigint;
  defaultOutcome: number;
  number: bigint | null;
  ref: bigint | null;
  offerId: Hex | null;
  handedOutAt: Date | null;
  cancelRequestedAt: Date | null;
  cancelledAt: Date | null;
  chainStatus: ChainStatus;
  /** Where on chain the state comes from; null while there is nothing on chain. */
  factBlock: bigint | null;
  factTransaction: Hex | null;
  factLogIndex: number | null;
  dealId: Hex | null;
  payer: Address | null;
  releasedUnits: bigint;
  refundedUnits: bigint;
  /** Of a deposit that its receipt shows and the mirror does not have yet; counts while there is nothing on chain. */
  seenTransaction: Hex | null;
};

/**
 * The escrow's verb that an operation calls; the parts, returnPayment, resolve and settle take an amount, the deposits carry a
 * buyer's signature. `withdraw` is of no deal: it pays out what waits for a fee recipient. `refundExcess` calls nothing: a rail's
 * provider gives back what was too much.
 */
export type OperationVerb =
  | 'cancelDeal'
  | 'release'
  | 'releasePart'
  | 'refundPart'
  | 'openDispute'
  | 'withdrawDispute'
  | 'resolve'
  | 'settle'
  | 'returnPayment'
  | 'depositWithAuthorization'
  | 'depositWithPermit2'
  | 'withdraw'
  | 'refundExcess';

/** A buyer's signature that opens one deal, and what it was made over besides the terms. Times in Unix seconds as text. */
export type RelayedSignature = { payer: Address; signature: Hex } & (
  | { form: 'authorization'; validBefore: string }
  | { form: 'permit2'; nonce: string; deadline: string }
);

/** `awaiting_signature`: somebody else's wallet has to send the call; the chain will show it. */
export type OperationStatus = 'queued' | 'submitted' | 'awaiting_signature' | 'done' | 'failed';

/** What a verb takes beyond terms and amount. */
export type OperationArguments = {
  /** Of openDispute: the hash of what is claimed; `reason` is what was said with it and stays off the chain. */
  evidence?: Hex;
  reason?: string;
  /** Of settle: Unix seconds as text, and what both parties signed. */
  deadline?: string;
  payerSignature?: Hex;
  payeeSignature?: Hex;
  /** Of withdraw: whose credit in which token. */
  token?: Address;
  account?: Address;
};

/** Why something failed: an error of the contract with its arguments as text, or without a name something else. */
export type Refusal = { name: string | null; arguments: Record<string, string>; message: string };

export type OperationRow = {
  nodeId: string;
  id: string;
  /** Null: a stray whose number no payment has. */
  paymentId: string | null;
  legId: string | null;
  /** Null: of a payment on a rail, without a chain. */
  networkId: string | null;
  verb: OperationVerb;
  dealId: Hex | null;
  /** A list where one call acts on several slots: a cancellation of terms that were handed out in several forms. */
  terms: Record<string, string | number> | Record<string, string | number>[] | null;
  /** Of the parts and returnPayment: how much; of resolve and settle: what goes to the payee. */
  amountUnits: bigint | null;
  arguments: OperationArguments | null;
  /** Of the relayed deposits. */
  relay: RelayedSignature | null;
  stray: boolean;
  /** Whose signature it needs; null: the network's operator's. */
  signer: Address | null;
  /** Unix seconds, the last in which the call can succeed; null: no such second. */
  signBy: bigint | null;
  sinceBlock: bigint | null;
  status: OperationStatus;
  transactionHash: Hex | null;
  error: Refusal | null;
  actorId: string | null;
  createdAt: Date;
  updatedAt: Date;
};

export type NetworkRow = {
  id: string;
  chainId: string;
  eip155Id: bigint;
  name: string;
  rpcUrls: string[];
  diamondAddress: Address;
  operatorAddress: Address;
  confirmations: number;
  mode: 'test' | 'live';
  /** Whether the RPC URLs may lead to private addresses. */
  local: boolean;
  /** The block in which the diamond was created; null: not looked for yet. */
  startBlock: bigint | null;
  /** The most that a transaction may bid for a unit of gas, in wei; null: a multiple of the base fee (chain/fees.ts). */
  maxFeeWei: bigint | null;
  archivedAt: Date | null;
};

/** A token of a network, or fiat money: then without network and token. */
export type CurrencyRow = {
  id: string;
  type: 'token' | 'fiat';
  networkId: string | null;
  code: string;
  name: string;
  decimals: number;
  tokenAddress: Address | null;
  archivedAt: Date | null;
};

/** How a fee is computed, once, from a payment's whole amount. Decimals are text in the currency's major unit. */
export type FeeRule = {
  /** Of the amount, in basis points, 0 .. 10,000, rounded down. */
  feeBps: number;
  /** Added to the proportional part. */
  feeFixed: string;
  /** The least and the most that the fee may be. */
  feeMinimum: string | null;
  feeMaximum: string | null;
  /** payee: the fee is taken from what the payee gets. payer: paid_price is price plus fee. */
  feeBearer: 'payer' | 'payee';
};

/** A node's defaults for the terms that a request leaves open. */
export type DealPolicy = FeeRule & {
  feeRecipient: Address | null;
  arbiter: Address | null;
  /** From the deposit deadline to the settlement deadline. */
  settlementPeriodSeconds: number;
  /** From the settlement deadline to the resolution deadline. */
  resolutionPeriodSeconds: number;
  defaultOutcome: 'refund' | 'release';
};

/** A proof of where on chain a state comes from. */
export type ChainFact = {
  networkId: string;
  /** The chain's EIP-155 id as text. */
  chainId: string;
  diamond: Address;
  /** Of the deal, or of the offer that was closed. */
  dealId: Hex;
  blockNumber: string;
  transactionHash: Hex;
  logIndex: number;
  confirmations: string;
};

/**
 * How sure a change is. unsafe: it rests on a chain event with fewer confirmations than the network asks for, or on one being
 * gone. safe: on one with as many. final: on one that the indexer no longer takes back, or on nothing that is on chain.
 */
export type Finality = 'unsafe' | 'safe' | 'final';

export type ActorType = 'system' | 'integration' | 'chain' | 'operator' | 'payer' | 'payee';

/** How what a payer sent differs from what was asked for, in base units as text, with what makes decimals of them. */
export type MoneyDifference = {
  currency: string;
  decimals: number;
  amountUnits: string;
  receivedUnits: string;
  missingUnits: string;
  excessUnits: string;
};

export type LogRow = {
  id: string;
  eventType: string;
  message: string;
  actorType: ActorType;
  actorId: string | null;
  chainFact: ChainFact | null;
  difference: MoneyDifference | null;
  createdAt: Date;
};

/**
 * What became of a refund request, derived by the view refund_request_standing. granted: as much has gone back since. over: the leg
 * holds nothing any more, and less has gone back.
 */
export type RefundRequestStatus = 'open' | 'withdrawn' | 'declined' | 'granted' | 'over';

/** What a buyer asks back of a leg, in the currency of its payment. */
export type RefundRequestRow = {
  nodeId: string;
  id: string;
  paymentId: string;
  /** Of the payment. */
  externalId: string;
  legId: string;
  leg: number;
  currency: string;
  decimals: number;
  amountUnits: bigint;
  refundedBeforeUnits: bigint;
  reason: string | null;
  status: RefundRequestStatus;
  createdAt: Date;
  withdrawnAt: Date | null;
  declinedAt: Date | null;
  declineReason: string | null;
  actorId: string | null;
};

/** The newest split of a leg that a party has signed; amounts in base units, the deadline in Unix seconds. */
export type SplitProposalRow = {
  nodeId: string;
  legId: string;
  signedBy: 'payer' | 'payee';
  paymentId: string;
  /** What had moved when it was signed; it holds while nothing else has. */
  releasedUnits: bigint;
  refundedUnits: bigint;
  toPayeeUnits: bigint;
  toPayerUnits: bigint;
  deadline: bigint;
  signature: Hex;
  made: number;
  createdAt: Date;
};

/** Where a bank transfer goes to. */
export type TransferDetails = { iban: string; bic: string; holder: string; reference: string };

/**
 * Of a charge: `creating` until the provider knows it, `open` while it waits for the payer, `held` under the provider's review,
 * `authorized` until captured, `voiding` until the provider has closed it; the others are its end. Of a refund: `requested` until
 * the provider has said `done` or `refused`.
 */
export type AttemptStatus =
  | 'creating'
  | 'open'
  | 'held'
  | 'authorized'
  | 'captured'
  | 'declined'
  | 'refused'
  | 'bounced'
  | 'voiding'
  | 'voided'
  | 'requested'
  | 'done';

/** One try to take a payment's money through a provider, or to give some of it back. */
export type AttemptRow = {
  nodeId: string;
  id: string;
  paymentId: string;
  execution: 'charge' | 'refund';
  /** 1, 2, … of its payment and execution. */
  number: number;
  provider: string;
  providerReference: string | null;
  amountUnits: bigint;
  status: AttemptStatus;
  reason: string | null;
  /** The provider's count of changes up to the one applied last. */
  sequence: bigint;
  receivedUnits: bigint;
  /** What of it funds the payment, and what of it is too much. */
  fundedUnits: bigint;
  excessUnits: bigint;
  pageUrl: string | null;
  transfer: TransferDetails | null;
  operationId: string | null;
  legId: string | null;
  ofExcess: boolean;
  /** Of a refund: the charge whose money it gives back. */
  chargeId: string | null;
  tries: number;
  nextStepAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
};
