/**
 * `npm run bench:indexer`: how fast the supervised indexer has many events from nothing, against reading, decoding and copying
 * them by hand in the same run; and how soon after its block a deposit is in our own row. Exits 1 when a must is missed.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { positionOf } from '../../api/core/chain/deployments.ts';
import { connect, migrate, type Sql } from '../../api/core/database/db.ts';
import { startChain } from '../dev/hardhat.ts';
import { startPostgres } from '../dev/postgres.ts';
import { describe } from '../dev/problem.ts';
import { stopEverything } from '../dev/processes.ts';
import { type Progress, startProgress } from '../dev/progress.ts';
import type { Seed } from '../dev/seed.ts';
import { startIndexing } from '../dev/services.ts';
import { openCheckout, type Place, seedBench } from './checkout.ts';
import { copyByHand, deployOn, makeEvents, wholeBatches } from './indexer-stage.ts';

const MUST = { coldIndexRatio: 0.25, blockToRowP95Ms: 1_000 };
const STRETCH = { coldIndexRatio: 0.5, blockToRowP95Ms: 250 };
const POLL_MS = 5;

type Options = { json: boolean; events: number; deposits: number };
type Figures = { coldIndexRatio: number; blockToRowP95Ms: number };

/** Waits until the indexer's first schema has every event; answers milliseconds since its tables were there. */
async function coldIndex(sql: Sql, events: number): Promise<number> {
  let startedAt: number | null = null;
  for (;;) {
    const [row] = await sql<{ nextSchema: string | null; schema: string | null }[]>`select * from indexer`;
    const name = row?.nextSchema ?? row?.schema;
    if (name) {
      const position = await positionOf(sql, name);
      // Its tables are there once the process has started, which is none of the indexing.
      if (position !== null) startedAt ??= performance.now();
      if (position?.isReady && startedAt !== null) {
        const [count] = await sql<{ events: number }[]>`select count(*)::int as events from ${sql(name)}.deal_event`;
        if ((count?.events ?? 0) >= events) return performance.now() - startedAt;
      }
    }
    await sleep(POLL_MS);
  }
}

/** Pays payments one after the other; answers, in order of size, how long after its block each was funded in our row. */
async function blocksToRows(place: Place, seeded: Seed, deposits: number, progress: Progress): Promise<number[]> {
  const checkout = await openCheckout(place, seeded);
  const times: number[] = [];
  for (let paid = 1; paid <= deposits; paid += 1) {
    times.push(await checkout.pay(checkout.rowFunded));
    if (paid % 20 === 0) progress.step(`${paid} of ${deposits} deposits are in our rows`);
  }
  await checkout.close();
  return times.sort((a, b) => a - b);
}

async function measure(progress: Progress, { events, deposits }: Options): Promise<Figures & { ms: number[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-bench-'));
  // Under root PostgreSQL runs as another user, who must be able to enter.
  await chmod(folder, 0o755);
  try {
    const log = (name: string) => join(folder, `${name}.log`);
    const [server, { rpcUrl }] = await Promise.all([
      startPostgres({ dataDir: join(folder, 'postgres'), logPath: log('postgres') }),
      startChain({ logPath: log('chain') }),
    ]);
    const { url: databaseUrl } = server;
    const [entry] = await Promise.all([deployOn(rpcUrl, join(folder, 'addresses.json')), migrate(databaseUrl)]);
    progress.step(`PostgreSQL with fsync and a chain with the diamond; making ${events} events`);
    await makeEvents(rpcUrl, entry, events, (done) => {
      if (done % 5_000 === 0) progress.step(`${done} events`);
    });
    const sql = connect(databaseUrl, { maxConnections: 2 });
    const seeded = await seedBench(sql, { entry, rpcUrl });
    const byHand = await copyByHand(rpcUrl, databaseUrl, entry);
    progress.step(`By hand: ${byHand.events} events in ${(byHand.ms / 1_000).toFixed(1)} s`);
    const [indexMs] = await Promise.all([
      coldIndex(sql, wholeBatches(events)),
      startIndexing({ databaseUrl, logPath: log('indexer') }),
    ]);
    progress.step(`By the indexer: in ${(indexMs / 1_000).toFixed(1)} s`);
    const times = await blocksToRows({ folder, databaseUrl, rpcUrl, entry }, seeded, deposits, progress);
    await sql.end();
    return {
      coldIndexRatio: Math.round((byHand.ms / indexMs) * 100) / 100,
      blockToRowP95Ms: Math.round(times[Math.ceil(times.length * 0.95) - 1] ?? Number.NaN),
      ms: times,
    };
  } finally {
    await stopEverything();
    await rm(folder, { recursive: true, force: true });
  }
}

function verdict(value: number, must: boolean, stretch: boolean): string {
  return `${value} (${stretch ? 'stretch' : must ? 'must is met' : 'MISSED'})`;
}

async function run(options: Options): Promise<void> {
  const progress = startProgress({ json: true });
  process.once('SIGINT', () => void stopEverything().then(() => process.exit(130)));
  const { ms, ...figures } = await measure(progress, options);
  const { coldIndexRatio: ratio, blockToRowP95Ms: p95 } = figures;
  process.exitCode = ratio < MUST.coldIndexRatio || p95 > MUST.blockToRowP95Ms ? 1 : 0;
  if (options.json) return console.log(JSON.stringify(figures));
  const median = ms[Math.floor(ms.length / 2)] ?? Number.NaN;
  console.log(`by hand ÷ cold index  ${verdict(ratio, ratio >= MUST.coldIndexRatio, ratio >= STRETCH.coldIndexRatio)}`);
  console.log(
    `block → row, p95 ms   ${verdict(p95, p95 <= MUST.blockToRowP95Ms, p95 <= STRETCH.blockToRowP95Ms)}, p50 ${Math.round(median)}`,
  );
}

function count(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return number;
}

await new Command()
  .name('npm run bench:indexer --')
  .description('Measures the supervised indexer on a PostgreSQL with fsync and a chain, both its own.')
  .option('--json', 'print one JSON object and nothing else on standard output', false)
  .option('--events <n>', 'events to index from nothing, rounded up to full batches', count, 50_000)
  .option('--deposits <n>', 'payments that are paid one after the other', count, 100)
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench:indexer\n  npm run bench:indexer -- --json\n  npm run bench:indexer -- --events 5000 --deposits 20',
  )
  .action((options: Options) =>
    run(options).catch(async (error) => {
      // viem's errors go on with the whole request.
      console.error(`The benchmark failed: ${describe(error).split('\n')[0]}`);
      await stopEverything();
      process.exit(1);
    }),
  )
  .parseAsync();
