// Starts one process of Dealkeep: `node api/index.ts api`, `worker` or `indexer`. The only reader of the environment.
import { serve } from '@hono/node-server';
import { addressList } from './address.ts';
import { createApp } from './app.ts';
import { listStandings } from './core/chain/standing.ts';
import { connect, type Sql } from './core/database/db.ts';
import { Tokens } from './core/platform/auth.ts';
import { RateSettingError, Rates } from './core/platform/rates.ts';
import { followTestClock } from './core/platform/testClock.ts';
import { Providers } from './core/rails/provider.ts';
import { reseal } from './core/reseal.ts';
import { Vault } from './core/vault.ts';
import { startIndexing } from './indexing.ts';
import { KEYS_USAGE, KeySettingError, openSigners } from './keys.ts';
import { RequestLimiter } from './limits.ts';
import { openLog } from './logging.ts';
import { Metrics } from './metrics.ts';
import { sandboxProvider } from './providers/sandbox.ts';
import { untilDatabase } from './starting.ts';
import { startWorker } from './worker.ts';

const USAGE = `Usage: node api/index.ts <api|worker|indexer|reseal|signers>

  api, worker, indexer
                run until stopped
  reseal        seals personal data anew under the current DEALKEEP_SECRET
  signers       prints how each signer stands on each network, as JSON: balance, open transactions, low or paused and why

Environment:
  DATABASE_URL     PostgreSQL, migrated (npm run migrate)
  DEALKEEP_SECRET  32 bytes as hex; every token and the key of personal data are derived from it
  DEALKEEP_OLD_SECRETS
                   api, reseal: further secrets that tokens may be signed and personal data sealed under, comma-separated.
                   To rotate, give the new one here to every process first; then swap the two and run reseal. Dropping the
                   old one ends the access tokens that it signed
  HOST, PORT       where the api listens (default 127.0.0.1:4000)
  TRUSTED_PROXIES  api: addresses and CIDR ranges of proxies whose X-Forwarded-For counts, comma-separated (default none)
  RATE_LIMIT_INTEGRATION, RATE_LIMIT_ADDRESS
                   api: requests a minute of one integration, and of one address without one; 0: no limit
                   (default 60000 and 3000)
  PUBLIC_URL       how clients reach the api (default http://HOST:PORT)
  INDEXER_PORT     indexer: of its status page on 127.0.0.1 (default 42069); GET /readyz is 200 while every mirror follows
  INDEXER_BEHIND_MS
                   indexer: a mirror that needs longer to come to where the head was is started again (default 30000)
  SANDBOX_URL, SANDBOX_SECRET
                   api, worker: where the sandbox for cards and bank transfers answers, and what both share (default: none)
  RATES_URL, RATES_CURRENCY
                   api: what tokens are worth, for the checkout to say approximately; answers
                   {"as_of": RFC 3339, "rates": {"USDC": "0.9187"}} in that currency (default: none, EUR)
${KEYS_USAGE}  METRICS_PORT     where /metrics is served for Prometheus, on HOST (default: nowhere)
  LOG_LEVEL        default info
`;

function required(name: string): string {
  const value = process.env[name];
  if (value) return value;
  console.error(`${name} is not set.\n\n${USAGE}`);
  process.exit(2);
}

function databaseUrlOf(): string {
  const url = required('DATABASE_URL');
  if (/^postgres(ql)?:$/.test(URL.parse(url)?.protocol ?? '')) return url;
  // It may hold a password, so it is not repeated.
  console.error('DATABASE_URL must be a URL: postgres://user:password@host/database.');
  process.exit(2);
}

/** Waits for the database; one that refuses for good ends the process. */
async function waitForDatabase(sql: Sql): Promise<void> {
  await untilDatabase(sql, log).catch((err) => {
    log.fatal({ err }, 'the database refuses');
    log.flush(() => process.exit(1));
    return new Promise<never>(() => {});
  });
}

function listed(name: string): string[] {
  return (process.env[name] ?? '').split(',').filter((entry) => entry !== '');
}

function wholeNumber(name: string, fallback: number): number {
  const value = process.env[name] ?? String(fallback);
  if (/^\d{1,9}$/.test(value)) return Number(value);
  console.error(`${name} must be a whole number of at most nine digits.`);
  process.exit(2);
}

function openVault(): Vault {
  return new Vault(required('DEALKEEP_SECRET'), listed('DEALKEEP_OLD_SECRETS'));
}

function openProviders(): Providers {
  const url = process.env.SANDBOX_URL;
  return new Providers(url ? [sandboxProvider({ url, secret: required('SANDBOX_SECRET') })] : []);
}

function openRates(): { rates?: Rates } {
  const url = process.env.RATES_URL;
  if (!url) return {};
  const onTrouble = (reason: string) => log.warn({ reason }, 'the rate source is not believed');
  try {
    return { rates: new Rates({ url, currency: process.env.RATES_CURRENCY ?? 'EUR', onTrouble }) };
  } catch (error) {
    if (!(error instanceof RateSettingError)) throw error;
    console.error(error.message);
    process.exit(2);
  }
}

