/** The indexer as one child process without its supervisor (api/indexing.ts): for tests that end and start it themselves. */
import { readFileSync } from 'node:fs';
import { createPublicClient, http } from 'viem';
import { publish } from '../../api/core/chain/deployments.ts';
import { connect, type Sql } from '../../api/core/database/db.ts';
import { type PonderTarget, ponderCommand, releaseLock, schemaName } from '../../api/ponder.ts';
import { freePort, waitUntil } from './ports.ts';
import { type RunningProcess, readyOrDead, startProcess } from './processes.ts';

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

async function targetOf({ addressBookPath, chainId, rpcUrl }: IndexerOptions): Promise<PonderTarget> {
  const { diamond, startBlock } = JSON.parse(readFileSync(addressBookPath, 'utf8'))[chainId];
  const block = await createPublicClient({ transport: http(rpcUrl) }).getBlock({ blockNumber: BigInt(startBlock) });
  return {
    eip155Id: BigInt(chainId),
    diamond: diamond.toLowerCase(),
    startBlock: BigInt(startBlock),
    startBlockHash: block.hash,
  };
}

/** Starts the indexer, waits until it follows the chain's head, and lets readers see what it has. */
export async function startIndexer(options: IndexerOptions): Promise<Indexer> {
  const { databaseUrl, rpcUrl, logPath } = options;
  const port = options.port ?? (await freePort());
  const target = await targetOf(options);
  const schema = schemaName(target);
  const { command, args, cwd, env } = ponderCommand({ target, databaseUrl, rpcUrl, port });
  const child = startProcess({ name: 'Indexer', command, args, cwd, env, logPath });
  const withDatabase = async <T>(work: (sql: Sql) => Promise<T>): Promise<T> => {
    const sql = connect(databaseUrl, { maxConnections: 1 });
    return await work(sql).finally(() => sql.end({ timeout: 1 }));
  };
  try {
    await withDatabase(async (sql) => {
      const isReady = () =>
        fetch(`http://127.0.0.1:${port}/ready`).then(
          (response) => response.status === 200,
          () => false,
        );
      await readyOrDead(child, waitUntil('The indexer', isReady, { timeoutMs: 120_000 }));
      await publish(sql, target, schema);
    });
  } catch (error) {
    await child.stop();
    throw error;
  }
  const gone = async (end: Promise<void>) => {
    await end;
    await withDatabase((sql) => releaseLock(sql, schema)).catch(() => {});
  };
  return {
    url: `http://127.0.0.1:${port}`,
    schema,
    process: child,
    stop: () => gone(child.stop()),
    kill: () => gone(child.kill()),
  };
}
