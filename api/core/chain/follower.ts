// Owns what becomes of sent transactions, until each is as deep as its network asks: receipts, forms that a node lost, fees
// that are too low, gaps of nonces, nonces that the key spent elsewhere, and blocks that a reorg takes back.
// Everything here may run twice, or stop at any line.
import type { TransactionReceipt } from 'viem';
import { transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { finishOperation, type OperationResult } from '../payments/consumer.ts';
import type { OperationRow, Refusal } from '../schema.ts';
import { readOutcomes } from './batches.ts';
import { callData } from './calls.ts';
import { revertData } from './chain.ts';
import { isDear, quoteFees, raisedFees } from './fees.ts';
import { explainRevert, unexplained } from './refusals.ts';
import { broadcast, type LaneWork, laneOf, lostItsRight, unsigned } from './sender.ts';
import {
  carriedOperations,
  type FollowedTransaction,
  followedTransactions,
  markFinal,
  NOWHERE,
  nonceAfterOurs,
  recordStatus,
  setFree,
  storeForm,
  storeTransaction,
  unfollowedNonces,
} from './transactions.ts';

/** How long the follower waits before it acts, in milliseconds. */
export type Patience = {
  /** A form that a node took and that is in no block is given to the network again after this long. */
  resendAfterMs: number;
  /** The fee is raised when the next transaction in line was not mined for so long, although blocks came. */
  bumpAfterMs: number;
  /** A nonce that is used, by none of our forms as far as we see, counts as taken after this long. */
  missingAfterMs: number;
};

export const PATIENCE: Patience = { resendAfterMs: 5_000, bumpAfterMs: 30_000, missingAfterMs: 3_000 };

// Twelve raises quadruple the fee; a chain that still does not take it has another problem.
const MAX_FORMS = 12;
// A node whose count of our nonces is further behind than this is not reorganising, it is behind or lies.
const MAX_ROLLBACK = 64n;
// Finishing an operation is a transaction of its own; more at once would take the pool from the sender.
const FINISH_AT_ONCE = 4;
const FILLER_GAS = 21_000n;

/** Since when a nonce is the next in line, by this process's clock and the chain's; `isDear`: it was said that its fee stays. */
export type HeadOfLine = { nonce: bigint; sinceMs: number; block: bigint; isDear?: boolean };

/**
 * One look at everything that a signer has sent and that is not final. Answers how many still are not, and the next in line.
 * The caller holds the lane's lock for following.
 * @throws upstream_unavailable
 */
export async function follow(
  work: LaneWork,
  patience: Patience,
  lastHead: HeadOfLine | undefined,
): Promise<{ followed: number; head: HeadOfLine | undefined }> {
  const { sql, chain, network, signer } = work;
  const followed = await followedTransactions(sql, laneOf(work));
  if (followed.length === 0) return { followed: 0, head: undefined };
  const counts = await chain.sentCounts(network, signer.address);
  const view: View = { count: counts.atHead, deepCount: counts.atDeep, deep: counts.deep };
  const block = counts.head;
  await refuseFarBehind(work, view.count);
  const looks = await Promise.all(followed.map((transaction) => look(work, patience, view, transaction)));
  const remaining: FollowedTransaction[] = [];
  for (const [index, transaction] of followed.entries()) {
    const seen = looks[index];
    if (seen === 'taken') await giveUpNonce(work, transaction);
    else if (seen === undefined) remaining.push(transaction);
    else await conclude(work, transaction, seen);
  }
  await closeGaps(work, view.count);
  const next = remaining.find(({ nonce, status }) => nonce === view.count && status === 'open');
  const head = next && (lastHead?.nonce === next.nonce ? lastHead : { nonce: next.nonce, sinceMs: Date.now(), block });
  for (const transaction of remaining.filter(({ nonce }) => nonce >= view.count)) {
    const [newest] = transaction.forms;
    if (!newest) continue;
    const raised =
      head?.nonce === transaction.nonce && block > head.block && (await raiseFee(work, patience, transaction, head));
    const sentMs = newest.sentAt?.getTime() ?? 0;
    if (!raised && Date.now() - sentMs > patience.resendAfterMs) await broadcast(work, newest);
  }
  return { followed: remaining.length, head };
}

/**
 * Looks whether the chain still has what was final, when nothing else of the signer's is followed: what a reorganisation deeper
 * than the network's confirmations took back is followed again. The caller holds the lane's lock for following.
 * @throws upstream_unavailable
 */
export async function lookBack(work: LaneWork): Promise<void> {
  const { sql, chain, network, signer } = work;
  if ((await nonceAfterOurs(sql, laneOf(work))) === null) return;
  const { atHead } = await chain.sentCounts(network, signer.address);
  await refuseFarBehind(work, atHead);
  await closeGaps(work, atHead);
}

/** How much of a signer's is in blocks at the head, and deep enough; `deep`: the newest block that is. */
type View = { count: bigint; deepCount: bigint; deep: bigint };

async function refuseFarBehind({ sql, network, ...work }: LaneWork, count: bigint): Promise<void> {
  const next = (await nonceAfterOurs(sql, laneOf({ network, ...work }))) ?? 0n;
  if (next - count <= MAX_ROLLBACK) return;
  const detail = `Network ${network.name}: its node counts ${count} transactions of ours, but ${next} were sent.`;
  throw new CoreError('upstream_unavailable', detail);
}

/** Brings one transaction's row to what the chain says; answers what is final: its receipt, or that its nonce is taken. */
async function look(
  work: LaneWork,
  { missingAfterMs }: Patience,
  view: View,
  transaction: FollowedTransaction,
): Promise<TransactionReceipt | 'taken' | undefined> {
  const { sql } = work;
  const { nonce, status } = transaction;
  if (nonce >= view.count) {
    if (status !== 'open' || transaction.missingSince) await recordStatus(sql, transaction, NOWHERE);
    transaction.status = 'open';
    return undefined;
  }
  // Known to be in a block that is not deep enough yet: another look would say nothing new.
  if (transaction.blockNumber !== null && transaction.blockNumber > view.deep) return undefined;
  const receipt = await findReceipt(work, transaction);
  if (receipt) {
    const { blockNumber, blockHash, transactionHash: minedHash } = receipt;
    const mined = receipt.status === 'success' ? 'mined' : 'reverted';
    await recordStatus(sql, transaction, { status: mined, blockNumber, blockHash, minedHash, missingSince: null });
    return blockNumber > view.deep ? undefined : receipt;
  }
  const missingSince = transaction.missingSince ?? new Date();
  if (nonce < view.deepCount && Date.now() - missingSince.getTime() > missingAfterMs) return 'taken';
  if (status !== 'open' || !transaction.missingSince)
    await recordStatus(sql, transaction, { ...NOWHERE, missingSince });
  return undefined;
}

async function findReceipt(
  { chain, network }: LaneWork,
  { forms }: FollowedTransaction,
): Promise<TransactionReceipt | undefined> {
  for (const { hash } of forms) {
    const receipt = await chain.receipt(network, hash);
    if (receipt) return receipt;
  }
  return undefined;
}

/** The nonce went to a transaction that is not ours: what ours carried waits again. */
async function giveUpNonce({ sql, log }: LaneWork, transaction: FollowedTransaction): Promise<void> {
  const { networkId, signer, nonce } = transaction;
  log.warn({ networkId, signer, nonce }, 'the key was used elsewhere: a nonce of ours is taken, its work is sent anew');
  await transact(sql, async (tx) => {
    await recordStatus(tx, transaction, { ...NOWHERE, status: 'taken' });
    await setFree(tx, transaction);
    await markFinal(tx, transaction);
  });
}

/** Writes how each operation of a transaction that is deep enough ended. */
async function conclude(work: LaneWork, transaction: FollowedTransaction, receipt: TransactionReceipt): Promise<void> {
  const { sql } = work;
  const operations = await carriedOperations(sql, transaction);
  const ends = await readEnds(work, receipt, operations);
  for (let from = 0; from < ends.length; from += FINISH_AT_ONCE) {
    const some = ends.slice(from, from + FINISH_AT_ONCE);
    await Promise.all(
      some.map(({ operation: { nodeId, id: operationId }, result }) =>
        finishOperation(sql, { nodeId, operationId }, { ...result, transactionHash: receipt.transactionHash }),
      ),
    );
  }
  await transact(sql, async (tx) => {
    // What has no end yet (a batch that reverted as a whole, an entry of a delegate that was dropped) waits again.
    await setFree(tx, transaction);
    await markFinal(tx, transaction);
  });
}

type End = { operation: OperationRow; result: OperationResult };

async function readEnds(work: LaneWork, receipt: TransactionReceipt, operations: OperationRow[]): Promise<End[]> {
  const ends: End[] = [];
  const fail = async (operation: OperationRow, otherwise: string) => {
    const refusal = (await wouldRevert(work, operation, receipt.blockNumber)) ?? unexplained(otherwise);
    ends.push({ operation, result: { done: false, refusal } });
  };
  if (receipt.status === 'reverted') {
    const [only] = operations;
    if (only && operations.length === 1) await fail(only, `Transaction ${receipt.transactionHash} reverted.`);
    return ends;
  }
  for (const [operation, outcome] of readOutcomes(receipt, work.network, operations)) {
    if (outcome.kind === 'done') ends.push({ operation, result: { done: true } });
    if (outcome.kind !== 'skipped') continue;
    if (outcome.error === 'NotAllowed' && (await lostItsRight(work, operation))) continue;
    await fail(operation, `The contract skipped it: ${outcome.error}.`);
  }
  return ends;
}

/** By what the single verb of an operation is refused in a block's state; undefined when it is not, or nobody knows. */
async function wouldRevert(
  { chain, network, signer }: LaneWork,
  operation: OperationRow,
  blockNumber: bigint,
): Promise<Refusal | undefined> {
  const { terms } = operation;
  const single = { ...operation, terms: Array.isArray(terms) ? (terms[0] ?? null) : terms };
  try {
    const call = { account: signer.address, to: network.diamondAddress, data: callData(single), blockNumber };
    await chain.client(network).call(call);
    return undefined;
  } catch (error) {
    const data = revertData(error);
    return (data && explainRevert(data)) || undefined;
  }
}

/** Signs and sends the next in line with higher fees when it waits too long; answers whether it did. */
async function raiseFee(
  work: LaneWork,
  { bumpAfterMs }: Patience,
  transaction: FollowedTransaction,
  head: HeadOfLine,
): Promise<boolean> {
  const { sql, chain, network, signer, log } = work;
  const [newest] = transaction.forms;
  if (!newest) return false;
  const waitedMs = Date.now() - Math.max(head.sinceMs, newest.createdAt.getTime());
  if (waitedMs < bumpAfterMs) return false;
  const { nonce } = transaction;
  if (transaction.forms.length >= MAX_FORMS) {
    log.error({ ...laneOf(work), nonce }, 'a transaction is stuck although its fee was raised again and again');
    return false;
  }
  const before = unsigned(newest.raw);
  const quote = await quoteFees(chain, network);
  const fees = raisedFees(before, quote);
  if (fees === null) {
    const entry = { ...laneOf(work), nonce, waitedMs, bid: before.maxFeePerGas, ceilingWei: quote.ceilingWei };
    if (!head.isDear) log.warn(entry, 'a transaction waits too long, but a higher fee would be above the ceiling');
    head.isDear = true;
    return false;
  }
  const raw = await signer.sign({ ...before, ...fees });
  log.warn({ ...laneOf(work), nonce, waitedMs, ...fees }, 'a transaction waits too long; its fee is raised');
  await broadcast(work, await storeForm(sql, transaction, raw));
  return true;
}

/**
 * Fills nonces before ours that nothing takes, or ours would wait for ever: those of foreign transactions that a reorg took
 * back get a transfer of nothing to ourselves. Ours that were final and are gone are followed again.
 */
async function closeGaps(work: LaneWork, count: bigint): Promise<void> {
  const { sql, chain, network, signer, log } = work;
  const lane = laneOf(work);
  const open = await unfollowedNonces(sql, lane, count);
  if (open.length === 0) return;
  const quote = await quoteFees(chain, network);
  for (const { nonce, status, networkId } of open) {
    const row = { networkId: networkId ?? lane.networkId, signer: lane.signer, nonce };
    log.warn({ ...lane, nonce, status }, 'a nonce is free that was used before; it is filled');
    if (status === 'mined' || status === 'reverted') {
      await recordStatus(sql, row, NOWHERE);
      continue;
    }
    // What is to be filled stays so, and is looked at again.
    if (isDear(quote)) continue;
    const raw = await signer.sign({
      chainId: Number(network.eip155Id),
      nonce: Number(nonce),
      to: signer.address,
      data: '0x',
      gas: FILLER_GAS,
      ...quote.fees,
    });
    if (status === null) {
      await transact(sql, (tx) => storeTransaction(tx, lane, { nonce, raw, carries: [] }));
    } else {
      await storeForm(sql, row, raw);
      await recordStatus(sql, row, NOWHERE);
    }
  }
}
