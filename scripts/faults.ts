/** `npm run faults`: a seeded schedule of faults over a cluster of its own while payments go on, and whether everything is still true. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { requireNode } from './dev/preflight.ts';
import { Problem } from './dev/problem.ts';
import { stopEverything } from './dev/processes.ts';
import { type Progress, startProgress } from './dev/progress.ts';
import { checkInvariants, type Findings } from './faults/invariants.ts';
import { isFlat, MemoryWatch } from './faults/memory.ts';
import { BUGS } from './faults/patches.ts';
import { Performer } from './faults/performer.ts';
import { Random } from './faults/random.ts';
import { quantile, type Report, renderReport } from './faults/report.ts';
import { describeFault, KINDS, scheduleOf } from './faults/schedule.ts';
import { openStage, type Stage } from './faults/stage.ts';
import { Workload } from './faults/workload.ts';

type Flags = {
  seed: number;
  minutes: number;
  only?: Kind[];
  plant?: string;
  schedule: boolean;
  folder?: string;
  keep: boolean;
  json: boolean;
};
type Kind = (typeof KINDS)[number];

const EXAMPLES = `
The same seed and minutes give the same schedule; what meets which fault depends on the machine. A violation ends the run with 1, keeps the
folder with every log, and is printed with the command that repeats it.

Examples:
  npm run faults -- --seed 7 --minutes 3
  npm run faults -- --seed 7 --minutes 3 --schedule
  npm run faults -- --seed 7 --minutes 1 --only worker,reorg --plant skip-storing
  npm run faults -- --seed 7 --minutes 60 --json > faults.json`;

const MOST_SHOWN = 50;
// In less a process has hardly come to its size.
const LONG_MINUTES = 10;

function whole(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number >= 2 ** 32) {
    throw new InvalidArgumentError('A seed is a whole number below 4294967296.');
  }
  return number;
}

function duration(text: string): number {
  const number = Number(text);
  if (!(number >= 0.25 && number <= 1_440)) throw new InvalidArgumentError('Minutes are 0.25 to 1440.');
  return number;
}

function kinds(text: string): Kind[] {
  return text.split(',').map((name) => {
    const kind = KINDS.find((known) => known === name);
    if (!kind) throw new InvalidArgumentError(`There are ${KINDS.join(', ')}.`);
    return kind;
  });
}

function bug(name: string): string {
  if (!Object.hasOwn(BUGS, name)) throw new InvalidArgumentError(`There are ${Object.keys(BUGS).join(', ')}.`);
  return name;
}

/** The command that repeats a run. */
function commandOf({ seed, minutes, only, plant }: Flags): string {
  const rest = [...(only ? [`--only ${only.join(',')}`] : []), ...(plant ? [`--plant ${plant}`] : [])];
  return ['npm run faults --', `--seed ${seed}`, `--minutes ${minutes}`, ...rest].join(' ');
}

function printSchedule({ seed, minutes, only, json }: Flags): void {
  const phases = scheduleOf(seed, minutes, only);
  if (json) console.log(JSON.stringify(phases));
  else {
    for (const [index, { forMs, faults }] of phases.entries()) {
      console.log(`Phase ${index + 1}, ${forMs / 1_000} s`);
      for (const fault of faults) console.log(describeFault(fault));
    }
  }
}