/** Serves the process's metrics where METRICS_PORT says; answers how to stop. */
function serveMetrics(metrics: Metrics): () => void {
  if (!process.env.METRICS_PORT) return () => {};
  const server = metrics.serve({ hostname: process.env.HOST ?? '127.0.0.1', port: Number(process.env.METRICS_PORT) });
  server.on('error', (err) => {
    log.fatal({ err }, 'the metrics cannot be served');
    process.exit(1);
  });
  return () => void server.close();
}

// Requests that run are let finish within this time.
const GRACE_MS = 3_000;

const role = process.argv[2];
const log = openLog({ role, level: process.env.LOG_LEVEL ?? 'info' });

async function startApi(): Promise<() => Promise<void>> {
  const hostname = process.env.HOST ?? '127.0.0.1';
  const port = Number(process.env.PORT ?? 4000);
  const publicUrl = process.env.PUBLIC_URL ?? `http://${hostname}:${port}`;
  const tokens = new Tokens(required('DEALKEEP_SECRET'), listed('DEALKEEP_OLD_SECRETS'));
  const vault = openVault();
  const sql = connect(databaseUrlOf(), { maxConnections: 16 });
  const metrics = new Metrics(sql);
  const limits = {
    integration: wholeNumber('RATE_LIMIT_INTEGRATION', 60_000),
    address: wholeNumber('RATE_LIMIT_ADDRESS', 3_000),
  };
  const limiter = new RequestLimiter(sql, limits, log);
  const trustedProxies = addressList(listed('TRUSTED_PROXIES'));
  const app = createApp({
    sql,
    tokens,
    vault,
    log,
    metrics,
    publicUrl,
    limiter,
    trustedProxies,
    providers: openProviders(),
    ...openRates(),
  });
  const clock = await followTestClock(sql, (err) => log.warn({ err }, 'the test clock cannot be read'));
  const closeMetrics = serveMetrics(metrics);
  // Meanwhile it listens, so that /readyz says what is missing.
  void waitForDatabase(sql);
  const server = serve({ fetch: app.fetch, hostname, port }, () => log.info({ publicUrl }, 'api listening'));
  server.on('error', (err) => {
    log.fatal({ err }, 'the api cannot listen');
    process.exit(1);
  });
  return async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    // Streams of events would keep it open; whoever reads one opens the next elsewhere.
    setTimeout(() => 'closeAllConnections' in server && server.closeAllConnections(), GRACE_MS).unref();
    await closed;
    closeMetrics();
    await clock.stop();
    await sql.end({ timeout: 5 });
  };
}

async function startWorking(): Promise<() => Promise<void>> {
  const databaseUrl = databaseUrlOf();
  const signers = await openSigners(process.env).catch((error) => {
    if (!(error instanceof KeySettingError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    process.exit(2);
  });
  const sql = connect(databaseUrl);
  const closeMetrics = serveMetrics(new Metrics(sql));
  await waitForDatabase(sql);
  const clock = await followTestClock(sql, (err) => log.warn({ err }, 'the test clock cannot be read'));
  const worker = await startWorker({ sql, vault: openVault(), databaseUrl, signers, providers: openProviders(), log });
  log.info({ signers: signers.map(({ address }) => address) }, 'worker started');
  return async () => {
    closeMetrics();
    await worker.stop();
    await clock.stop();
    await sql.end({ timeout: 5 });
  };
}

async function startSupervising(): Promise<() => Promise<void>> {
  const port = wholeNumber('INDEXER_PORT', 42_069);
  const behindMs = wholeNumber('INDEXER_BEHIND_MS', 30_000);
  const supervisor = await startIndexing({ databaseUrl: databaseUrlOf(), log, port, behindMs });
  log.info({ port: supervisor.port }, 'the indexer is supervised');
  return () => supervisor.stop();
}

async function resealAll(): Promise<void> {
  const vault = openVault();
  const sql = connect(databaseUrlOf());
  log.info({ values: await reseal(sql, vault) }, 'everything is sealed under the current secret');
  await sql.end({ timeout: 5 });
}

async function printSigners(): Promise<void> {
  const sql = connect(databaseUrlOf());
  const standings = await listStandings(sql);
  console.log(JSON.stringify(standings, (_, value) => (typeof value === 'bigint' ? value.toString() : value), 2));
  await sql.end({ timeout: 5 });
}

if (role === 'signers') {
  await printSigners();
  process.exit(0);
}
if (role === 'reseal') {
  await resealAll();
  process.exit(0);
}
const starts = { api: startApi, worker: startWorking, indexer: startSupervising };
if (role === undefined || !Object.hasOwn(starts, role)) {
  console.error(USAGE);
  process.exit(role === '--help' ? 0 : 2);
}
const stop = await starts[role as keyof typeof starts]();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void stop().then(() => process.exit(0));
  });
}
