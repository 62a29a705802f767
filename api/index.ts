// Starts one process of Dealkeep: `node api/index.ts api` or `node api/index.ts worker`. The only reader of the environment.
import { serve } from '@hono/node-server';
import { pino } from 'pino';
import { isHex } from 'viem';
import { createApp } from './app.ts';
import { Tokens } from './core/auth.ts';
import { connect } from './core/db.ts';
import { startWorker } from './worker.ts';

const USAGE = `Usage: node api/index.ts <api|worker>

Environment:
  DATABASE_URL     PostgreSQL, migrated (npm run migrate)
  DEALKEEP_SECRET  32 bytes as hex; every token is derived from it
  HOST, PORT       where the api listens (default 127.0.0.1:4000)
  PUBLIC_URL       how clients reach the api (default http://HOST:PORT)
  OPERATOR_KEYS    worker: private keys of the networks' operators, 0x…, comma-separated
  LOG_LEVEL        default info
`;

function required(name: string): string {
  const value = process.env[name];
  if (value) return value;
  console.error(`${name} is not set.\n\n${USAGE}`);
  process.exit(2);
}

function operatorKeys(): `0x${string}`[] {
  const keys = required('OPERATOR_KEYS').split(',');
  if (keys.every((key): key is `0x${string}` => isHex(key) && key.length === 66)) return keys;
  console.error('OPERATOR_KEYS must be private keys of 32 bytes, 0x…, separated by commas.');
  process.exit(2);
}

const role = process.argv[2];
const log = pino({ level: process.env.LOG_LEVEL ?? 'info', base: { role } });

async function startApi(): Promise<() => Promise<void>> {
  const hostname = process.env.HOST ?? '127.0.0.1';
  const port = Number(process.env.PORT ?? 4000);
  const publicUrl = process.env.PUBLIC_URL ?? `http://${hostname}:${port}`;
  const tokens = new Tokens(required('DEALKEEP_SECRET'));
  const sql = connect(required('DATABASE_URL'), { maxConnections: 16 });
  const app = createApp({ sql, tokens, log, publicUrl });
  const server = serve({ fetch: app.fetch, hostname, port }, () => log.info({ publicUrl }, 'api listening'));
  server.on('error', (err) => {
    log.fatal({ err }, 'the api cannot listen');
    process.exit(1);
  });
  return async () => {
    await new Promise((resolve) => server.close(resolve));
    await sql.end({ timeout: 5 });
  };
}

async function startWorking(): Promise<() => Promise<void>> {
  const databaseUrl = required('DATABASE_URL');
  const keys = operatorKeys();
  const sql = connect(databaseUrl);
  const worker = await startWorker({ sql, databaseUrl, operatorKeys: keys, log });
  log.info('worker started');
  return async () => {
    await worker.stop();
    await sql.end({ timeout: 5 });
  };
}

if (role !== 'api' && role !== 'worker') {
  console.error(USAGE);
  process.exit(role === '--help' ? 0 : 2);
}
const stop = await (role === 'api' ? startApi() : startWorking());
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void stop().then(() => process.exit(0));
  });
}
