import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Quorum } from '../../api/core/chain/quorum.ts';
import { type LocalChain, startChain } from '../../scripts/dev/hardhat.ts';
import { type Door, lagAt, openDoor } from '../support/door.ts';
import { chainOf, mineBlocks } from '../support/wallet.ts';

const CHAIN_ID = 31337n;
const doors: Door[] = [];
let node: LocalChain;
let chain: ReturnType<typeof chainOf>;
// A chain of its own: what others mine would move the heads that these tests count.
beforeAll(async () => {
  node = await startChain({ logPath: join(tmpdir(), `dealkeep-quorum-${process.pid}.log`) });
  chain = chainOf(node);
  await mineBlocks(node, 5);
});
afterAll(async () => {
  await node?.stop();
});
afterEach(() => {
  for (const door of doors.splice(0)) door.close();
});

async function openDoors(count: number): Promise<Door[]> {
  for (let opened = 0; opened < count; opened++) doors.push(await openDoor(node.rpcUrl));
  return doors.slice(-count);
}

function quorumOf(through: readonly Door[]): Quorum {
  return new Quorum(
    through.map(({ url }) => url),
    CHAIN_ID,
    { local: true },
  );
}

/** A head is shared for a moment; after it the nodes are asked again. */
async function headOf(quorum: Quorum): Promise<bigint> {
  await new Promise((resolve) => setTimeout(resolve, 120));
  return (await quorum.head()).number;
}

const anotherBlock = async (door: Door, number: bigint) => {
  door.intercept = async (request, forward) => {
    const answer = await forward(request);
    const block = answer.result as { number: string } | null;
    if (!request.method.startsWith('eth_getBlockBy') || !block || BigInt(block.number) < number) return answer;
    return { result: { ...block, hash: `0x${'ab'.repeat(32)}` } };
  };
};

describe('one URL', () => {
  test('is its own quorum: its newest block is the head', async () => {
    const [door] = await openDoors(1);
    const quorum = quorumOf([door as Door]);
    expect(await headOf(quorum)).toBe(await chain.getBlockNumber({ cacheTime: 0 }));
    expect(quorum.report()).toMatchObject([{ state: 'ok', reason: null }]);
  });

  test('that serves another chain is refused, and believed again when it serves the right one', async () => {
    const [door] = (await openDoors(1)) as [Door];
    const quorum = quorumOf([door]);
    door.intercept = async (request, forward) =>
      request.method === 'eth_chainId' ? { result: '0x5' } : await forward(request);
    await expect(quorum.head()).rejects.toThrow('serves chain 5, not 31337');
    await expect(quorum.request({ method: 'eth_gasPrice' })).rejects.toThrow('serves chain 5, not 31337');
    expect(quorum.report()[0]).toMatchObject({ state: 'refused' });
    door.intercept = (request, forward) => forward(request);
    expect(await headOf(quorum)).toBeGreaterThan(0n);
  });

  test('that goes back to blocks it had left behind is refused until it is where it was', async () => {
    const [door] = (await openDoors(1)) as [Door];
    const quorum = quorumOf([door]);
    await mineBlocks(node, 3);
    const head = await headOf(quorum);
    lagAt(door, head - 2n);
    await expect(headOf(quorum)).rejects.toThrow(`went back from block ${head} to ${head - 2n}`);
    door.intercept = (request, forward) => forward(request);
    expect(await headOf(quorum)).toBeGreaterThanOrEqual(head);
  });

  test('that answers with anything but JSON-RPC is silent, and its URL is in no error', async () => {
    const [door] = (await openDoors(1)) as [Door];
    const url = `${door.url}/key-in-the-path`;
    door.open = false;
    const error = await new Quorum([url], CHAIN_ID, { local: true }).head().catch((thrown) => thrown);
    expect(JSON.stringify([error.message, error.stack, error.cause, error])).not.toContain('key-in-the-path');
    expect(error.message).toContain('no usable answer');
    door.open = true;
    door.intercept = async () => ({ nothing: true }) as object;
    await expect(new Quorum([url], CHAIN_ID, { local: true }).head()).rejects.toThrow('no usable answer');
  });
});

