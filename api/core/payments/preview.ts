// Owns dry runs: what an action would do, to the unit, with nothing written. The action itself runs and is rolled back; the
// money follows from the ledger's own balances, gas and refusal from the chain.
import type { Address, Hex } from 'viem';
import { callData } from '../chain/calls.ts';
import { type Chain, reachable, reasonOf, revertData } from '../chain/chain.ts';
import { explainRevert, unexplained } from '../chain/refusals.ts';
import type { Sql, Transaction } from '../database/db.ts';
import { type Balances, balancesOf, type DealMoney } from '../ledger.ts';
import { findNetwork } from '../platform/platform.ts';
import { findAttempts } from '../rails/attempts.ts';
import { isOnRail, memoParties } from '../rails/railLegs.ts';
import type { DealRow, NetworkRow, OperationRow, PaymentRow, PaymentStatus, Refusal } from '../schema.ts';
import { legStatus, paymentStatus } from '../status.ts';
import { type LockedPayment, lockPayment } from './actions.ts';
import { loadOperations, type OperationRecord } from './operations.ts';
import type { PaymentKey } from './payments.ts';
import type { StrayDeal } from './strays.ts';

/**
 * Money that moves, in base units: a token between two addresses, or on a rail, without a token, between its provider (by name) and
 * the owner of a ledger account.
 */
export type Movement = { from: string; to: string; token: Address | null; amountUnits: bigint };

/** A state and what would become of it. */
export type Change<State> = { before: State; after: State };

/** What an operation would do to its deal. */
export type Projection = {
  movements: Movement[];
  /** Credited to the recipient inside the escrow, for it to withdraw; on a rail, in the ledger. */
  fees: { recipient: string; token: Address | null; amountUnits: bigint }[];
  status: Change<PaymentStatus>;
};

/** One operation as it would be, what it would do, and what the chain says of it now. */
export type PreviewedOperation = Projection & {
  /** Its id means something only when it was asked for before. */
  operation: OperationRecord;
  askedBefore: boolean;
  /** Null when the call would revert, or when there is nothing to send. */
  gas: bigint | null;
  refusal: Refusal | null;
  /** Of settle: what payer and payee sign (EIP-712). */
  settlement: Settlement | null;
};

/** The numbers of a settlement as both parties sign them; amounts in base units. @see contracts/typed-data.ts */
export type Settlement = {
  chainId: number;
  diamond: Address;
  deal: Hex;
  released: bigint;
  refunded: bigint;
  toPayee: bigint;
  toPayer: bigint;
  deadline: bigint;
};

/** What an action on a payment would do. */
export type Preview = { operations: PreviewedOperation[]; paymentStatus: Change<PaymentStatus> };

type Rehearsed = LockedPayment & { provider: string | null; records: OperationRecord[]; known: Set<string> };

/** Runs an action on a payment for its outcome alone. @throws whatever the action throws */
export async function previewAction(
  sql: Sql | Transaction,
  chain: Chain,
  key: PaymentKey,
  action: (tx: Transaction) => Promise<OperationRow[]>,
): Promise<Preview> {
  const rehearsed = await rolledBack(sql, async (tx): Promise<Rehearsed> => {
    const locked = await lockPayment(tx, key);
    const [charge] = isOnRail(locked.payment) ? await findAttempts(tx, key, 'charge') : [];
    const ids = await tx<{ id: string }[]>`
      select id from operation where node_id = ${key.nodeId} and payment_id = ${key.paymentId}`;
    const operations = await action(tx);
    return {
      ...locked,
      provider: charge?.provider ?? null,
      records: await loadOperations(
        tx,
        key.nodeId,
        operations.map(({ id }) => id),
      ),
      known: new Set(ids.map(({ id }) => id)),
    };
  });
  const { payment, deals: before, provider, records, known } = rehearsed;
  const after = new Map(before.map((deal) => [deal.id, deal]));
  const previewed: PreviewedOperation[] = [];
  for (const operation of records) {
    const deal = before.find(({ id }) => id === operation.legId || operation.verb === 'refundExcess');
    if (!deal) throw new Error(`Operation ${operation.id} has no leg.`);
    const network = deal.networkId === null ? null : await findNetwork(sql, deal.networkId);
    const askedBefore = known.has(operation.id);
    const settled = askedBefore && isOver(operation) ? deal : afterOperation(deal, operation);
    after.set(deal.id, settled);
    previewed.push({
      operation,
      askedBefore,
      ...(provider === null
        ? project(deal, settled, deal.payer && { ...deal, payer: deal.payer, holder: network?.diamondAddress ?? '' })
        : projectMemo(payment, deal, settled, provider, operation)),
      ...(network ? await ask(chain, network, operation) : NOTHING_SENT),
      settlement: network && operation.verb === 'settle' ? settlementOf(network, deal, operation) : null,
    });
  }
  const statuses = (deals: Iterable<DealRow>) => paymentStatus([...deals].map(legStatus));
  return { operations: previewed, paymentStatus: { before: statuses(before), after: statuses(after.values()) } };
}

