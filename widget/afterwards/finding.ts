/**
 * Owns finding somebody's deals in the diamond's logs, and one deal in the transaction that paid it. A log counts only when its
 * terms hash to the deal that it names: a node can keep deals back, but it cannot invent one.
 */
import { type Address, decodeEventLog, encodeEventTopics, type Hex, isAddressEqual, isHex } from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import { dealId, type Terms } from '../../contracts/terms.ts';
import type { Provider } from '../deposit/escrow.ts';
import type { Place } from './calls.ts';
import { NodeError } from './node.ts';

/** A deal as its deposit tells it. */
export type Found = { id: Hex; terms: Terms; transaction: Hex; block: bigint };

/** How far a search has come, newest blocks first. */
export type Progress = { from: bigint; to: bigint; searchedDownTo: bigint };

/** A log of the diamond; `seconds` in Unix time, where the node says it with the log. */
export type Log = {
  address: Address;
  topics: [Hex, ...Hex[]];
  data: Hex;
  transactionHash: Hex;
  blockNumber: bigint;
  seconds: bigint | null;
};

/** Most nodes allow this much or more; what one refuses is halved, what it allows is doubled up to what it refused. */
const SPAN = 10_000n;
const MAX_SPAN = 1_000_000n;
/** Tries of a single block before the node's refusal is believed. */
const TRIES = 3;
const RETRY_PAUSE_MS = 400;

/**
 * Finds the deals that the account pays or is paid by, newest first; `onProgress` is told as it goes, with what was found so far.
 * @throws NodeError when the node refuses even single blocks; the signal's reason when it is aborted
 */
export async function findDeals(
  node: Provider,
  place: Place,
  { account, from, to }: { account: Address; from: bigint; to: bigint },
  { signal, onProgress }: { signal: AbortSignal; onProgress: (progress: Progress, found: readonly Found[]) => void },
): Promise<Found[]> {
  const found = new Map<Hex, Found>();
  const filters = [{ payer: account }, { payee: account }].map((args) =>
    encodeEventTopics({ abi: escrowAbi, eventName: 'Deposited', args }),
  );
  const range = { topics: filters, from, to, mayRefuse: isTooMuch };
  await readRanges(node, place, range, signal, (logs, searchedDownTo) => {
    for (const log of logs) {
      const deal = dealOf(log, place);
      if (deal && isPartyOf(deal.terms, account)) found.set(deal.id, deal);
    }
    onProgress({ from, to, searchedDownTo }, newestFirst(found));
  });
  return newestFirst(found);
}

/** What is read: each of these topics in all of these blocks; `mayRefuse` tells what a smaller range could mend. */
export type LogRange = {
  topics: readonly (readonly unknown[])[];
  from: bigint;
  to: bigint;
  mayRefuse: (error: unknown) => 'unreachable' | 'refused' | null;
};

/**
 * Reads the diamond's logs, newest blocks first, in ranges that are halved until the node takes them.
 * @throws what the node answers when it refuses even single blocks; the signal's reason when it is aborted
 */
export async function readRanges(
  node: Provider,
  { diamond }: Place,
  { topics, from, to, mayRefuse }: LogRange,
  signal: AbortSignal,
  onLogs: (logs: readonly Log[], searchedDownTo: bigint) => void,
): Promise<void> {
  let span = SPAN;
  let refusedSpan = MAX_SPAN;
  let tries = 0;
  let end = to;
  while (end >= from) {
    signal.throwIfAborted();
    const start = end - span + 1n > from ? end - span + 1n : from;
    try {
      const logs: Log[] = [];
      for (const filter of topics) logs.push(...(await readLogs(node, diamond, filter, start, end)));
      end = start - 1n;
      tries = 0;
      if (span * 2n < refusedSpan) span *= 2n;
      onLogs(logs, start);
    } catch (error) {
      const kind = mayRefuse(error);
      if (kind === null) throw error;
      tries += 1;
      refusedSpan = end - start + 1n;
      // Out of reach is not too much at once; for everything else nodes have a hundred words.
      if (kind === 'unreachable' || start === end) {
        if (tries >= TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS * tries));
        if (kind === 'unreachable' && start !== end) span = half(start, end);
      } else span = half(start, end);
    }
  }
}

