import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEther, zeroAddress } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, migrate, type Sql } from '../../api/core/database/db.ts';
import { deploy } from '../../scripts/deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../../scripts/dev/accounts.ts';
import { type LocalChain, startChain } from '../../scripts/dev/hardhat.ts';
import { startPostgres } from '../../scripts/dev/postgres.ts';
import type { RunningProcess } from '../../scripts/dev/processes.ts';
import { startIndexing, startWorker } from '../../scripts/dev/services.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from '../api/marketplace.ts';
import { type Door, lagAt, openDoor } from '../support/door.ts';
import { readDeal, untilDeal } from '../support/mirror.ts';
import type { Stack } from '../support/stack.ts';
import { chainOf, mineBlocks, offerOf, openWallet, type Wallet } from '../support/wallet.ts';

const SECOND_CHAIN = 31_338;
// Shorter than an operator would choose, so that a test sees it act.
const BEHIND_MS = 5_000;

const parts: { stop(): Promise<void> }[] = [];
let folder: string;
let stack: Stack;
let market: Marketplace;
let sql: Sql;
let buyer: Wallet;
let door: Door;
let supervisor: { url: string; process: RunningProcess };

async function startStack(chain: LocalChain, databaseUrl: string): Promise<Stack> {
  // Hardhat's well-known keys are refused on any other chain than its own.
  const privateKey = chain.chainId === hardhat.id ? hardhatKey(ROLES.deployer) : generatePrivateKey();
  const { address } = privateKeyToAccount(privateKey);
  await chainOf(chain).setBalance({ address, value: parseEther('100') });
  const addressBookPath = join(folder, `${chain.chainId}.json`);
  const entry = await deploy({ rpcUrl: chain.rpcUrl, privateKey, addressBookPath, testTokens: true });
  const tokenOf = (symbol: string) => entry.tokens[symbol]?.address ?? zeroAddress;
  return {
    ...{ folder, databaseUrl, rpcUrl: chain.rpcUrl, chainId: chain.chainId, addressBookPath },
    ...{ diamond: entry.diamond, startBlock: entry.startBlock, secret: randomBytes(32).toString('hex') },
    tokens: { USDC: tokenOf('USDC'), USDT: tokenOf('USDT') },
    operator: hardhatAccount(ROLES.operator).address,
    operatorKey: hardhatKey(ROLES.operator),
    feeRecipient: hardhatAccount(ROLES.feeRecipient).address,
    arbiter: hardhatAccount(ROLES.arbiter).address,
    arbiterKey: hardhatKey(ROLES.arbiter),
  };
}

async function part<T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> {
  const started = await starting;
  parts.push(started);
  return started;
}

async function supervise(): Promise<typeof supervisor> {
  const options = { databaseUrl: stack.databaseUrl, behindMs: BEHIND_MS };
  supervisor = await startIndexing({ ...options, logPath: join(folder, 'indexer.log') });
  return supervisor;
}

/** What the supervisor says of the diamond of a chain. */
async function status(chainId = stack.chainId): Promise<Json> {
  const { indexers } = (await (await fetch(supervisor.url)).json()) as Json;
  return indexers.find((indexer: Json) => indexer.eip155_id === chainId);
}

async function untilStatus(wanted: Json, chainId = stack.chainId): Promise<Json> {
  await expect.poll(() => status(chainId), { timeout: 60_000 }).toMatchObject(wanted);
  return await status(chainId);
}

/** Watches whether readers see a deal, until asked for what it saw. */
function watch(id: `0x${string}`): () => Promise<Set<boolean>> {
  const seen = new Set<boolean>();
  let watching = true;
  const done = (async () => {
    while (watching) seen.add((await readDeal(sql, id)) !== undefined);
  })();
  return async () => {
    watching = false;
    await done;
    return seen;
  };
}

const running = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

