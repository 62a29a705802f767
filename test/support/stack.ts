/**
 * A real stack for tests: PostgreSQL, a Hardhat node, the diamond with its test tokens, the migrated database and the
 * indexer. One is shared by the whole run (`inject('stack')`); a test that stops, rewinds or moves the time of a part
 * starts its own with {@link startStack}.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Address, Hex } from 'viem';
import { migrate } from '../../api/core/database/db.ts';
import { deploy } from '../../scripts/deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../../scripts/dev/accounts.ts';
import { type LocalChain, startChain } from '../../scripts/dev/hardhat.ts';
import { type Indexer, startIndexer } from '../../scripts/dev/ponder.ts';
import { createDatabase, startPostgres } from '../../scripts/dev/postgres.ts';

/** Where everything of a stack is; plain data, so that it can cross to vitest's workers. */
export type Stack = {
  /** Logs and the address book; removed at the end. */
  folder: string;
  databaseUrl: string;
  rpcUrl: string;
  chainId: number;
  diamond: Address;
  startBlock: number;
  addressBookPath: string;
  tokens: { USDC: Address; USDT: Address };
  /** 32 bytes in hex. */
  secret: string;
  operator: Address;
  operatorKey: Hex;
  feeRecipient: Address;
  arbiter: Address;
  arbiterKey: Hex;
};

/** A stack that the caller has started and can take apart. */
export type RunningStack = {
  readonly stack: Stack;
  readonly chain: LocalChain;
  readonly indexer: Indexer;
  /** Starts the indexer again, after `indexer.stop()` or `indexer.kill()`. */
  restartIndexer(): Promise<Indexer>;
  stop(): Promise<void>;
};

async function stopAll(parts: readonly { stop(): Promise<void> }[]): Promise<void> {
  for (const part of [...parts].reverse()) await part.stop();
}

/** Starts a stack; with `serverUrl` it takes a new database on that PostgreSQL server instead of a server of its own. */
export async function startStack({ serverUrl }: { serverUrl?: string } = {}): Promise<RunningStack> {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-test-'));
  // Under root PostgreSQL runs as another user, who must be able to enter.
  await chmod(folder, 0o755);
  const log = (name: string) => join(folder, `${name}.log`);
  const parts: { stop(): Promise<void> }[] = [{ stop: () => rm(folder, { recursive: true, force: true }) }];
  const part = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const started = await starting;
    parts.push(started);
    return started;
  };
  try {
    const database = async () => {
      if (serverUrl !== undefined) return await createDatabase(serverUrl, `test_${randomUUID().replaceAll('-', '')}`);
      const dataDir = join(folder, 'postgres');
      return (await part(startPostgres({ dataDir, logPath: log('postgres'), durable: false }))).url;
    };
    const [databaseUrl, chain] = await Promise.all([database(), part(startChain({ logPath: log('chain') }))]);
    const addressBookPath = join(folder, 'addresses.json');
    const { rpcUrl, chainId } = chain;
    const privateKey = hardhatKey(ROLES.deployer);
    const [entry] = await Promise.all([
      deploy({ rpcUrl, privateKey, addressBookPath, testTokens: true }),
      migrate(databaseUrl),
    ]);
    const { USDC, USDT } = entry.tokens;
    if (!USDC || !USDT) throw new Error('The test tokens were not deployed.');
    const startedIndexer = () =>
      startIndexer({ databaseUrl, rpcUrl, chainId, addressBookPath, logPath: log('indexer') });
    let indexer = await startedIndexer();
    parts.push({ stop: () => indexer.stop() });
    const stack: Stack = {
      folder,
      databaseUrl,
      rpcUrl,
      chainId,
      diamond: entry.diamond,
      startBlock: entry.startBlock,
      addressBookPath,
      tokens: { USDC: USDC.address, USDT: USDT.address },
      secret: randomBytes(32).toString('hex'),
      operator: hardhatAccount(ROLES.operator).address,
      operatorKey: hardhatKey(ROLES.operator),
      feeRecipient: hardhatAccount(ROLES.feeRecipient).address,
      arbiter: hardhatAccount(ROLES.arbiter).address,
      arbiterKey: hardhatKey(ROLES.arbiter),
    };
    return {
      stack,
      chain,
      get indexer() {
        return indexer;
      },
      async restartIndexer() {
        indexer = await startedIndexer();
        return indexer;
      },
      stop: () => stopAll(parts),
    };
  } catch (error) {
    await stopAll(parts);
    throw error;
  }
}
