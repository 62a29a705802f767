// Owns sending: gathers a signer's waiting operations into transactions, signs them, stores them, sends them. It waits for no
// receipt. A process may die at any line: what is stored is sent by whoever looks next, what is not stored still waits.
import type { Logger } from 'pino';
import {
  BaseError,
  type Hex,
  parseTransaction,
  type TransactionSerializableEIP1559,
  type TransactionSerializedEIP1559,
} from 'viem';
import { type Sql, type Transaction, transact } from '../database/db.ts';
import { finishOperation } from '../payments/consumer.ts';
import type { NetworkRow, OperationRow, Refusal } from '../schema.ts';
import { batchData, nextBatch } from './batches.ts';
import { type Chain, isRevert, reachable, reasonOf, revertData } from './chain.ts';
import { dearText, type Fees, isDear, quoteFees } from './fees.ts';
import { explainRevert, unexplained } from './refusals.ts';
import { RpcError } from './rpc.ts';
import type { Signer, UnsignedTransaction } from './signers.ts';
import { recordStanding, standingOf } from './standing.ts';
import {
  type Lane,
  markSent,
  nonceAfterOurs,
  type SettledBefore,
  type SignedForm,
  settledBefore,
  storeTransaction,
} from './transactions.ts';

/** What a pass over one signer on one network works with. */
export type LaneWork = {
  sql: Sql;
  chain: Chain;
  log: Logger;
  network: NetworkRow;
  signer: Signer;
  /** The operators in whose name the signer may act now, itself among them. */
  operators: readonly Hex[];
  /** Whether the operator still lets the signer act, read anew from the chain. */
  mayStillAct: (operator: Hex) => Promise<boolean>;
  /** Operations that the node cannot estimate, by id, and until when they stand back so that others go on. */
  deferred: Map<string, number>;
};

// A node queues a bounded number of transactions of one account (geth 64, of which 16 for certain).
const MAX_IN_FLIGHT = 16;
// The estimate is exact for the state it saw; the margin covers a payee or fee ledger entry that is new by then.
const GAS_MARGIN_PERCENT = 30n;
const DEFER_MS = 15_000;
// More than one transaction's worth, so that one of another verb in between does not halve a batch.
const CLAIM_AT_ONCE = 100;

/** The lane's key in the tables. */
export function laneOf({ network, signer }: Pick<LaneWork, 'network' | 'signer'>): Lane {
  return { networkId: network.id, chainId: network.chainId, signer: signer.address };
}

/** Whether anything waits that this signer may send. */
export async function hasWaiting({ sql, network, signer, operators }: LaneWork): Promise<boolean> {
  const rows = await sql`
    select 1 from operation o where o.network_id = ${network.id} and ${mine(sql, signer, operators)} limit 1`;
  return rows.length > 0;
}

/** The addresses whose signature operations of a network have waited for, at least so long. */
export async function longWaiting(sql: Sql, networkId: string, seconds: number): Promise<Hex[]> {
  const rows = await sql<{ needed: Hex }[]>`
    select distinct lower(coalesce(o.signer, o.terms->>'operator', o.terms->0->>'operator')) as needed from operation o
    where o.network_id = ${networkId} and o.status = 'queued' and o.terms is not null
      and o.updated_at < now() - make_interval(secs => ${seconds})`;
  return rows.map(({ needed }) => needed);
}

// Who is named as its signer (an arbiter) signs alone; whatever else we send is in the name of the deal's operator.
function mine(sql: Sql | Transaction, signer: Signer, operators: readonly Hex[]) {
  return sql`o.status = 'queued' and o.terms is not null and case
    when o.signer is not null then lower(o.signer) = ${signer.address}
    else lower(coalesce(o.terms->>'operator', o.terms->0->>'operator')) = any(${operators as string[]}) end`;
}

/**
 * Sends what waits until nothing does, as many transactions are on their way as may be, the signer is short of ether, or fees are
 * above the network's ceiling.
 * The caller holds the lane's lock.
 * @throws upstream_unavailable
 */