describe('a reorganisation', () => {
  test('that parent hashes prove moves the head back, one that they do not prove does not', async () => {
    const [door] = (await openDoors(1)) as [Door];
    const quorum = quorumOf([door]);
    await headOf(quorum);
    const snapshot = await chain.snapshot();
    for (let mined = 0; mined < 3; mined++) {
      await mineBlocks(node, 1);
      await headOf(quorum);
    }
    const before = await headOf(quorum);
    await chain.revert({ id: snapshot });
    // Another time makes it another block at the same height.
    await chain.increaseTime({ seconds: 60 });
    await mineBlocks(node, 1);
    expect(await headOf(quorum)).toBe(before - 2n);

    await mineBlocks(node, 2);
    await headOf(quorum);
    door.intercept = async (request, forward) => {
      if (request.params[0] !== 'latest') return await forward(request);
      const { result } = await forward({ ...request, params: [`0x${(before - 1n).toString(16)}`, false] });
      const lie = { hash: `0x${'cd'.repeat(32)}`, parentHash: `0x${'ef'.repeat(32)}` };
      return { result: { ...Object(result), ...lie } };
    };
    await expect(headOf(quorum)).rejects.toThrow('went back');
  });
});

describe('two URLs', () => {
  test('the head is the newest block that both have', async () => {
    const [fast, slow] = (await openDoors(2)) as [Door, Door];
    await mineBlocks(node, 3);
    const number = (await chain.getBlockNumber({ cacheTime: 0 })) - 2n;
    lagAt(slow, number);
    const quorum = quorumOf([fast, slow]);
    expect(await headOf(quorum)).toBe(number);
    expect(await quorum.request({ method: 'eth_blockNumber' })).toBe(`0x${number.toString(16)}`);
    const latest = await quorum.request({ method: 'eth_getBlockByNumber', params: ['latest', false] });
    expect(latest).toMatchObject({ number: `0x${number.toString(16)}` });
  });

  test('blocks that differ are agreed on by neither: the head stays below them', async () => {
    const [honest, liar] = (await openDoors(2)) as [Door, Door];
    await mineBlocks(node, 3);
    const number = await chain.getBlockNumber({ cacheTime: 0 });
    await anotherBlock(liar, number - 1n);
    const quorum = quorumOf([honest, liar]);
    expect(await headOf(quorum)).toBe(number - 2n);
    await anotherBlock(liar, 0n);
    await expect(headOf(quorum)).rejects.toThrow('its nodes disagree, 2 must agree');
  });

  test('one that is down leaves no quorum, but everything else is asked of the other', async () => {
    const [up, down] = (await openDoors(2)) as [Door, Door];
    down.open = false;
    const quorum = quorumOf([down, up]);
    await expect(quorum.head()).rejects.toThrow(/1 of 2 nodes answer, 2 must agree \(node 1: no usable answer\)/);
    expect(await quorum.request({ method: 'eth_gasPrice' })).toMatch(/^0x/);
    const asked = down.asked.get('eth_chainId') ?? 0;
    await quorum.request({ method: 'eth_gasPrice' });
    expect(down.asked.get('eth_chainId') ?? 0).toBe(asked);
    down.open = true;
    await expect.poll(() => headOf(quorum).catch(() => null), { timeout: 15_000 }).not.toBeNull();
  });

  test('the head never moves back when a node that was ahead is lost', async () => {
    const [first, second, third] = (await openDoors(3)) as [Door, Door, Door];
    await mineBlocks(node, 4);
    const number = await chain.getBlockNumber({ cacheTime: 0 });
    lagAt(third, number - 3n);
    const quorum = quorumOf([first, second, third]);
    const head = await headOf(quorum);
    expect(head).toBeGreaterThanOrEqual(number);
    first.open = false;
    expect(await headOf(quorum)).toBeGreaterThanOrEqual(head);
  });

  test('three URLs survive the loss of one, and one that lies is outvoted', async () => {
    const [dead, liar, honest, other] = (await openDoors(4)) as [Door, Door, Door, Door];
    dead.open = false;
    expect(await headOf(quorumOf([dead, honest, other]))).toBeGreaterThan(0n);
    await anotherBlock(liar, 0n);
    const quorum = quorumOf([liar, honest, other]);
    const { hash } = await quorum.head();
    expect(hash).not.toBe(`0x${'ab'.repeat(32)}`);
  });

  test('a transaction is told to every node; a refusal of the chain’s is passed on as it is', async () => {
    const both = await openDoors(2);
    const quorum = quorumOf(both);
    const request = { method: 'eth_sendRawTransaction', params: ['0x02'] };
    await expect(quorum.request(request)).rejects.toMatchObject({ name: 'RpcError' });
    expect(both.map((door) => door.asked.get('eth_sendRawTransaction'))).toEqual([1, 1]);
  });
});
