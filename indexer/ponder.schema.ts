/**
 * The mirror of the chain as other processes read it, through views of the same names in the schema `chain`. Columns are
 * snake_case; addresses and hashes are lowercase hex text; amounts are base units, times Unix seconds, all NUMERIC(78,0).
 * Every key begins with chain and diamond, so that several deployments could stand side by side.
 */
import { index, onchainTable, primaryKey } from 'ponder';

/** A deal that was deposited into: its terms and its present state. */
export const deal = onchainTable(
  'deal',
  (t) => ({
    chainId: t.bigint().notNull(),
    diamond: t.hex().notNull(),
    /** Content hash of the terms, payer included. */
    id: t.hex().notNull(),
    /** Content hash of the same terms with the payer left out: what an offer is matched by. */
    offerId: t.hex().notNull(),
    /** High 64 bits of `ref`; anyone may choose it, so it identifies nothing. */
    number: t.bigint().notNull(),
    ref: t.bigint().notNull(),
    operator: t.hex().notNull(),
    payee: t.hex().notNull(),
    payer: t.hex().notNull(),
    token: t.hex().notNull(),
    amount: t.bigint().notNull(),
    fee: t.bigint().notNull(),
    feeRecipient: t.hex().notNull(),
    /** The zero address: none. */
    arbiter: t.hex().notNull(),
    depositDeadline: t.bigint().notNull(),
    settlementDeadline: t.bigint().notNull(),
    resolutionDeadline: t.bigint().notNull(),
    /** 0 refund, 1 release. */
    defaultOutcome: t.integer().notNull(),
    released: t.bigint().notNull(),
    refunded: t.bigint().notNull(),
    /** funded, disputed, settled. */
    status: t.text().notNull(),
    /** Who opened the present dispute, payer or payee; null without one. */
    disputedBy: t.text(),
    depositBlock: t.bigint().notNull(),
    depositTimestamp: t.bigint().notNull(),
    depositTransaction: t.hex().notNull(),
    depositLogIndex: t.integer().notNull(),
    lastBlock: t.bigint().notNull(),
    lastTimestamp: t.bigint().notNull(),
    lastTransaction: t.hex().notNull(),
    lastLogIndex: t.integer().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.chainId, table.diamond, table.id] }),
    byOffer: index().on(table.chainId, table.diamond, table.offerId),
    byId: index().on(table.id),
    byNumber: index().on(table.chainId, table.diamond, table.number),
    byPayer: index().on(table.payer),
    byPayee: index().on(table.payee),
    byOperator: index().on(table.operator),
    byLastBlock: index().on(table.chainId, table.diamond, table.lastBlock),
  }),
);

/** An offer or deal that was closed for good before any deposit. */
export const closedDeal = onchainTable(
  'closed_deal',
  (t) => ({
    chainId: t.bigint().notNull(),
    diamond: t.hex().notNull(),
    id: t.hex().notNull(),
    block: t.bigint().notNull(),
    timestamp: t.bigint().notNull(),
    transaction: t.hex().notNull(),
    logIndex: t.integer().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.chainId, table.diamond, table.id] }),
    byId: index().on(table.id),
    byBlock: index().on(table.chainId, table.diamond, table.block),
  }),
);

/** What happened to a deal, in the chain's order by (block_number, log_index), with the state that it left behind. */
export const dealEvent = onchainTable(
  'deal_event',
  (t) => ({
    chainId: t.bigint().notNull(),
    diamond: t.hex().notNull(),
    dealId: t.hex().notNull(),
    /** The event's name in the contract. */
    name: t.text().notNull(),
    released: t.bigint().notNull(),
    refunded: t.bigint().notNull(),
    /** funded, disputed, cancelled (closed before a deposit), settled. */
    status: t.text().notNull(),
    /** Of `DisputeOpened`: the hash of what is claimed, or zero. */
    evidence: t.hex(),
    /** Who signed the transaction, which need not be a party. */
    sender: t.hex().notNull(),
    blockNumber: t.bigint().notNull(),
    blockHash: t.hex().notNull(),
    blockTimestamp: t.bigint().notNull(),
    transactionHash: t.hex().notNull(),
    logIndex: t.integer().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.chainId, table.diamond, table.blockNumber, table.logIndex] }),
    byDeal: index().on(table.chainId, table.diamond, table.dealId),
  }),
);

/** Entries of a batch that the diamond left as they were; the deal need not exist. */
export const skippedDeal = onchainTable(
  'skipped_deal',
  (t) => ({
    chainId: t.bigint().notNull(),
    diamond: t.hex().notNull(),
    dealId: t.hex().notNull(),
    /** Selector (4 bytes) of the error that the verb alone would have reverted with. */
    reason: t.hex().notNull(),
    blockNumber: t.bigint().notNull(),
    transactionHash: t.hex().notNull(),
    logIndex: t.integer().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.chainId, table.diamond, table.blockNumber, table.logIndex] }),
    byDeal: index().on(table.chainId, table.diamond, table.dealId),
  }),
);

/** Money that waits for its owner because a push to it failed (Credited), and its payment (Withdrawn, which also pays fees). */
export const creditEvent = onchainTable(
  'credit_event',
  (t) => ({
    chainId: t.bigint().notNull(),
    diamond: t.hex().notNull(),
    /** Credited or Withdrawn. */
    name: t.text().notNull(),
    token: t.hex().notNull(),
    account: t.hex().notNull(),
    amount: t.bigint().notNull(),
    blockNumber: t.bigint().notNull(),
    blockTimestamp: t.bigint().notNull(),
    transactionHash: t.hex().notNull(),
    logIndex: t.integer().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.chainId, table.diamond, table.blockNumber, table.logIndex] }),
    byAccount: index().on(table.account, table.token),
  }),
);

/** What `withdraw` would pay an account now: fees that accrued to it and pushes to it that failed, less what it withdrew. */
export const credit = onchainTable(
  'credit',
  (t) => ({
    chainId: t.bigint().notNull(),
    diamond: t.hex().notNull(),
    token: t.hex().notNull(),
    account: t.hex().notNull(),
    amount: t.bigint().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.chainId, table.diamond, table.token, table.account] }),
    byAccount: index().on(table.account),
  }),
);

/** Sums over all deals in a token; the diamond must own at least `held + credits` of it. */
export const tokenTotal = onchainTable(
  'token_total',
  (t) => ({
    chainId: t.bigint().notNull(),
    diamond: t.hex().notNull(),
    token: t.hex().notNull(),
    deals: t.integer().notNull(),
    deposited: t.bigint().notNull(),
    released: t.bigint().notNull(),
    /** To payers, what payees gave back included. */
    refunded: t.bigint().notNull(),
    fees: t.bigint().notNull(),
    held: t.bigint().notNull(),
    credits: t.bigint().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.chainId, table.diamond, table.token] }),
  }),
);