export async function sendWaiting(work: LaneWork): Promise<void> {
  const { sql, chain, network, signer } = work;
  const client = chain.client(network);
  const { atHead: count } = await chain.sentCounts(network, signer.address);
  const [balanceWei, quote] = await Promise.all([
    reachable(network, () => client.getBalance({ address: signer.address })),
    quoteFees(chain, network),
  ]);
  if (isDear(quote)) {
    const standing = { state: 'dear', detail: dearText(network, quote), balanceWei } as const;
    await recordStanding(sql, work.log, laneOf(work), standing);
    return;
  }
  const pass = { count, balanceWei, fees: quote.fees };
  for (;;) {
    const step = await transact(sql, (tx) => signNext(tx, work, pass));
    if (step.kind === 'nothing') return;
    if (step.kind === 'deferred') continue;
    if (step.kind === 'refused') {
      const { nodeId, id: operationId } = step.operation;
      await finishOperation(sql, { nodeId, operationId }, { done: false, refusal: step.refusal });
      continue;
    }
    await recordStanding(sql, work.log, laneOf(work), { ...step.standing, balanceWei });
    if (step.kind === 'short') return;
    await broadcast(work, step.form);
  }
}

type Pass = { count: bigint; balanceWei: bigint; fees: Fees };
type Step =
  | { kind: 'nothing' }
  | { kind: 'deferred' }
  | { kind: 'refused'; operation: OperationRow; refusal: Refusal }
  | { kind: 'short'; standing: ReturnType<typeof standingOf> }
  | { kind: 'stored'; standing: ReturnType<typeof standingOf>; form: SignedForm };

/** Claims what goes into the next transaction, by row locks that end with this database transaction, and stores it signed. */
async function signNext(tx: Transaction, work: LaneWork, { count, balanceWei, fees }: Pass): Promise<Step> {
  const { chain, network, signer, log } = work;
  const lane = laneOf(work);
  const ours = await nonceAfterOurs(tx, lane);
  if (ours !== null && count > ours) {
    log.warn({ ...lane, expected: ours, found: count }, 'the key was used elsewhere; we go on after that');
  }
  const nonce = ours !== null && ours > count ? ours : count;
  if (nonce - count >= MAX_IN_FLIGHT) return { kind: 'nothing' };
  const { waiting, alone } = await claimWaiting(tx, work);
  const estimated = await estimateBatch(work, nextBatch(waiting, alone));
  if (estimated.kind !== 'callable') return estimated;
  const { operations, data, gas } = estimated;
  const before = await dealBefore(chain, network, operations);
  const [first] = operations;
  const earlier = before && first ? await settledBefore(tx, first) : undefined;
  if (earlier && before && first && !sameSettled(earlier, before)) {
    const why =
      'Its nonce went to another transaction, and the deal has changed since: look at it before you ask again.';
    return { kind: 'refused', operation: first, refusal: unexplained(why) };
  }
  const transaction = {
    chainId: Number(network.eip155Id),
    nonce: Number(nonce),
    to: network.diamondAddress,
    data,
    gas,
  };
  const boundWei = await boundByOpen(tx, lane, count);
  const standing = standingOf({ balanceWei, boundWei, nextWei: gas * fees.maxFeePerGas }, network);
  if (standing.state === 'paused') return { kind: 'short', standing };
  const raw = await signer.sign({ ...transaction, ...fees });
  const carries = operations.map((operation) => ({ operation, before }));
  return { kind: 'stored', standing, form: await storeTransaction(tx, lane, { nonce, raw, carries }) };
}

/** What waits, the oldest first, locked; `alone`: what was in a transaction before, and goes without company now. */
async function claimWaiting(
  tx: Transaction,
  { network, signer, operators, deferred }: LaneWork,
): Promise<{ waiting: OperationRow[]; alone: Set<string> }> {
  for (const [id, untilMs] of deferred) if (untilMs < Date.now()) deferred.delete(id);
  const rows = await tx<(OperationRow & { again: boolean })[]>`
    select o.*, exists (
      select 1 from transaction_operation e where e.node_id = o.node_id and e.operation_id = o.id) as again
    from operation o where o.network_id = ${network.id} and ${mine(tx, signer, operators)}
      and o.id <> all(${[...deferred.keys()]})
    order by o.id limit ${CLAIM_AT_ONCE} for update of o skip locked`;
  return { waiting: rows, alone: new Set(rows.filter(({ again }) => again).map(({ id }) => id)) };
}

type Estimated =
  | { kind: 'callable'; operations: OperationRow[]; data: Hex; gas: bigint }
  | { kind: 'nothing' }
  | { kind: 'deferred' }
  | { kind: 'refused'; operation: OperationRow; refusal: Refusal };

