/**
 * `npm run bench:worker`: how soon queued work is picked up by an idle worker, and how many actions a second one key carries out
 * against sending each and waiting for its receipt, on a chain with a block every so often; and how soon after a deposit's block
 * its webhook is out, at one confirmation. All in one run, on a PostgreSQL with fsync, started for it. Exits 1 when a must is missed.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { describe } from '../dev/problem.ts';
import { stopEverything } from '../dev/processes.ts';
import { type Progress, startProgress } from '../dev/progress.ts';
import { openStage, type Stage } from './worker-stage.ts';

const MUST = { pickupP50Ms: 5, pickupP99Ms: 50, submitRatio: 5, paidToWebhookP95Ms: 2_000 };
const STRETCH = { pickupP50Ms: 1, pickupP99Ms: 15, submitRatio: 15, paidToWebhookP95Ms: 500 };

type Options = {
  json: boolean;
  pickups: number;
  actions: number;
  sequential: number;
  payments: number;
  blockMs: number;
};

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Milliseconds from the commit that enqueues to the handler, one at a time with the worker idle between. */
async function measurePickup(stage: Stage, pickups: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  for (let index = 0; index < pickups; index += 1) {
    // Neither so regular that it falls in step with a poll, nor so short that the worker is still busy.
    await sleep(15 + Math.random() * 30);
    latenciesMs.push(await stage.pickUp());
  }
  return latenciesMs.sort((a, b) => a - b);
}

async function measure(progress: Progress, { pickups, actions, sequential, payments, blockMs }: Options) {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-bench-'));
  progress.step('Starting PostgreSQL and a chain');
  const stage = await openStage(folder);
  try {
    progress.step(`Measuring ${pickups} pickups`);
    const latenciesMs = await measurePickup(stage, pickups);
    progress.step(`Paying ${payments} payments, each after the webhook of the one before`);
    const paidMs = (await stage.paidToWebhooks(payments)).sort((a, b) => a - b);
    progress.step(`Depositing ${actions + sequential} deals`);
    const forUs = await stage.deposit('ours', actions);
    const forTheOther = await stage.deposit('other', sequential);
    await stage.mineEvery(blockMs);
    progress.step(
      `Sending ${sequential} releases, each after the receipt of the one before, a block every ${blockMs} ms`,
    );
    const sequentialPerSecond = sequential / (await stage.sendAndWait(forTheOther));
    progress.step(`Releasing ${actions} deals by the submitter`);
    const actionsPerSecond = actions / (await stage.submit(forUs));
    return {
      pickupP50Ms: percentile(latenciesMs, 0.5),
      pickupP99Ms: percentile(latenciesMs, 0.99),
      submitRatio: actionsPerSecond / sequentialPerSecond,
      paidToWebhookP95Ms: percentile(paidMs, 0.95),
      actionsPerSecond,
      sequentialPerSecond,
      blockMs,
    };
  } finally {
    await stage.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function run(options: Options): Promise<void> {
  const progress = startProgress({ json: true });
  process.once('SIGINT', () => void stopEverything().then(() => process.exit(130)));
  const figures = await measure(progress, options);
  const rounded = Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toFixed(2))]));
  const missed = [
    figures.pickupP50Ms > MUST.pickupP50Ms && 'pickupP50Ms',
    figures.pickupP99Ms > MUST.pickupP99Ms && 'pickupP99Ms',
    figures.submitRatio < MUST.submitRatio && 'submitRatio',
    figures.paidToWebhookP95Ms > MUST.paidToWebhookP95Ms && 'paidToWebhookP95Ms',
  ].filter((name) => name !== false);
  process.exitCode = missed.length > 0 ? 1 : 0;
  if (options.json) {
    const { pickupP50Ms, pickupP99Ms, submitRatio, paidToWebhookP95Ms } = rounded;
    console.log(JSON.stringify({ pickupP50Ms, pickupP99Ms, submitRatio, paidToWebhookP95Ms }));
    return;
  }
  const row = (name: keyof typeof MUST, sign: string) =>
    console.log(
      `${name.padEnd(18)} ${String(rounded[name]).padStart(9)}   must ${sign} ${MUST[name]}, stretch ${STRETCH[name]}`,
    );
  row('pickupP50Ms', '≤');
  row('pickupP99Ms', '≤');
  row('submitRatio', '≥');
  row('paidToWebhookP95Ms', '≤');
  console.log(
    `One key: ${rounded.actionsPerSecond} actions a second by the submitter, ${rounded.sequentialPerSecond} one after the other; a block every ${options.blockMs} ms.`,
  );
  if (missed.length > 0) console.log(`Missed: ${missed.join(', ')}.`);
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value <= 100_000) return value;
  throw new InvalidArgumentError('It must be a whole number from 1 to 100,000.');
}

await new Command()
  .name('npm run bench:worker --')
  .description(
    'Measures pickup of queued work, the throughput of one key, and from a deposit to its webhook, on a database and a chain of its own.',
  )
  .option('--json', 'print one JSON object and nothing else on standard output', false)
  .option('--pickups <n>', 'how many pickups to time', count, 300)
  .option('--actions <n>', 'how many releases the submitter carries out', count, 500)
  .option('--sequential <n>', 'how many are sent one after the other', count, 20)
  .option('--payments <n>', 'how many payments are paid, each after the webhook of the one before', count, 60)
  .option('--block-ms <n>', 'milliseconds between blocks', count, 500)
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench:worker\n  npm run bench:worker -- --json\n  npm run bench:worker -- --block-ms 250',
  )
  .action(async (options: Options) => {
    try {
      await run(options);
    } catch (error) {
      console.error(describe(error));
      process.exitCode = 1;
    } finally {
      await stopEverything();
    }
  })
  .parseAsync();
