// Owns what happened to one deal, as the chain has it: the diamond's events that name it, each with the transaction that proves it.
import { decodeEventLog, type Hex, isHex } from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import type { Provider } from '../deposit/escrow.ts';
import type { Place } from './calls.ts';
import { type Found, type Log, readRanges } from './finding.ts';

/** The events that move a deal. */
export const happenings = [
  'Deposited',
  'Released',
  'Refunded',
  'DealCancelled',
  'Claimed',
  'Reclaimed',
  'PaymentReturned',
  'DisputeOpened',
  'DisputeWithdrawn',
  'Resolved',
  'DealSettled',
] as const;

/** One of them at its place; `seconds` in Unix time. */
export type Happened = { name: (typeof happenings)[number]; transaction: Hex; seconds: bigint };

// A deal of years on a node that gives 500 blocks at once would be asked for ten thousand times; the escape page has the patience.
const MOST_RANGES = 200;

/** What happened to a deal, oldest first; `isWhole` false: the node gave only the newest part, or nothing. */
export type History = { happened: readonly Happened[]; isWhole: boolean };

/** What happened to the deal since its deposit, as far as the node gives its logs. */
export async function readHistory(node: Provider, place: Place, { id, block }: Found): Promise<History> {
  const logs: Log[] = [];
  const enough = new AbortController();
  let ranges = 0;
  let isWhole = true;
  try {
    const to = BigInt(String(await node.request({ method: 'eth_blockNumber' })));
    // A wallet's node says in many ways that it was too much; one that is away answers nothing else either.
    const range = { topics: [[null, id]], from: block, to, mayRefuse: () => 'refused' as const };
    await readRanges(node, place, range, enough.signal, (found) => {
      logs.push(...found);
      ranges += 1;
      if (ranges >= MOST_RANGES) enough.abort();
    });
  } catch {
    isWhole = false;
  }
  const times = new Map<bigint, Promise<bigint>>();
  const happened: Happened[] = [];
  logs.sort((one, other) => Number(one.blockNumber - other.blockNumber));
  for (const { topics, data, transactionHash, blockNumber, seconds } of logs) {
    const name = topics[1] === id ? nameOf(topics, data) : null;
    if (!name) continue;
    const reading = times.get(blockNumber) ?? readTime(node, blockNumber, seconds);
    times.set(blockNumber, reading);
    happened.push({ name, transaction: transactionHash, seconds: await reading });
  }
  return { happened, isWhole };
}

function nameOf(topics: [Hex, ...Hex[]], data: Hex): Happened['name'] | null {
  try {
    const { eventName } = decodeEventLog({ abi: escrowAbi, topics, data });
    return happenings.find((name) => name === eventName) ?? null;
  } catch {
    return null;
  }
}

/** A block's time: with its logs where the node says it there; 0 where it does not say. */
async function readTime(node: Provider, block: bigint, said: bigint | null): Promise<bigint> {
  if (said !== null) return said;
  const params = [`0x${block.toString(16)}`, false];
  const answer = await node.request({ method: 'eth_getBlockByNumber', params }).catch(() => null);
  const time: unknown = Object(answer).timestamp;
  return isHex(time) ? BigInt(time) : 0n;
}
