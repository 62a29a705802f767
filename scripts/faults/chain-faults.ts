/** Faults of the chain: blocks that are taken back, a pool that loses transactions or finds them too cheap, and the operator's key used elsewhere. */
import { type Hex, parseGwei, parseTransaction, recoverTransactionAddress, type TransactionSerialized } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import type { Random } from './random.ts';
import type { Fault } from './schedule.ts';
import type { Stage } from './stage.ts';

type Reorg = Extract<Fault, { kind: 'reorg' }>;
type Removed = { raw: Hex; sender: string; nonce: number; place: number };

// What is underpriced by that waits for about half a minute of blocks, or until its fee is raised.
const JUMPED_BASE_FEE = parseGwei('30');

/**
 * Takes `depth` blocks back. `all`: their transactions come again one block later at most, in another block; `some`: a beginning of
 * each sender's; `none`: nothing. What does not come again is gone until its sender gives it to the network once more.
 */
export async function reorganise(stage: Stage, random: Random, { depth, kept }: Reorg): Promise<void> {
  const { chain, settledBlock } = stage;
  const head = await chain.getBlockNumber();
  const blocks = Math.min(depth, Number(head - settledBlock));
  if (blocks < 1) return;
  const removed: Removed[] = [];
  for (let place = 0; place < blocks; place += 1) {
    const block = await chain.getBlock({ blockNumber: head - BigInt(blocks - 1 - place) });
    for (const hash of block.transactions) {
      const raw = await chain.request({ method: 'eth_getRawTransactionByHash' as never, params: [hash] as never });
      if (raw) removed.push(await removedOf(raw as Hex, place));
    }
  }
  stage.reorganisedAt = Date.now();
  await chain.request({
    method: 'anvil_reorg' as never,
    params: [blocks, again(random, removed, blocks, kept)] as never,
  });
}

async function removedOf(raw: Hex, place: number): Promise<Removed> {
  const sender = await recoverTransactionAddress({ serializedTransaction: raw as TransactionSerialized });
  return { raw, sender, nonce: parseTransaction(raw).nonce ?? 0, place };
}

/** Which transactions come again, and in which of the new blocks: of each sender a beginning, in the order of nonces. */
function again(random: Random, removed: Removed[], blocks: number, kept: Reorg['kept']): [Hex, number][] {
  const bySender = Map.groupBy(removed, ({ sender }) => sender);
  const pairs: [Hex, number][] = [];
  for (const transactions of bySender.values()) {
    const ordered = transactions.toSorted((a, b) => a.nonce - b.nonce);
    const many = kept === 'all' ? ordered.length : kept === 'none' ? 0 : random.whole(0, ordered.length);
    let earliest = 0;
    for (const { raw, place } of ordered.slice(0, many)) {
      earliest = Math.max(earliest, Math.min(blocks - 1, place + random.whole(0, 1)));
      pairs.push([raw, earliest]);
    }
  }
  return pairs.toSorted((a, b) => a[1] - b[1]);
}

/** Treats the pool, or the operator's nonce, as the schedule says. */
export async function disturbPool(stage: Stage, how: Extract<Fault, { kind: 'pool' }>['how']): Promise<void> {
  const { chain, operatorKey } = stage;
  if (how === 'drop') {
    await chain.request({ method: 'anvil_dropAllTransactions' as never, params: [] as never });
    return;
  }
  if (how === 'underprice') {
    await chain.setNextBlockBaseFeePerGas({ baseFeePerGas: JUMPED_BASE_FEE });
    return;
  }
  const account = privateKeyToAccount(operatorKey);
  const nonce = await chain.getTransactionCount({ address: account.address, blockTag: 'pending' });
  const raw = await account.signTransaction({
    ...{ type: 'eip1559', chainId: stage.chainId, nonce, to: account.address, value: 1n, gas: 21_000n },
    ...{ maxFeePerGas: parseGwei('100'), maxPriorityFeePerGas: parseGwei('2') },
  });
  stage.outside.add(await chain.sendRawTransaction({ serializedTransaction: raw }));
}