/** What a refund of a stray deal would do. */
export type StrayPreview = Omit<PreviewedOperation, 'status' | 'settlement'> & { status: Change<string> };

/** Runs the refund of a stray deal for its outcome alone. @throws whatever the refund throws */
export async function previewStray(
  sql: Sql | Transaction,
  chain: Chain,
  network: NetworkRow,
  stray: StrayDeal,
  refund: (tx: Transaction) => Promise<OperationRow>,
): Promise<StrayPreview> {
  const { operation, askedBefore } = await rolledBack(sql, async (tx) => {
    const known = await tx<{ id: string }[]>`
      select id from operation where network_id = ${network.id} and deal_id = ${stray.dealId} and stray`;
    const { nodeId, id } = await refund(tx);
    const [record] = await loadOperations(tx, nodeId, [id]);
    if (!record) throw new Error(`Operation ${id} was not stored.`);
    return { operation: record, askedBefore: known.some((row) => row.id === id) };
  });
  const before = {
    amountUnits: stray.amount,
    feeUnits: stray.fee,
    releasedUnits: stray.released,
    refundedUnits: stray.refunded,
  };
  const over = isOver(operation);
  const after = over ? before : { ...before, refundedUnits: stray.refunded + balancesOf(before).escrow };
  const { movements } = movementsOf(before, after, { holder: network.diamondAddress, ...stray });
  return {
    operation,
    askedBefore,
    movements,
    fees: [],
    status: { before: stray.status, after: over ? stray.status : 'settled' },
    ...(await ask(chain, network, operation)),
  };
}

/** Runs work in a transaction that never commits, and answers what it answered. */
async function rolledBack<T>(sql: Sql | Transaction, work: (tx: Transaction) => Promise<T>): Promise<T> {
  let result: { value: T } | undefined;
  const rehearsal = async (tx: Transaction) => {
    result = { value: await work(tx) };
    throw new Rollback();
  };
  try {
    await ('savepoint' in sql ? sql.savepoint(rehearsal) : sql.begin(rehearsal));
  } catch (error) {
    if (!(error instanceof Rollback) || !result) throw error;
  }
  if (!result) throw new Error('The rehearsal did not run.');
  return result.value;
}

class Rollback extends Error {}

function settlementOf(network: NetworkRow, deal: DealRow, operation: OperationRow): Settlement {
  const toPayee = operation.amountUnits ?? 0n;
  return {
    chainId: Number(network.eip155Id),
    diamond: network.diamondAddress,
    deal: operation.dealId ?? '0x',
    released: deal.releasedUnits,
    refunded: deal.refundedUnits,
    toPayee,
    toPayer: balancesOf(deal).escrow - toPayee,
    deadline: operation.signBy ?? 0n,
  };
}

function isOver({ status }: OperationRow): boolean {
  return status === 'done' || status === 'failed';
}