function isTooMuch(error: unknown): 'unreachable' | 'refused' | null {
  if (!(error instanceof NodeError) || error.kind === 'not_a_node') return null;
  return error.kind === 'unreachable' ? 'unreachable' : 'refused';
}

/** The deals that a transaction opened: none where the node does not know it, or it opened none. @throws NodeError */
export async function findByTransaction(node: Provider, place: Place, hash: Hex): Promise<Found[]> {
  const receipt = Object(await node.request({ method: 'eth_getTransactionReceipt', params: [hash] }));
  return logsOf(receipt.logs).flatMap((log) => {
    const deal = dealOf(log, place);
    return deal ? [deal] : [];
  });
}

/** The block in which the diamond appeared, where the node keeps old state; else the first block. */
export async function findStart(node: Provider, { diamond }: Place, head: bigint): Promise<bigint> {
  const isThere = async (block: bigint) => {
    const code = await node.request({ method: 'eth_getCode', params: [diamond, hexBlock(block)] });
    return isHex(code) && code.length > 2;
  };
  let [before, after] = [-1n, head];
  try {
    while (after - before > 1n) {
      const middle = (before + after) / 2n;
      if (await isThere(middle)) after = middle;
      else before = middle;
    }
    return after;
  } catch {
    return 0n;
  }
}

async function readLogs(node: Provider, address: Address, topics: readonly unknown[], from: bigint, to: bigint) {
  const filter = { address, topics, fromBlock: hexBlock(from), toBlock: hexBlock(to) };
  return logsOf(await node.request({ method: 'eth_getLogs', params: [filter] }));
}

/** A log's deal, when it is a deposit into this diamond whose terms hash to what it says. */
function dealOf({ address, topics, data, transactionHash, blockNumber }: Log, place: Place): Found | null {
  if (!isAddressEqual(address, place.diamond)) return null;
  try {
    const { args } = decodeEventLog({ abi: escrowAbi, eventName: 'Deposited', topics, data });
    const { id, terms } = args;
    if (dealId(terms, place.chainId, place.diamond) !== id) return null;
    return { id, terms, transaction: transactionHash, block: blockNumber };
  } catch {
    return null;
  }
}

function logsOf(answer: unknown): Log[] {
  if (!Array.isArray(answer)) return [];
  return answer.flatMap((item: unknown) => {
    const { address, topics, data, transactionHash, blockNumber, blockTimestamp } = Object(item);
    const isWhole = [address, data, transactionHash, blockNumber].every(isHexText) && Array.isArray(topics);
    if (!isWhole || address.length !== 42 || !topics.every(isHexText)) return [];
    const seconds = isHexText(blockTimestamp) ? BigInt(blockTimestamp) : null;
    const first = topics as [Hex, ...Hex[]];
    return [{ address, topics: first, data, transactionHash, blockNumber: BigInt(blockNumber), seconds }];
  });
}

const isHexText = (value: unknown): value is Hex => isHex(value, { strict: true });

function isPartyOf({ payer, payee }: Terms, account: Address): boolean {
  return isAddressEqual(payer, account) || isAddressEqual(payee, account);
}

function newestFirst(found: ReadonlyMap<Hex, Found>): Found[] {
  return [...found.values()].sort((one, other) => Number(other.block - one.block));
}

function half(start: bigint, end: bigint): bigint {
  const span = (end - start + 1n) / 2n;
  return span > 1n ? span : 1n;
}

function hexBlock(block: bigint): Hex {
  return `0x${block.toString(16)}`;
}