async function play(stage: Stage, flags: Flags, progress: Progress): Promise<{ report: Report; findings: Findings }> {
  const random = new Random(flags.seed + 1);
  const workload = new Workload(stage, random.branch());
  const performer = new Performer(stage, workload, random.branch(), (text) => progress.line(`         ${text}`));
  const watch = new MemoryWatch(stage);
  const phases = scheduleOf(flags.seed, flags.minutes, flags.only);
  let findings: Findings = { violations: [], lost: [], doubled: [], passing: [] };
  const passing = new Map<string, number>();
  for (const [index, phase] of phases.entries()) {
    progress.step(`Phase ${index + 1} of ${phases.length}: ${phase.faults.length} faults in ${phase.forMs / 1_000} s`);
    workload.go();
    const lastMs = Math.max(phase.forMs, ...phase.faults.map(({ atMs }) => atMs));
    await Promise.all([performer.perform(phase), sleep(lastMs).then(() => workload.pause())]);
    progress.step(`Calm; ${workload.made.size} payments so far`);
    findings = await checkInvariants(stage, workload);
    for (const { invariant, what } of findings.passing) passing.set(`not found again: ${invariant}: ${what}`, 1);
    progress.step(`Checked: ${findings.violations.length} violations`);
    if (findings.violations.length > 0) break;
  }
  await watch.stop();
  if (flags.minutes >= LONG_MINUTES) {
    for (const course of watch.courses.filter((one) => !isFlat(one))) {
      const { name, of, earlierMegabytes, laterMegabytes } = course;
      findings.violations.push({
        invariant: 'memory',
        what: `${name} (${of}): ${earlierMegabytes} MB, later ${laterMegabytes} MB`,
      });
    }
  }
  const { recoveries, forgedAccepted, notes, counts } = performer;
  for (const what of forgedAccepted) findings.violations.push({ invariant: 'tokens', what });
  const report: Report = {
    payments: workload.made.size,
    faults: counts,
    violations: findings.violations.length,
    lost: findings.lost.length,
    doubled: findings.doubled.length,
    forgedAccepted: forgedAccepted.length,
    recoverySecondsP50: quantile(recoveries, 0.5),
    recoverySecondsMax: quantile(recoveries, 1),
  };
  const asides = new Map([...notes, ...passing, ...workload.unfinished, ...stage.client.faults, ...endings(stage)]);
  const shown = findings.violations.slice(0, MOST_SHOWN);
  progress.line(renderReport(report, { memory: watch.courses, notes: asides, violations: shown }));
  return { report, findings };
}

/** Processes that ended although nobody had killed them. */
function endings({ apis, workers, indexer }: Stage): [string, number][] {
  return [...apis, ...workers, indexer].flatMap(({ name, ended }) =>
    ended.length === 0 ? [] : [[`${name} ended by itself, last with ${ended.at(-1)}`, ended.length]],
  );
}

async function run(flags: Flags): Promise<void> {
  if (flags.schedule) return printSchedule(flags);
  requireNode();
  const progress = startProgress({ json: flags.json });
  const folder = flags.folder ? resolve(flags.folder) : await mkdtemp(join(tmpdir(), 'dealkeep-faults-'));
  let stage: Stage | undefined;
  let leaving = false;
  const leave = async (code: number, { kept }: { kept: boolean }) => {
    if (leaving) return;
    leaving = true;
    await stage?.stop();
    await stopEverything();
    if (!kept) await rm(folder, { recursive: true, force: true });
    process.exit(code);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!leaving) progress.line('\nStopping …');
      void leave(130, { kept: false });
    });
  }
  const again = commandOf(flags);
  progress.line(`Seed ${flags.seed}. The same again: ${again}`);
  try {
    stage = await openStage(folder, new Random(flags.seed + 2), progress, flags.plant);
    const { report, findings } = await play(stage, flags, progress);
    const isBroken = report.violations > 0;
    if (isBroken) {
      await writeFile(join(folder, 'violations.json'), `${JSON.stringify(findings, null, 2)}\n`);
      progress.line(`\nSeed ${flags.seed} broke something. Everything is in ${folder}\nAgain: ${again}`);
    }
    if (flags.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    await leave(isBroken ? 1 : 0, { kept: isBroken || flags.keep });
  } catch (error) {
    if (leaving) return;
    const words = error instanceof Problem ? error.message : error instanceof Error ? error.stack : String(error);
    progress.line(`\nThe run broke off: ${words}\nSeed ${flags.seed}; logs are in ${folder}. Again: ${again}`);
    await leave(2, { kept: true });
  }
}

await new Command()
  .name('npm run faults --')
  .description(
    'Creates, pays and settles payments on a cluster of its own (anvil, PostgreSQL, two APIs, two workers, the indexer) while processes are killed, nodes lie and blocks are taken back, and checks after each phase that nothing was lost, doubled or misstated.',
  )
  .option('--seed <number>', 'decides the schedule', whole, Math.floor(Math.random() * 2 ** 32))
  .option('--minutes <number>', 'about how long, a phase each three minutes', duration, 3)
  .option('--only <kinds>', `only faults of these kinds, by commas: ${KINDS.join(', ')}`, kinds)
  .option('--plant <bug>', `plant a bug that the suite must find: ${Object.keys(BUGS).join(', ')}`, bug)
  .option('--schedule', 'only print the schedule', false)
  .option('--folder <dir>', 'where data and logs go; left out: a temporary one')
  .option('--keep', 'keep the folder although nothing is wrong', false)
  .option('--json', 'print one object with the figures on standard output, everything else on standard error', false)
  .addHelpText('after', EXAMPLES)
  .action(run)
  .parseAsync();
