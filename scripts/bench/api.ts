/**
 * `npm run bench:api`: what the API does with what the machine can do. Everything is measured in one run, round by round in turn,
 * so that a busy machine slows all of it; ratios hold where absolute times drift. Exits 1 when a must is missed.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { startPostgres } from '../dev/postgres.ts';
import { describe } from '../dev/problem.ts';
import { stopEverything } from '../dev/processes.ts';
import { type Progress, startProgress } from '../dev/progress.ts';
import { Limit } from './api-limit.ts';
import { type Call, type Load, LoadGenerator, percentile } from './api-load.ts';
import {
  analyze,
  cpuSeconds,
  fill,
  type Installation,
  makeWalSegments,
  openInstallation,
  peakRssMb,
} from './api-stage.ts';

const MUST = { createRatio: 0.35, createP99MsAt2000: 30, listGrowth1e3To1e6: 1.5 };
const STRETCH_CREATE_RATIO = 0.75;
const FEW = 1_000;
const MANY = 1_000_000;
// Enough that the API always has something to do; more would only wait.
const CREATE_CONNECTIONS = 64;
const READ_CONNECTIONS = 8;
// A list is timed by one client, which waits for nobody.
const LIST_CONNECTIONS = 1;
// As the README's "Running it for real": with the default of 1 GB, writing down what filling a database left behind went on for as
// long as everything is measured (two checkpoints of 43 s each).
const WAL = { max_wal_size: '4GB', min_wal_size: '2GB' };
const ARRIVALS_PER_SECOND = 2_000;

type Options = { json: boolean; rounds: number; seconds: number; growth: boolean };

/** What one kind of request came to, round by round. */
class Series {
  readonly loads: Load[] = [];
  readonly cpuMs: number[] = [];

  /** Runs one round, and counts the CPU that the API spent in it. */
  async round({ api }: Installation, run: () => Promise<Load>): Promise<void> {
    const before = cpuSeconds(api.process.pid);
    const load = await run();
    const after = cpuSeconds(api.process.pid);
    this.loads.push(load);
    if (before !== null && after !== null) this.cpuMs.push(((after - before) * 1_000) / load.latenciesMs.length);
  }

  get latenciesMs(): Float64Array {
    return Float64Array.from(this.loads.flatMap((load) => [...load.latenciesMs])).sort();
  }

  get perSecond(): number {
    return median(this.loads.map((load) => load.perSecond));
  }

