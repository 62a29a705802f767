// Owns what happened to one deal, as the chain has it: the diamond's events that name it, each with the transaction that proves it.
import { decodeEventLog, type Hex, isHex } from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import type { Provider } from '../deposit/escrow.ts';
import type { Place } from './calls.ts';
import type { Found } from './finding.ts';

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

/** What happened to the deal since its deposit, oldest first; empty where the node does not give logs. */
export async function readHistory(node: Provider, { diamond }: Place, { id, block }: Found): Promise<Happened[]> {
  const filter = { address: diamond, topics: [null, id], fromBlock: `0x${block.toString(16)}`, toBlock: 'latest' };
  const logs = await node.request({ method: 'eth_getLogs', params: [filter] }).catch(() => []);
  if (!Array.isArray(logs)) return [];
  const times = new Map<string, Promise<bigint>>();
  const happened: Happened[] = [];
  for (const log of logs) {
    const { topics, data, transactionHash, blockNumber, blockTimestamp } = Object(log);
    const name = nameOf(topics, data);
    if (!name || !isHex(transactionHash)) continue;
    const reading = times.get(blockNumber) ?? readTime(node, blockNumber, blockTimestamp);
    times.set(blockNumber, reading);
    happened.push({ name, transaction: transactionHash, seconds: await reading });
  }
  return happened;
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
async function readTime(node: Provider, block: Hex, said: unknown): Promise<bigint> {
  if (isHex(said)) return BigInt(said);
  const answer = await node.request({ method: 'eth_getBlockByNumber', params: [block, false] }).catch(() => null);
  const time: unknown = Object(answer).timestamp;
  return isHex(time) ? BigInt(time) : 0n;
}
