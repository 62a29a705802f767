/** What a run plays on: PostgreSQL, anvil behind proxies, two APIs behind a balancer, two workers, the indexer, a receiver of webhooks. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Address, Hex } from 'viem';
import { parseEther } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { connect, migrate, type Sql } from '../../api/core/database/db.ts';
import { buildArtifacts } from '../artifacts.ts';
import { type Balancer, startBalancer } from '../cluster/balancer.ts';
import { deploy } from '../deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../dev/accounts.ts';
import { freePort } from '../dev/ports.ts';
import { type PostgresServer, startPostgres } from '../dev/postgres.ts';
import type { RunningProcess } from '../dev/processes.ts';
import type { Progress } from '../dev/progress.ts';
import { type Seed, seed } from '../dev/seed.ts';
import { startApi, startIndexing, startWorker } from '../dev/services.ts';
import { type Anvil, anvilAt, startAnvil } from './anvil.ts';
import { Client } from './client.ts';
import { type Node, startNode } from './nodes.ts';
import { Kept } from './processes.ts';
import type { Random } from './random.ts';
import { type Receiver, startReceiver } from './receiver.ts';
import { CONFIRMATIONS } from './schedule.ts';
import { Wallet } from './wallets.ts';

/** How many blocks stand before the first payment: no reorganisation goes below them. */
const SETTLED_BLOCKS = 24;
const WALLETS = 24;
const NODES = 3;
// Sooner than an operator would choose: a mirror that is stuck must be seen to be restarted within a phase.
const BEHIND_MS = 10_000;
const LOADER = new URL('./loader.ts', import.meta.url).href;

export type Stage = {
  folder: string;
  postgres: PostgresServer;
  sql: Sql;
  /** The chain itself, whatever the proxies say. */
  chain: Anvil;
  chainUrl: string;
  chainId: number;
  diamond: Address;
  token: Address;
  startBlock: bigint;
  /** Below it nothing is taken back. */
  settledBlock: bigint;
  operatorKey: Hex;
  operator: Address;
  arbiter: Address;
  payee: Wallet;
  wallets: Wallet[];
  /** The network's own, in the order of its record. */
  nodes: Node[];
  walletNode: Node;
  apis: Kept[];
  workers: Kept[];
  indexer: Kept;
  indexerUrl: string;
  balancer: Balancer;
  receiver: Receiver;
  seeded: Seed;
  secret: string;
  client: Client;
  /** Transactions that the operator's key signed elsewhere. */
  outside: Set<Hex>;
  /** When blocks were last taken back, in milliseconds since 1970. */
  reorganisedAt: number;
  stop(): Promise<void>;
};

type Parts = { stop(): Promise<unknown> }[];