/** Estimates a batch; one that would revert is halved until the entry that spoils it stands alone and is refused. */
async function estimateBatch(work: LaneWork, batch: OperationRow[]): Promise<Estimated> {
  const { chain, network, signer, log } = work;
  let operations = batch;
  for (;;) {
    const [first] = operations;
    if (!first) return { kind: 'nothing' };
    const data = batchData(operations);
    try {
      const gas = await chain
        .client(network)
        .estimateGas({ account: signer.address, to: network.diamondAddress, data });
      return { kind: 'callable', operations, data, gas: gas + (gas * GAS_MARGIN_PERCENT) / 100n };
    } catch (error) {
      const reverts = isRevert(error);
      if (!reverts && !isAnswer(error)) return await reachable(network, () => Promise.reject(error));
      if (operations.length > 1) {
        operations = operations.slice(0, Math.ceil(operations.length / 2));
        continue;
      }
      const data = revertData(error);
      const reason = reasonOf(error);
      const refusal = (data && explainRevert(data)) ?? unexplained(reason);
      if (reverts && !(refusal.name === 'NotAllowed' && (await lostItsRight(work, first)))) {
        return { kind: 'refused', operation: first, refusal };
      }
      log.warn(
        { ...laneOf(work), operation: first.id, paymentId: first.paymentId, reason },
        'an operation cannot be estimated now',
      );
      work.deferred.set(first.id, Date.now() + DEFER_MS);
      return { kind: 'deferred' };
    }
  }
}

/** Whether the operator took the signer's right to act away, so that the operation waits for another signer. */
export async function lostItsRight({ signer, mayStillAct }: LaneWork, operation: OperationRow): Promise<boolean> {
  const [terms] = [operation.terms ?? []].flat();
  const operator = String(terms?.operator ?? '').toLowerCase() as Hex;
  return operator !== signer.address && !(await mayStillAct(operator));
}

/** Whether a node answered at all: what it refuses once may still be about one transaction only. */
function isAnswer(error: unknown): boolean {
  return error instanceof BaseError && error.walk((cause) => cause instanceof RpcError) !== null;
}

/** What the deal of a part has settled now; null for what moves all that is held, which a second time moves nothing. */
async function dealBefore(chain: Chain, network: NetworkRow, [first]: OperationRow[]): Promise<SettledBefore> {
  if (!first?.dealId || (first.verb !== 'releasePart' && first.verb !== 'refundPart')) return null;
  const deal = await chain.deal(network, first.dealId);
  return { releasedUnits: deal.released, refundedUnits: deal.refunded };
}

function sameSettled(a: NonNullable<SettledBefore>, b: NonNullable<SettledBefore>): boolean {
  return a.releasedUnits === b.releasedUnits && a.refundedUnits === b.refundedUnits;
}

/** What the signer's transactions that are still to be mined may cost, each in its dearest form. */
async function boundByOpen(tx: Transaction, { chainId, signer }: Lane, count: bigint): Promise<bigint> {
  const rows = await tx<{ raw: Hex }[]>`
    select distinct on (nonce) raw from signed_transaction s
    join chain_transaction t using (network_id, signer, nonce)
    where t.chain_id = ${chainId} and signer = ${signer} and nonce >= ${count} order by nonce, attempt desc`;
  return rows.reduce((sum, { raw }) => {
    const { gas, maxFeePerGas } = unsigned(raw);
    return sum + gas * maxFeePerGas;
  }, 0n);
}

/** What a signed transaction of ours says. */
export function unsigned(raw: Hex): UnsignedTransaction {
  const signed: TransactionSerializableEIP1559 = parseTransaction(raw as TransactionSerializedEIP1559);
  const { chainId, nonce = 0, to, data = '0x', gas = 0n, maxFeePerGas = 0n, maxPriorityFeePerGas = 0n } = signed;
  if (!to) throw new Error('A transaction of ours has no receiver.');
  return { chainId, nonce, to, data, gas, maxFeePerGas, maxPriorityFeePerGas };
}

/**
 * Gives a stored form to the network. No answer, or one that it is there already, counts as sent: the receipt decides. A
 * refusal leaves it stored, and the follower sends it again.
 */
export async function broadcast({ sql, chain, network, log, signer }: LaneWork, form: SignedForm): Promise<void> {
  try {
    await chain.client(network).sendRawTransaction({ serializedTransaction: form.raw });
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal !== undefined) {
      const entry = { network: network.name, signer: signer.address, hash: form.hash, refusal };
      log.warn(entry, 'the node refuses a transaction; it is sent again');
      return;
    }
  }
  await markSent(sql, form.hash);
}

/** Why the node did not take a transaction, in its words; undefined when it may well have it. */
function refusalOf(error: unknown): string | undefined {
  if (!(error instanceof BaseError)) return undefined;
  const answered = error.walk((cause) => cause instanceof RpcError);
  if (!(answered instanceof RpcError)) return undefined;
  if (/already known|already imported|nonce too low|known transaction/i.test(answered.message)) return undefined;
  return answered.message.split('\n')[0] ?? 'refused';
}