/** A leg as an operation would leave it, once the chain confirms it. */
function afterOperation(deal: DealRow, { verb, amountUnits, dealId }: OperationRow): DealRow {
  if (verb === 'refundExcess' || verb === 'withdraw') return deal;
  // A funded deal without an id is held by a provider, and moves as one on chain does.
  if (deal.dealId === null && deal.chainStatus !== 'funded') {
    // Nothing was deposited: only closing is possible, on chain or, before anybody held call data, here alone.
    return dealId === null ? { ...deal, cancelledAt: new Date() } : { ...deal, chainStatus: 'closed' };
  }
  const held = balancesOf(deal).escrow;
  const moved = (released: bigint, refunded: bigint): DealRow => {
    const money = {
      ...deal,
      releasedUnits: deal.releasedUnits + released,
      refundedUnits: deal.refundedUnits + refunded,
      cancelRequestedAt: null,
    };
    return balancesOf(money).escrow === 0n ? { ...money, chainStatus: 'settled' } : money;
  };
  const amount = amountUnits ?? held;
  switch (verb) {
    case 'release':
    case 'releasePart':
      return moved(amount, 0n);
    case 'cancelDeal':
    case 'refundPart':
    case 'returnPayment':
      return moved(0n, amount);
    case 'resolve':
    case 'settle':
      return moved(amount, held - amount);
    case 'openDispute':
      return { ...deal, chainStatus: 'disputed' };
    case 'withdrawDispute':
      return { ...deal, chainStatus: 'funded' };
    case 'depositWithAuthorization':
    case 'depositWithPermit2':
      return deal;
  }
}

/** Between whom a deal's money moves, and what it is. */
type Parties = { holder: string; payer: string; payee: string; feeRecipient: string; token: Address | null };

/** On a rail: what its provider gives back or pays out, as the ledger will have it. */
function projectMemo(
  payment: PaymentRow,
  before: DealRow,
  after: DealRow,
  provider: string,
  { verb, amountUnits }: OperationRow,
): Projection {
  const parties = { ...memoParties(payment, before, provider), holder: provider, token: null };
  const funded = before.chainStatus === 'funded' || before.chainStatus === 'settled';
  const projection = project(before, after, funded ? parties : null);
  if (verb !== 'refundExcess') return projection;
  const excess = { from: provider, to: parties.payer, token: null, amountUnits: amountUnits ?? 0n };
  return { ...projection, movements: [excess] };
}

/** What brings a leg from one state to another: the difference of its balances; without parties nothing was deposited. */
function project(before: DealRow, after: DealRow, parties: Parties | null): Projection {
  const status = { before: legStatus(before), after: legStatus(after) };
  if (parties === null) return { movements: [], fees: [], status };
  const { feeRecipient, token } = parties;
  const { movements, feeUnits } = movementsOf(before, after, parties);
  const fees = feeUnits > 0n ? [{ recipient: feeRecipient, token, amountUnits: feeUnits }] : [];
  return { movements, fees, status };
}

/** The transfers and the fee between two states of a deal's money. */
function movementsOf(
  before: DealMoney,
  after: DealMoney,
  { holder, payer, payee, token }: Omit<Parties, 'feeRecipient'>,
): { movements: Movement[]; feeUnits: bigint } {
  const [was, is] = [balancesOf(before), balancesOf(after)];
  const gained = (account: keyof Balances) => is[account] - was[account];
  // What the payee gives back comes out of its own pocket; everything else out of the escrow.
  const returns = gained('payee') < 0n;
  const movements = [
    { from: holder, to: payee, token, amountUnits: gained('payee') },
    { from: returns ? payee : holder, to: payer, token, amountUnits: gained('payer') },
  ].filter(({ amountUnits }) => amountUnits > 0n);
  return { movements, feeUnits: gained('fee') };
}

/** What a chain says of an action that a provider carries out. */
const NOTHING_SENT = { gas: null, refusal: null };

/** What the chain says of a call now. @throws upstream_unavailable */
async function ask(
  chain: Chain,
  network: NetworkRow,
  operation: OperationRow,
): Promise<{ gas: bigint | null; refusal: Refusal | null }> {
  if (!operation.terms || isOver(operation)) return { gas: null, refusal: operation.error };
  const account = operation.signer ?? network.operatorAddress;
  try {
    const call = { account, to: network.diamondAddress, data: callData(operation) };
    return { gas: await chain.client(network).estimateGas(call), refusal: null };
  } catch (error) {
    const data = revertData(error);
    if (data === undefined) return await reachable(network, () => Promise.reject(error));
    return { gas: null, refusal: explainRevert(data) ?? unexplained(reasonOf(error)) };
  }
}
