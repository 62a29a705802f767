// Owns reading what a diamond has logged from the chain itself, past the indexer: range by range of blocks, each as a quorum of the
// network's nodes has it. Remembers nothing and writes nothing.
import { AbiEventSignatureNotFoundError, type Address, decodeEventLog, type Hex, isAddressEqual } from 'viem';
import { escrowAbi } from '../../../contracts/abi.ts';
import { CoreError } from '../errors.ts';
import type { NetworkRow } from '../schema.ts';
import { type Chain, reasonOf } from './chain.ts';
import { RefusedNode, RpcError, type RpcRequest } from './rpc.ts';

type Decoded = ReturnType<typeof decodeEventLog<typeof escrowAbi>>;

/** An event of the diamond at its place in the chain; `blockTimestamp` in Unix seconds where the node says it. */
export type DiamondLog = {
  blockNumber: bigint;
  blockHash: Hex;
  blockTimestamp: bigint | null;
  transactionHash: Hex;
  logIndex: number;
  event: Decoded;
};

/** The blocks of one answer, both ends included, and what the diamond logged in them. */
export type LoggedRange = { from: bigint; to: bigint; logs: DiamondLog[] };

// What every public node gives at once (the least that the large providers allow their paying users).
const FIRST_RANGE = 2_000n;
// A chain with a block a quarter of a second has 126 million a year: where nodes allow it, the range doubles up to this.
const LARGEST_RANGE = 128_000n;

/**
 * The diamond's events from block `from` up to `to`, in order, range by range. A range that a node finds too large is halved.
 * @throws upstream_unavailable when no quorum gives the logs of a range that can be no smaller
 */
export async function* readDiamondLogs(
  chain: Chain,
  network: NetworkRow,
  { from: first, to: last }: { from: bigint; to: bigint },
): AsyncGenerator<LoggedRange> {
  let size = FIRST_RANGE;
  let largest = LARGEST_RANGE;
  for (let from = first; from <= last; ) {
    const to = from + size - 1n < last ? from + size - 1n : last;
    const answer = await readRange(chain, network, { from, to });
    if ('error' in answer) {
      const span = to - from + 1n;
      // A node that says nothing to a range that every node gives is not asked for ever smaller ones.
      if (span === 1n || (!answer.refused && span <= FIRST_RANGE)) throw unread(network, { from, to }, answer.error);
      size = span / 2n;
      largest = size;
      continue;
    }
    yield { from, to, logs: answer.logs };
    from = to + 1n;
    size = size * 2n < largest ? size * 2n : largest;
  }
}

type Answered = { logs: DiamondLog[] } | { error: unknown; refused: boolean };

async function readRange(
  chain: Chain,
  network: NetworkRow,
  { from, to }: { from: bigint; to: bigint },
): Promise<Answered> {
  let refused = false;
  try {
    const logs = await chain.quorum(network).agree(
      async (request) => {
        try {
          return await askFor(request, network.diamondAddress, { from, to });
        } catch (error) {
          refused ||= error instanceof RpcError;
          throw error;
        }
      },
      (found) => JSON.stringify(found.map(({ blockTimestamp: _timestamp, ...log }) => log)),
    );
    return { logs: logs.flatMap(decode) };
  } catch (error) {
    return { error, refused };
  }
}

type RawLog = {
  address: Address;
  blockNumber: Hex;
  blockHash: Hex;
  blockTimestamp: Hex | null;
  transactionHash: Hex;
  logIndex: Hex;
  data: Hex;
  topics: [Hex, ...Hex[]];
};

async function askFor(
  request: (request: RpcRequest) => Promise<unknown>,
  address: Address,
  { from, to }: { from: bigint; to: bigint },
): Promise<RawLog[]> {
  const range = { fromBlock: `0x${from.toString(16)}`, toBlock: `0x${to.toString(16)}` };
  const answer = await request({ method: 'eth_getLogs', params: [{ address, ...range }] });
  if (!Array.isArray(answer)) throw new RefusedNode('answers with logs that are none');
  return answer.map((log) => {
    const { blockNumber, blockHash, blockTimestamp = null, transactionHash, logIndex, data, topics } = Object(log);
    const texts = [blockNumber, blockHash, transactionHash, logIndex, data];
    if (!texts.every((value) => typeof value === 'string') || !Array.isArray(topics)) {
      throw new RefusedNode('answers with a log that is none');
    }
    const block = BigInt(blockNumber);
    if (block < from || block > to || !isAddressEqual(log.address, address)) {
      throw new RefusedNode('answers with logs that it was not asked for');
    }
    return { address, blockNumber, blockHash, blockTimestamp, transactionHash, logIndex, data, topics } as RawLog;
  });
}

/** The log as an event; nothing of one that this version's contract does not know, which moves no money of it. */
function decode({ blockNumber, blockTimestamp, logIndex, data, topics, ...log }: RawLog): DiamondLog[] {
  const { blockHash, transactionHash } = log;
  const place = { blockNumber: BigInt(blockNumber), blockHash, transactionHash, logIndex: Number(logIndex) };
  try {
    const event = decodeEventLog({ abi: escrowAbi, data, topics });
    return [{ ...place, blockTimestamp: blockTimestamp === null ? null : BigInt(blockTimestamp), event }];
  } catch (error) {
    if (error instanceof AbiEventSignatureNotFoundError) return [];
    throw error;
  }
}

function unread({ name }: NetworkRow, { from, to }: { from: bigint; to: bigint }, error: unknown): CoreError {
  const blocks = from === to ? `block ${from}` : `blocks ${from} to ${to}`;
  // A node's own words may hold its URL.
  const why = error instanceof RpcError ? `its node refuses (code ${error.code})` : reasonOf(error);
  return new CoreError(
    'upstream_unavailable',
    `Network ${name}: what the diamond logged in ${blocks} cannot be read: ${why}.`,
  );
}
