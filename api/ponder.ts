// Owns one process of the indexer: its command, the schema it works in, and its end. Each follows one diamond, so that a chain
// whose nodes fail holds up no other, and each works in a schema of its own, so that a changed one indexes anew beside it.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Address, Hex } from 'viem';
import { SCHEMA_PREFIX } from './core/chain/deployments.ts';
import type { Sql } from './core/database/db.ts';

const ROOT = join(import.meta.dirname, '..');
const CLI = join(ROOT, 'node_modules/ponder/dist/esm/bin/ponder.js');
const STOP_TIMEOUT_MS = 8_000;
const HEALTH_TIMEOUT_MS = 2_000;

/** What a process of the indexer follows. */
export type PonderTarget = {
  eip155Id: bigint;
  diamond: Address;
  startBlock: bigint;
  /** Tells a local chain from the one before, which had the same id and the same addresses. */
  startBlockHash: Hex;
};

export type PonderOptions = { target: PonderTarget; databaseUrl: string; rpcUrl: string; port: number };

/** The schema for a target as this version of the indexer would fill it. */
export function schemaName({ eip155Id, diamond, startBlock, startBlockHash }: PonderTarget): string {
  const identity = [eip155Id, diamond.toLowerCase(), startBlock, startBlockHash].map(String);
  const hash = createHash('sha256').update(JSON.stringify(identity));
  const handlers = readdirSync(join(ROOT, 'indexer/src'))
    .filter((name) => name.endsWith('.ts'))
    .sort();
  const sources = ['indexer/ponder.config.ts', 'indexer/ponder.schema.ts', 'contracts/abi.ts', 'contracts/terms.ts'];
  for (const path of [...sources, ...handlers.map((name) => `indexer/src/${name}`)]) {
    hash.update(readFileSync(join(ROOT, path)));
  }
  return `${SCHEMA_PREFIX}${hash.digest('hex').slice(0, 12)}`;
}

/** How Ponder is started for a target. */
export function ponderCommand({ target, databaseUrl, rpcUrl, port }: PonderOptions) {
  // PORT would win over --port; of our own settings it needs no secret.
  const { PORT: _port, DEALKEEP_SECRET: _secret, DEALKEEP_OLD_SECRETS: _old, ...inherited } = process.env;
  return {
    command: process.execPath,
    args: [
      CLI,
      'start',
      ...['--root', 'indexer', '--schema', schemaName(target)],
      ...['-p', String(port), '-H', '127.0.0.1', '--log-format', 'json'],
    ],
    cwd: ROOT,
    env: {
      ...inherited,
      DATABASE_URL: databaseUrl,
      DEALKEEP_RPC_URL: rpcUrl,
      DEALKEEP_CHAIN_ID: target.eip155Id.toString(),
      DEALKEEP_DIAMOND: target.diamond,
      DEALKEEP_START_BLOCK: target.startBlock.toString(),
      PONDER_TELEMETRY_DISABLED: 'true',
    },
  };
}

/**
 * Frees Ponder's lock on its schema, which it leaves behind at every end and which would make the next start wait for up to
 * 25 s. Only for a process that is known to be gone.
 */
export async function releaseLock(sql: Sql, schema: string): Promise<void> {
  // No database, or no such table: then there is no lock to free.
  await sql`update ${sql(schema)}._ponder_meta set value = jsonb_set(value, '{is_locked}', '0')`.catch(() => {});
}

/** A running process of the indexer; it ends with us, however we end. */
export class Ponder {
  readonly schema: string;
  readonly startedAt = Date.now();
  readonly #child: ChildProcess;
  readonly #healthUrl: string;
  readonly #exited: Promise<void>;
  #ending: string | null = null;

  constructor(options: PonderOptions) {
    this.schema = schemaName(options.target);
    this.#healthUrl = `http://127.0.0.1:${options.port}/health`;
    const { command, args, cwd, env } = ponderCommand(options);
    // The channel says nothing: it breaks when we are gone, which indexer/ponder.config.ts notices.
    this.#child = spawn(command, args, { cwd, env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#ending = error.message;
        resolve();
      });
      this.#child.once('exit', (code, signal) => {
        this.#ending = signal ? `signal ${signal}` : `exit code ${code}`;
        resolve();
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How it ended; null while it runs. */
  get ending(): string | null {
    return this.#ending;
  }

  /** Whether it answers at all. */
  async answers(): Promise<boolean> {
    return await fetch(this.#healthUrl, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) }).then(
      (response) => response.ok,
      () => false,
    );
  }

  /** Lets it finish what it does, and ends it by force when it does not. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Ends it at once, even when it is stopped by a signal. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

/** A port of 127.0.0.1 that was free a moment ago. Ponder itself would quietly move on from a busy one. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : 0));
    });
  });
}