/** Starts everything below `folder`, with the bug `plant` in it if there is one; what was started is stopped when something does not come up. */
export async function openStage(folder: string, random: Random, progress: Progress, plant?: string): Promise<Stage> {
  const parts: Parts = [];
  const stop = async () => {
    for (const part of parts.splice(0).reverse()) await part.stop().catch(() => {});
  };
  try {
    return { ...(await open({ folder, random, progress, parts, plant })), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Opening = { folder: string; random: Random; progress: Progress; parts: Parts; plant: string | undefined };

async function open({ folder, random, progress, parts, plant }: Opening): Promise<Omit<Stage, 'stop'>> {
  const part = async <T extends { stop(): Promise<unknown> }>(starting: Promise<T>): Promise<T> => {
    const started = await starting;
    parts.push(started);
    return started;
  };
  buildArtifacts();
  await mkdir(join(folder, 'logs'), { recursive: true });
  // Under root PostgreSQL runs as another user, who must be able to enter.
  await chmod(folder, 0o755);
  const log = (name: string) => join(folder, 'logs', `${name}.log`);
  const [postgres, node] = await Promise.all([
    part(startPostgres({ dataDir: join(folder, 'postgres'), logPath: log('postgres') })),
    part(startAnvil(log('anvil'))),
  ]);
  const chain = anvilAt(node.rpcUrl);
  const [entry] = await Promise.all([
    deploy({
      ...{ rpcUrl: node.rpcUrl, privateKey: hardhatKey(ROLES.deployer), testTokens: true },
      addressBookPath: join(folder, 'addresses.json'),
    }),
    migrate(postgres.url),
  ]);
  const token = entry.tokens.USDC?.address;
  if (!token) throw new Error('The test token was not deployed.');
  progress.step('PostgreSQL and anvil run, the diamond stands');

  const nodes: Node[] = [];
  for (let index = 0; index < NODES; index += 1) nodes.push(await part(startNode(node.rpcUrl, random.branch())));
  const walletNode = await part(startNode(node.rpcUrl, random.branch()));
  // A key of its own: the deployer and the roles of a local chain have spent nonces already.
  const operatorKey = generatePrivateKey();
  const operator = privateKeyToAccount(operatorKey).address;
  await chain.setBalance({ address: operator, value: parseEther('1000') });
  const place = { url: walletNode.url, chainUrl: node.rpcUrl, chainId: entry.chainId };
  const wallets = Array.from({ length: WALLETS }, () => new Wallet(place, generatePrivateKey()));
  const payee = new Wallet(place, generatePrivateKey());
  for (const wallet of [...wallets, payee]) parts.push(wallet);
  await Promise.all([...wallets, payee].map((wallet) => wallet.equip(token, entry.diamond)));
  await chain.mine({ blocks: SETTLED_BLOCKS });
  const settledBlock = await chain.getBlockNumber();

  const sql = connect(postgres.url, { maxConnections: 4 });
  parts.push({ stop: () => sql.end({ timeout: 1 }) });
  const arbiter = hardhatAccount(ROLES.arbiter).address;
  const seeded = await seed(sql, {
    ...{ entry, rpcUrls: nodes.map(({ url }) => url), operator, payee: payee.address },
    ...{ nodeName: 'faults', networkName: 'faults', confirmations: CONFIRMATIONS },
    policy: {
      ...{ feeBps: 100, feeFixed: '0', feeRecipient: hardhatAccount(ROLES.feeRecipient).address, arbiter },
      ...{ settlementPeriodSeconds: 30 * 86_400, resolutionPeriodSeconds: 30 * 86_400, defaultOutcome: 'refund' },
    },
  });

  const secret = randomBytes(32).toString('hex');
  const env = {
    ...{ NODE_OPTIONS: `--import=${LOADER}`, FAULTS_FOLDER: folder, ...(plant && { FAULTS_PLANT: plant }) },
    // Halves what it costs to start one of them, which happens hundreds of times.
    NODE_COMPILE_CACHE: join(folder, 'compiled'),
  };
  const services = { databaseUrl: postgres.url, secret, env };
  const keep = (name: string, start: (turn: number) => Promise<{ process: RunningProcess }>) => {
    const kept = new Kept(name, start);
    parts.push(kept);
    return kept;
  };
  const publicPort = await freePort();
  const publicUrl = `http://127.0.0.1:${publicPort}`;
  const ports = [await freePort(), await freePort()];
  const apis = ports.map((port, index) =>
    keep(`api-${index + 1}`, (turn) =>
      startApi({ ...services, port, publicUrl, logPath: log(`api-${index + 1}.${turn}`) }),
    ),
  );
  const operatorKeys = [operatorKey, hardhatKey(ROLES.arbiter)];
  const workers = [1, 2].map((number) =>
    keep(`worker-${number}`, (turn) =>
      startWorker({ ...services, operatorKeys, logPath: log(`worker-${number}.${turn}`) }),
    ),
  );
  const indexerPort = await freePort();
  const indexer = keep('indexer', (turn) =>
    startIndexing({ ...services, port: indexerPort, behindMs: BEHIND_MS, logPath: log(`indexer.${turn}`) }),
  );
  for (const kept of [...apis, ...workers, indexer]) await kept.up();
  const balancer = await part(
    startBalancer(
      publicPort,
      ports.map((port) => `http://127.0.0.1:${port}`),
    ),
  );
  const receiver = await part(startReceiver(random.branch()));
  const client = new Client(publicUrl, seeded);
  await client.open();
  receiver.secret = await client.addEndpoint(receiver.url);
  progress.step(`Two APIs behind ${publicUrl}, two workers and the indexer are up`);
  return {
    ...{ folder, postgres, sql, chain, chainUrl: node.rpcUrl, chainId: entry.chainId, diamond: entry.diamond, token },
    ...{ startBlock: BigInt(entry.startBlock), settledBlock, operatorKey, operator, arbiter, payee, wallets, nodes },
    ...{ walletNode, apis, workers, indexer, indexerUrl: `http://127.0.0.1:${indexerPort}`, balancer, receiver },
    ...{ seeded, secret, client, outside: new Set<Hex>(), reorganisedAt: 0 },
  };
}
