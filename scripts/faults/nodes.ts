/** Nodes that misbehave: proxies of JSON-RPC before a real one. Only what is asked for while a treatment is on is touched by it. */
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.ts';
import type { Treatment } from './schedule.ts';

type Call = { id: number; method: string; params?: unknown[] };
type Block = { number: string; hash: string; transactions: { hash: string }[] };

/** What a node saw of the newest blocks before a reorganisation that it has not heard of. */
export type Fork = { from: bigint; blocks: Map<bigint, Block>; receipts: Map<string, { logs: unknown[] }> };

export type Node = {
  readonly url: string;
  /** Treats this share of requests so; a former treatment ends. */
  treat(treatment: Treatment, share: number): void;
  /** Passes everything on again, and lets go of what hangs. */
  heal(): void;
  /** How many requests were treated. */
  readonly treated: number;
  stop(): Promise<void>;
};

// By so many blocks a head goes back.
const BACK_BLOCKS = 5n;
const MOST_DELAY_MS = 2_500;
// More than a fork can be deep.
const REMEMBERED_BLOCKS = 12n;

/** Asks the node at `url` as it is. @throws Error with its words */
export async function ask<T>(url: string, method: string, params: unknown[] = []): Promise<T> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const { result, error } = JSON.parse(await pass(url, body)) as { result?: T; error?: { message: string } };
  if (error) throw new Error(`${method}: ${error.message}`);
  return result as T;
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

function pass(url: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    const onward = request(url, { method: 'POST', agent, headers, timeout: 20_000 }, async (answer) => {
      resolve(await textOf(answer));
    });
    onward.on('timeout', () => onward.destroy(new Error('The chain does not answer.')));
    onward.on('error', reject);
    onward.end(body);
  });
}

async function textOf(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Starts a proxy on 127.0.0.1 before the node at `upstream`. */
export async function startNode(upstream: string, random: Random): Promise<Node> {
  let treatment: { name: Treatment; share: number } | undefined;
  let fork: Fork | undefined;
  let treated = 0;
  const hanging = new Set<ServerResponse>();

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await textOf(incoming);
    const now = treatment && random.next() < treatment.share ? treatment.name : undefined;
    const answer = (status: number, text: string) => {
      if (!response.destroyed) response.writeHead(status, { 'Content-Type': 'application/json' }).end(text);
    };
    if (now !== undefined) treated += 1;
    switch (now) {
      case 'drop':
        response.destroy();
        return;
      case 'hang':
        hanging.add(response);
        return;
      case 'busy':
        answer(429, '');
        return;
      case 'bad_gateway':
        answer(502, '<html>Bad Gateway</html>');
        return;
      case 'lost':
        await pass(upstream, body);
        response.destroy();
        return;
      case 'duplicate':
        await pass(upstream, body);
        break;
      case 'delay':
        await sleep(random.whole(50, MOST_DELAY_MS));
        break;
      case 'back':
        answer(200, await asOfEarlier(body));
        return;
      case 'fork':
        answer(200, fork ? await asOnFork(body, fork) : await pass(upstream, body));
        return;
    }
    answer(200, await pass(upstream, body));
  }

  async function asOfEarlier(body: string): Promise<string> {
    const call = JSON.parse(body) as Call;
    const newest = BigInt(await ask<string>(upstream, 'eth_blockNumber'));
    const tag = `0x${(newest > BACK_BLOCKS ? newest - BACK_BLOCKS : 0n).toString(16)}`;
    if (call.method === 'eth_blockNumber') return said(call, tag);
    if (call.method !== 'eth_getBlockByNumber' || call.params?.[0] !== 'latest') return await pass(upstream, body);
    return await pass(upstream, JSON.stringify({ ...call, params: [tag, ...call.params.slice(1)] }));
  }

  async function asOnFork(body: string, { from, blocks, receipts }: Fork): Promise<string> {
    const call = JSON.parse(body) as Call;
    const [first, full] = call.params ?? [];
    const newest = from + BigInt(blocks.size) - 1n;
    const shown = (block: Block | undefined) =>
      block && full !== true ? { ...block, transactions: block.transactions.map(({ hash }) => hash) } : (block ?? null);
    if (call.method === 'eth_blockNumber') return said(call, `0x${newest.toString(16)}`);
    if (call.method === 'eth_getBlockByNumber') {
      if (first === 'latest') return said(call, shown(blocks.get(newest)));
      const number = /^0x/.test(String(first)) ? BigInt(String(first)) : 0n;
      if (number >= from) return said(call, shown(blocks.get(number)));
    }
    if (call.method === 'eth_getBlockByHash') {
      const known = [...blocks.values()].find(({ hash }) => hash === first);
      if (known) return said(call, shown(known));
    }
    if (call.method === 'eth_getTransactionReceipt' && receipts.has(String(first))) {
      return said(call, receipts.get(String(first)));
    }
    return await pass(upstream, body);
  }

  const server = createServer((incoming, response) => {
    serve(incoming, response).catch(() => response.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const release = () => {
    for (const response of hanging) response.destroy();
    hanging.clear();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get treated() {
      return treated;
    },
    treat(name, share) {
      release();
      treatment = { name, share };
      if (name === 'fork') {
        void remember(upstream).then(
          (seen) => {
            fork = seen;
          },
          () => {},
        );
      }
    },
    heal() {
      treatment = undefined;
      fork = undefined;
      release();
    },
    async stop() {
      release();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

function said({ id }: Call, result: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result });
}

/** The newest blocks and their receipts, as they are now. */
async function remember(url: string): Promise<Fork> {
  const newest = BigInt(await ask<string>(url, 'eth_blockNumber'));
  const from = newest > REMEMBERED_BLOCKS ? newest - REMEMBERED_BLOCKS : 0n;
  const fork: Fork = { from, blocks: new Map(), receipts: new Map() };
  for (let number = from; number <= newest; number += 1n) {
    const block = await ask<Block>(url, 'eth_getBlockByNumber', [`0x${number.toString(16)}`, true]);
    fork.blocks.set(number, block);
    for (const { hash } of block.transactions) {
      fork.receipts.set(hash, await ask(url, 'eth_getTransactionReceipt', [hash]));
    }
  }
  return fork;
}
