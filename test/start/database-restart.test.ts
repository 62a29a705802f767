import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { zeroAddress } from 'viem';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Chain } from '../../api/core/chain/chain.ts';
import { migrate } from '../../api/core/database/db.ts';
import { findNetwork } from '../../api/core/platform/platform.ts';
import { rebuildNetwork } from '../../api/core/reconciliation/rebuild.ts';
import { agrees, reconcileNetwork } from '../../api/core/reconciliation/reconcile.ts';
import { deploy } from '../../scripts/deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../../scripts/dev/accounts.ts';
import { startChain } from '../../scripts/dev/hardhat.ts';
import { type PostgresServer, startPostgres } from '../../scripts/dev/postgres.ts';
import type { RunningProcess } from '../../scripts/dev/processes.ts';
import { startApi, startIndexing, startWorker } from '../../scripts/dev/services.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from '../api/marketplace.ts';
import type { Stack } from '../support/stack.ts';
import { openWallet } from '../support/wallet.ts';

const DOWN_MS = 5_000;
const PATIENCE_MS = 90_000;

const parts: { stop(): Promise<void> }[] = [];
let server: PostgresServer;
let market: Marketplace;
let stack: Stack;
let apiUrl: string;
const processes: RunningProcess[] = [];

// Everything of its own: the database is stopped under all of them.
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-restart-'));
  await chmod(folder, 0o755);
  parts.push({ stop: () => rm(folder, { recursive: true, force: true }) });
  const log = (name: string) => join(folder, `${name}.log`);
  const [postgres, chain] = await Promise.all([
    startPostgres({ dataDir: join(folder, 'postgres'), logPath: log('postgres') }),
    startChain({ logPath: log('chain') }),
  ]);
  server = postgres;
  parts.push(postgres, chain);
  await migrate(server.url);
  const { rpcUrl, chainId } = chain;
  const addressBookPath = join(folder, 'addresses.json');
  const privateKey = hardhatKey(ROLES.deployer);
  const { diamond, startBlock, tokens } = await deploy({ rpcUrl, privateKey, addressBookPath, testTokens: true });
  const tokenOf = (symbol: string) => tokens[symbol]?.address ?? zeroAddress;
  stack = {
    ...{ folder, databaseUrl: server.url, rpcUrl, chainId, addressBookPath, diamond, startBlock },
    secret: randomBytes(32).toString('hex'),
    tokens: { USDC: tokenOf('USDC'), USDT: tokenOf('USDT') },
    operator: hardhatAccount(ROLES.operator).address,
    operatorKey: hardhatKey(ROLES.operator),
    feeRecipient: hardhatAccount(ROLES.feeRecipient).address,
    arbiter: hardhatAccount(ROLES.arbiter).address,
    arbiterKey: hardhatKey(ROLES.arbiter),
  };
  market = await openMarketplace({ stack });
  const [api, worker, indexer] = await Promise.all([
    startApi({ ...stack, logPath: log('api') }),
    startWorker({ ...stack, operatorKeys: [stack.operatorKey], logPath: log('worker') }),
    startIndexing({ ...stack, logPath: log('indexer') }),
  ]);
  apiUrl = api.url;
  processes.push(api.process, worker.process, indexer.process);
  parts.push(...processes);
}, 240_000);
afterAll(async () => {
  await market?.close();
  for (const part of parts.reverse()) await part.stop();
});

type Try = { status: number; json: Json };

/** Asks the API process for a payment once; 0 when it does not answer at all. */
async function create(key: string, body: Json): Promise<Try> {
  const headers = {
    Authorization: `Bearer ${market.token}`,
    'Content-Type': 'application/json',
    'Idempotency-Key': key,
  };
  const options = { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(30_000) };
  try {
    const response = await fetch(`${apiUrl}/api/v1/payments`, options);
    return { status: response.status, json: await response.json() };
  } catch {
    return { status: 0, json: null };
  }
}

async function untilStatus(paymentId: string, status: string): Promise<void> {
  const read = async () => (await market.get(`/payments/${paymentId}`)).json.status;
  await expect.poll(() => read().catch(() => 'no answer'), { timeout: PATIENCE_MS, interval: 250 }).toBe(status);
}

describe('PostgreSQL stopped for five seconds under API, worker and indexer', () => {
  test('nothing is started again by hand, nothing is lost and nothing happens twice', async () => {
    const buyer = await openWallet(stack);
    const [funded, open] = [await market.payable(), await market.payable()];
    await buyer.deposit(termsOf(funded.widget));
    await untilStatus(funded.payment.id, 'funded');
    await market.ask(funded.payment.id, 'release');

    // Somebody goes on asking for payments, each under a key of its own until it is answered.
    let asking = true;
    const answers: Try[] = [];
    const asked = (async () => {
      while (asking) {
        const [key, body] = [crypto.randomUUID(), market.paymentBody()];
        for (let answer = await create(key, body); ; answer = await create(key, body)) {
          answers.push(answer);
          if (answer.status === 201) break;
          await sleep(100);
        }
        await sleep(50);
      }
    })();
    await expect.poll(() => answers.length, { timeout: PATIENCE_MS }).toBeGreaterThan(2);
    await server.stop();
    await buyer.deposit(termsOf(open.widget));
    await sleep(DOWN_MS);
    const before = answers.length;
    await server.restart();
    await expect
      .poll(() => answers.slice(before).filter(({ status }) => status === 201).length, { timeout: PATIENCE_MS })
      .toBeGreaterThan(2);
    asking = false;
    await asked;

    const refused = answers.filter(({ status }) => status !== 201);
    expect(refused.length).toBeGreaterThan(0);
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]));
    const created = answers.filter(({ status }) => status === 201).map(({ json }) => json.id);
    const { sql, nodeId } = market;
    const kept = await sql<{ id: string }[]>`select id from payment where node_id = ${nodeId}`;
    expect(kept.map(({ id }) => id).sort()).toEqual([...created, funded.payment.id, open.payment.id].sort());

    await untilStatus(funded.payment.id, 'released');
    await untilStatus(open.payment.id, 'funded');
    const { payment, widget } = await market.payable();
    await buyer.deposit(termsOf(widget));
    await untilStatus(payment.id, 'funded');
    const twice = await sql`
      select payment_id, event_type from payment_log where event_type in ('payment.funded', 'payment.released')
      group by 1, 2 having count(*) > 1`;
    expect(twice).toEqual([]);
    expect(processes.map((process) => process.isRunning())).toEqual([true, true, true]);
    await expect.poll(async () => (await fetch(`${apiUrl}/readyz`)).status, { timeout: PATIENCE_MS }).toBe(200);

    const network = await findNetwork(sql, market.networkId);
    const chain = new Chain();
    expect(agrees(await reconcileNetwork(sql, chain, network, { all: true }))).toBe(true);
    expect(await rebuildNetwork(sql, chain, network)).toMatchObject({ misstated: [], mismirrored: [] });
  }, 300_000);
});
