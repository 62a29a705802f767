/**
 * The indexer as a child process. Its tables live in a schema of their own for each deployment and version of the
 * indexer, so that a changed one indexes anew instead of refusing to start; readers see the views in `chain`.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { createPublicClient, http } from 'viem';
import { freePort, waitUntil } from './ports.ts';
import { type RunningProcess, readyOrDead, startProcess } from './processes.ts';

const ROOT = join(import.meta.dirname, '../..');
const CLI = join(ROOT, 'node_modules/ponder/dist/esm/bin/ponder.js');

/** The schema whose views every reader uses. */
export const VIEWS_SCHEMA = 'chain';

export type IndexerOptions = {
  databaseUrl: string;
  rpcUrl: string;
  chainId: number;
  addressBookPath: string;
  logPath: string;
  /** A free one when left out; Ponder itself would quietly move on from a busy one. */
  port?: number;
};

export type Indexer = {
  readonly url: string;
  readonly schema: string;
  readonly process: RunningProcess;
  stop(): Promise<void>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
};

async function schemaName({ addressBookPath, chainId, rpcUrl }: IndexerOptions): Promise<string> {
  const { diamond, startBlock } = JSON.parse(readFileSync(addressBookPath, 'utf8'))[chainId];
  // The block's hash tells a local chain from the one before, which had the same id and the same addresses.
  const block = await createPublicClient({ transport: http(rpcUrl) }).getBlock({ blockNumber: BigInt(startBlock) });
  const hash = createHash('sha256').update(JSON.stringify([chainId, diamond, startBlock, block.hash]));
  const sources = ['indexer/ponder.config.ts', 'indexer/ponder.schema.ts', 'contracts/abi.ts', 'contracts/terms.ts'];
  const handlers = readdirSync(join(ROOT, 'indexer/src'))
    .filter((name) => name.endsWith('.ts'))
    .sort();
  for (const path of [...sources, ...handlers.map((name) => `indexer/src/${name}`)]) {
    hash.update(readFileSync(join(ROOT, path)));
  }
  return `idx_${hash.digest('hex').slice(0, 12)}`;
}

async function isReady(url: string): Promise<boolean> {
  return await fetch(`${url}/ready`).then(
    (response) => response.status === 200,
    () => false,
  );
}

/**
 * Frees Ponder's lock on its schema, which it leaves behind at every end and which would make the next start wait for up
 * to 25 s. Only for a process that is known to be gone.
 */
async function releaseLock(databaseUrl: string, schema: string): Promise<void> {
  const sql = postgres(databaseUrl, { max: 1, connect_timeout: 5, onnotice: () => {} });
  try {
    await sql`UPDATE ${sql(schema)}._ponder_meta SET value = jsonb_set(value, '{is_locked}', '0')`;
  } catch {
    // No database, or no such table: then there is no lock to free.
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Starts the indexer and waits until it follows the chain's head and has published its views. */
export async function startIndexer(options: IndexerOptions): Promise<Indexer> {
  const port = options.port ?? (await freePort());
  const schema = await schemaName(options);
  const url = `http://127.0.0.1:${port}`;
  // PORT would win over --port.
  const { PORT: _port, ...inherited } = process.env;
  const child = startProcess({
    name: 'Indexer',
    command: process.execPath,
    args: [
      CLI,
      'start',
      ...['--root', 'indexer', '--schema', schema, '--views-schema', VIEWS_SCHEMA],
      ...['-p', String(port), '-H', '127.0.0.1', '--log-format', 'json'],
    ],
    cwd: ROOT,
    logPath: options.logPath,
    env: {
      ...inherited,
      DATABASE_URL: options.databaseUrl,
      DEALKEEP_RPC_URL: options.rpcUrl,
      DEALKEEP_CHAIN_ID: String(options.chainId),
      DEALKEEP_ADDRESS_BOOK: options.addressBookPath,
      PONDER_TELEMETRY_DISABLED: 'true',
    },
  });
  try {
    await readyOrDead(
      child,
      waitUntil('The indexer', () => isReady(url), { timeoutMs: 120_000 }),
    );
  } catch (error) {
    await child.stop();
    throw error;
  }
  const gone = async (end: Promise<void>) => {
    await end;
    await releaseLock(options.databaseUrl, schema);
  };
  return { url, schema, process: child, stop: () => gone(child.stop()), kill: () => gone(child.kill()) };
}