  /** Requests a second, p50, p99, CPU of the API per request. */
  get cells(): string[] {
    const { latenciesMs } = this;
    const cpu = this.cpuMs.length > 0 ? median(this.cpuMs).toFixed(2) : '–';
    return [
      this.perSecond.toFixed(0),
      percentile(latenciesMs, 0.5).toFixed(1),
      percentile(latenciesMs, 0.99).toFixed(1),
      cpu,
    ];
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The lists that are timed, in turn: the first page and a later one, without and with filters. */
function listCalls({ nodeId, getCall }: Installation): Call[] {
  const since = new Date(Date.now() - 3_600_000).toISOString();
  return ['', '&page=5', '&status=pending', `&created_from=${since}&payment_method=web3`].map((query) =>
    getCall(`/api/v1/payments?node_id=${nodeId}${query}`),
  );
}

/** Gives the calls one after the other, from the first again after the last. */
function inTurn(calls: readonly Call[]): () => Call {
  let index = 0;
  return () => calls[index++ % calls.length]!;
}

async function measure(progress: Progress, { rounds, seconds, growth }: Options) {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-bench-'));
  const server = await startPostgres({
    ...{ dataDir: join(folder, 'data'), logPath: join(folder, 'postgres.log') },
    settings: WAL,
  });
  try {
    const few = await openInstallation(server, { name: 'few', logFolder: folder });
    const created = await seed(few);
    await fill(few, FEW - 1, () => {});
    const many = growth ? await openInstallation(server, { name: 'many', logFolder: folder }) : undefined;
    if (many) {
      await seed(many);
      progress.step(`Filling a second database with ${MANY.toLocaleString('en')} payments`);
      await fill(
        many,
        MANY - 1,
        (done) => done % 250_000 === 0 && progress.step(`${done.toLocaleString('en')} payments`),
      );
    }
    const busy = await openInstallation(server, { name: 'busy', logFolder: folder });
    await seed(busy);
    const limit = await Limit.like(busy);
    await makeWalSegments(server.url);
    progress.step(`Measuring: ${rounds} rounds of ${seconds} s for each kind`);

    const [creating, getting, widget, listing, listingMany] = Array.from({ length: 5 }, () => new Series()) as [
      Series,
      Series,
      Series,
      Series,
      Series,
    ];
    const limits: number[] = [];
    const ratios: number[] = [];
    const closed = async (at: Installation, series: Series, connections: number, next: () => Call) => {
      const status = next === at.createCall ? 201 : 200;
      const load = { connections, seconds: next === at.createCall ? seconds : seconds / 2, status };
      await series.round(at, () => new LoadGenerator(at.api.url).closedLoop(load, next));
    };
    // Code is compiled and plans are made before anything counts.
    await limit.run(seconds / 2);
    await closed(busy, new Series(), CREATE_CONNECTIONS, busy.createCall);
    await analyze(busy);
    for (let round = 1; round <= rounds; round += 1) {
      limits.push(await limit.run(seconds));
      await closed(busy, creating, CREATE_CONNECTIONS, busy.createCall);
      ratios.push((creating.loads.at(-1)?.perSecond ?? 0) / (limits.at(-1) ?? 1));
      await closed(few, getting, READ_CONNECTIONS, () => few.getCall(`/api/v1/payments/${created.id}`));
      await closed(few, widget, READ_CONNECTIONS, () =>
        few.getCall(`/api/v1/widget/payments/${created.id}`, created.accessToken),
      );
      await closed(few, listing, LIST_CONNECTIONS, inTurn(listCalls(few)));
      if (many) await closed(many, listingMany, LIST_CONNECTIONS, inTurn(listCalls(many)));
      progress.step(
        `Round ${round}: limit ${limits.at(-1)?.toFixed(0)}/s, create ${creating.loads.at(-1)?.perSecond.toFixed(0)}/s`,
      );
    }
    const perSecond = Math.round(Math.min(ARRIVALS_PER_SECOND, creating.perSecond / 2));
    const arriving = new Series();
    await arriving.round(busy, () =>
      new LoadGenerator(busy.api.url).openLoop(
        { perSecond, seconds: seconds * rounds, connections: 256, status: 201 },
        busy.createCall,
      ),
    );
    await limit.close();
    const lists = { few: percentile(listing.latenciesMs, 0.5), many: percentile(listingMany.latenciesMs, 0.5) };
    return {
      figures: {
        createRatio: rounded(median(ratios)),
        createP99MsAt2000: rounded(percentile(arriving.latenciesMs, 0.99)),
        getPerSecond: Math.round(getting.perSecond),
        listP99Ms: rounded(percentile((many ? listingMany : listing).latenciesMs, 0.99)),
        widgetP99Ms: rounded(percentile(widget.latenciesMs, 0.99)),
        listGrowth1e3To1e6: many ? rounded(lists.many / lists.few) : null,
        rssMb: peakRssMb(busy.api.process.pid),
      },
      limitPerSecond: median(limits),
      arrivalsPerSecond: perSecond,
      rows: {
        create: creating,
        'create, arriving': arriving,
        get: getting,
        widget,
        'list of 10^3': listing,
        'list of 10^6': listingMany,
      },
    };
  } finally {
    await stopEverything();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Creates the first payment of an installation. */
async function seed({ api, createCall }: Installation): Promise<{ id: string; accessToken: string }> {
  const { path, headers, body } = createCall();
  const response = await fetch(`${api.url}${path}`, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (response.status !== 201) throw new Error(`A payment cannot be created: ${await response.text()}`);
  const { id, access_token } = (await response.json()) as { id: string; access_token: string };
  return { id, accessToken: access_token };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

async function run(options: Options): Promise<void> {
  const progress = startProgress({ json: true });
  process.once('SIGINT', () => void stopEverything().then(() => process.exit(130)));
  const { figures, limitPerSecond, arrivalsPerSecond, rows } = await measure(progress, options);
  const missed = [
    figures.createRatio < MUST.createRatio && `createRatio ${figures.createRatio} < ${MUST.createRatio}`,
    figures.createP99MsAt2000 > MUST.createP99MsAt2000 &&
      `p99 ${figures.createP99MsAt2000} > ${MUST.createP99MsAt2000} ms`,
    (figures.listGrowth1e3To1e6 ?? 0) > MUST.listGrowth1e3To1e6 && `listGrowth ${figures.listGrowth1e3To1e6}`,
  ].filter((fault) => fault !== false);
  process.exitCode = missed.length > 0 ? 1 : 0;
  const rate =
    arrivalsPerSecond === ARRIVALS_PER_SECOND
      ? `${ARRIVALS_PER_SECOND}/s`
      : `${arrivalsPerSecond}/s, half of what this machine can do`;
  progress.step(`p99 of creating was taken at ${rate}`);
  if (options.json) {
    console.log(JSON.stringify(figures));
    return;
  }
  const line = (name: string, cells: readonly string[]) =>
    console.log(name.padEnd(18) + cells.map((cell) => cell.padStart(10)).join(''));
  line('', ['/s', 'p50 ms', 'p99 ms', 'CPU ms']);
  line('limit', [limitPerSecond.toFixed(0), '', '', '']);
  for (const [name, series] of Object.entries(rows)) if (series.loads.length > 0) line(name, series.cells);
  const verdict = figures.createRatio >= STRETCH_CREATE_RATIO ? 'stretch' : 'must';
  console.log(`\ncreate ÷ limit ${figures.createRatio} (must ${MUST.createRatio}, stretch ${STRETCH_CREATE_RATIO})`);
  console.log(`create p99 ${figures.createP99MsAt2000} ms at ${rate} (must ${MUST.createP99MsAt2000})`);
  console.log(
    `list p50 at 10^6 ÷ at 10^3: ${figures.listGrowth1e3To1e6 ?? 'not measured'} (must ${MUST.listGrowth1e3To1e6})`,
  );
  console.log(`API process: ${figures.rssMb ?? '?'} MB at most`);
  console.log(missed.length > 0 ? `MISSED: ${missed.join('; ')}` : `every must is met; create: ${verdict}`);
}

await new Command()
  .name('npm run bench:api --')
  .description(
    'Measures the API over HTTP against what the database alone takes, on a PostgreSQL of its own with fsync.',
  )
  .option('--json', 'print one JSON object and nothing else on standard output', false)
  .option('--rounds <n>', 'rounds, in each of which everything is measured in turn', Number, 5)
  .option('--seconds <n>', 'how long creating is measured in a round; reads get half of it', Number, 4)
  .option('--no-growth', `leave out the second database with ${MANY.toLocaleString('en')} payments`)
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench:api\n  npm run bench:api -- --json\n  npm run bench:api -- --no-growth --rounds 2',
  )
  .action((options: Options) =>
    run(options).catch(async (error) => {
      console.error(`The benchmark failed: ${describe(error)}`);
      await stopEverything();
      process.exit(1);
    }),
  )
  .parseAsync();