// Everything of its own: these tests end the sessions of the database and rewind what the chain's node says.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dealkeep-supervisor-'));
  await chmod(folder, 0o755);
  parts.push({ stop: () => rm(folder, { recursive: true, force: true }) });
  const log = (name: string) => join(folder, `${name}.log`);
  const [postgres, chain] = await Promise.all([
    part(startPostgres({ dataDir: join(folder, 'postgres'), logPath: log('postgres'), durable: false })),
    part(startChain({ logPath: log('chain') })),
  ]);
  await migrate(postgres.url);
  stack = await startStack(chain, postgres.url);
  door = await openDoor(stack.rpcUrl);
  market = await openMarketplace({ stack, rpcUrl: door.url });
  sql = connect(postgres.url, { maxConnections: 2 });
  buyer = await openWallet(stack);
  await supervise();
  const worker = await startWorker({ ...stack, operatorKeys: [stack.operatorKey], logPath: log('worker') });
  parts.push(worker.process);
}, 180_000);
afterAll(async () => {
  await supervisor?.process.stop();
  await sql?.end();
  await market?.close();
  door?.close();
  for (const started of parts.reverse()) await started.stop();
});

describe('the supervisor of the indexer', () => {
  test('follows the network that is in the database, from the block of its diamond', async () => {
    expect(await untilStatus({ state: 'following', restarts: 0 })).toMatchObject({
      diamond: stack.diamond.toLowerCase(),
      nodes: [{ state: 'ok', reason: null }],
    });
    const [network] = await sql`select start_block from network`;
    expect(network).toEqual({ startBlock: BigInt(stack.startBlock) });
    const { payment, widget } = await market.payable();
    await buyer.deposit(termsOf(widget));
    await market.untilStatus(payment.id, 'funded');
  });

  test.each(['SIGKILL', 'SIGSTOP'] as const)('starts a process again after a %s', async (signal) => {
    const { pids, restarts } = await untilStatus({ state: 'following' });
    process.kill(pids[0], signal);
    const deal = await buyer.deposit(offerOf(stack));
    await untilStatus({ state: 'following', restarts: restarts + 1 });
    await untilDeal(sql, deal.id, { status: 'funded' });
    expect(running(pids[0])).toBe(false);
    expect((await status()).reason).toMatch(signal === 'SIGKILL' ? /ended \(signal SIGKILL\)/ : /not/);
  });

  test('starts everything again after the database ended every session', async () => {
    const { pids, restarts } = await untilStatus({ state: 'following' });
    const own = connect(stack.databaseUrl, { maxConnections: 1 });
    await own`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`;
    await own.end();
    const deal = await buyer.deposit(offerOf(stack));
    await untilStatus({ state: 'following', restarts: restarts + 1 });
    expect((await status()).pids).not.toEqual(pids);
    await expect
      .poll(() => readDeal(sql, deal.id).catch(() => null), { timeout: 15_000 })
      .toMatchObject({ status: 'funded' });
  });

  test('a node that goes back takes nothing back; one of another chain is waited for', async () => {
    const deal = await buyer.deposit(offerOf(stack));
    await untilDeal(sql, deal.id, { status: 'funded' });
    const { restarts } = await untilStatus({ state: 'following' });
    const seen = watch(deal.id);
    lagAt(door, BigInt(deal.receipt.blockNumber) - 2n);
    await untilStatus({
      state: 'waiting',
      nodes: [{ state: 'refused', reason: expect.stringContaining('went back') }],
    });
    door.intercept = async (request, forward) =>
      request.method === 'eth_chainId' ? { result: '0x1' } : await forward(request);
    await untilStatus({ state: 'following' });
    expect([...(await seen())]).toEqual([true]);
    door.intercept = (request, forward) => forward(request);
    expect((await status()).restarts).toBe(restarts);
  });

  test('killed outright it leaves no process behind; a second one has waited and takes over', async () => {
    const { pids } = await untilStatus({ state: 'following' });
    const standby = startIndexing({
      ...{ databaseUrl: stack.databaseUrl, behindMs: BEHIND_MS, logPath: join(folder, 'standby.log') },
    });
    // Only this process, not its group: nobody else tells the indexer.
    process.kill(supervisor.process.pid ?? 0, 'SIGKILL');
    await expect.poll(() => pids.some(running), { timeout: 15_000 }).toBe(false);
    const deal = await buyer.deposit(offerOf(stack));
    supervisor = await standby;
    await untilDeal(sql, deal.id, { status: 'funded' });
  });

  test('a network added while payments run on another is followed without a restart, and payments there are funded', async () => {
    const old = await buyer.deposit(offerOf(stack));
    await untilDeal(sql, old.id, { status: 'funded' });
    const before = await status();
    const seen = watch(old.id);

    const second = await part(startChain({ logPath: join(folder, 'second.log'), chainId: SECOND_CHAIN }));
    const there = await startStack(second, stack.databaseUrl);
    const chain = await market.post('/chains', { eip155_id: SECOND_CHAIN, name: 'second' });
    const network = await market.post('/networks', {
      ...{ chain_id: chain.json.id, name: 'second', rpc_urls: [there.rpcUrl], diamond_address: there.diamond },
      ...{ operator_address: there.operator, confirmations: 1, mode: 'test' },
    });
    expect([network.status, network.json.start_block]).toEqual([201, there.startBlock]);
    const currency = await market.post('/currencies', {
      ...{ network_id: network.json.id, code: 'USDC', name: 'USDC', token_address: there.tokens.USDC },
    });
    const [here, elsewhere] = await Promise.all([
      market.payable(),
      market.payable({ network_id: network.json.id, currency_id: currency.json.id }),
    ]);
    await Promise.all([
      buyer.deposit(termsOf(here.widget)),
      openWallet(there).then((wallet) => wallet.deposit(termsOf(elsewhere.widget))),
      untilStatus({ state: 'following' }, SECOND_CHAIN),
    ]);
    await Promise.all([
      market.untilStatus(here.payment.id, 'funded'),
      market.untilStatus(elsewhere.payment.id, 'funded'),
    ]);
    expect([...(await seen())]).toEqual([true]);
    expect(await status()).toMatchObject({ pids: before.pids, restarts: before.restarts });

    await second.stop();
    await untilStatus({ state: 'waiting' }, SECOND_CHAIN);
    expect((await fetch(`${supervisor.url}/readyz`)).status).toBe(503);
    const meanwhile = await buyer.deposit(offerOf(stack));
    await untilDeal(sql, meanwhile.id, { status: 'funded' });
  });

  test('another start block is indexed beside the mirror that readers see, and takes its place at once', async () => {
    const old = await buyer.deposit(offerOf(stack));
    await untilDeal(sql, old.id, { status: 'funded' });
    const before = await untilStatus({ state: 'following' });
    const seen = watch(old.id);
    const patch = { start_block: stack.startBlock - 1 };
    expect((await market.call('PATCH', `/networks/${market.networkId}`, { body: patch })).status).toBe(200);
    await expect.poll(async () => (await status()).pids.length, { timeout: 15_000 }).toBe(2);
    await expect.poll(async () => (await status()).schema, { timeout: 60_000 }).not.toBe(before.schema);
    await mineBlocks(stack, 2);
    const after = await untilStatus({ state: 'following', restarts: before.restarts });
    expect(after.pids).toHaveLength(1);
    expect([...(await seen())]).toEqual([true]);
    await expect.poll(() => running(before.pids[0])).toBe(false);
    const schemas = async () =>
      (await sql`select nspname from pg_namespace where nspname like 'idx\\_%'`).map((row) => row.nspname);
    await expect.poll(schemas, { timeout: 15_000 }).not.toContain(before.schema);
    expect(await schemas()).toContain(after.schema);
  });
});
