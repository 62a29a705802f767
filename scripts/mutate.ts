/**
 * `npm run mutate`: takes the guards of the contracts out one by one, in a copy of the tree below the temporary folder, and
 * expects the tests that stand for each to fail. It never touches the working tree.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { tableProblems } from './mutate/guards.ts';
import { type Mutation, placeOf } from './mutate/rows.ts';
import { mutations } from './mutate/table.ts';

/**
 * killed: the tests noticed. survived: they did not. equivalent: they did not, and the table says why nothing could.
 * stale: the mutated contract does not compile. unknown: the tests did not end, which a busy machine explains as well.
 */
type Verdict = 'killed' | 'survived' | 'equivalent' | 'stale' | 'unknown';

interface Result {
  name: string;
  attack: string;
  file: string;
  tests: string[];
  verdict: Verdict;
  /** The first test that failed, or why there is none. */
  by: string;
  seconds: number;
}

const ROOT = join(import.meta.dirname, '..');
const CLI = join(ROOT, 'node_modules/hardhat/dist/src/cli.js');
/** A run takes 5 to 9 s on a quiet machine, and was seen to take 380 s on a crowded one. */
const RUN_TIMEOUT_S = 900;

const help = `Takes the guards of the contracts out one by one and expects red.

  node scripts/mutate.ts [options]

  --only TEXT      the mutations with this in name, attack or file; may be given several times
  --minutes N      stop starting new ones after N minutes (default: no limit)
  --list           print the table and run nothing
  --check          run nothing: whether each row fits the code, and each guard of the contracts has a row
  --json           print one JSON object on standard output (progress goes to standard error)
  --help

The exit code is 1 when a guard can be taken out unnoticed, a row does not fit the code any more, or a guard has no row;
2 when --minutes left rows out, or tests did not end, so that nothing is known of those.

Examples:
  npm run mutate -- --only Guard.sol
  npm run mutate -- --minutes 10 --json > mutants.json`;

let running: ChildProcess | undefined;

/** Copies what the Solidity tests need, with what was compiled before. */
function copyTree(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dealkeep-mutate-'));
  for (const part of ['contracts', 'test/contracts', 'hardhat.config.ts', 'package.json', 'tsconfig.json']) {
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  }
  for (const part of ['artifacts', 'cache']) {
    if (existsSync(join(ROOT, part))) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Runs test files in the copy; resolves with everything printed and the exit code, 124 when it took too long. */
function runTests(folder: string, tests: string[]): Promise<{ output: string; code: number }> {
  const files = tests.map((name) => `test/contracts/${name}.t.sol`);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, 'test', 'solidity', ...files], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running = child;
    let output = '';
    let late = false;
    // Counted in ticks, so that the time in which the machine stopped this process and its child is none of theirs.
    let ticks = 0;
    const timer = setInterval(() => {
      late = ++ticks > RUN_TIMEOUT_S;
      if (late) child.kill('SIGKILL');
    }, 1000);
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(timer);
      running = undefined;
      resolve({ output, code: late ? 124 : (code ?? 1) });
    });
  });
}

async function judge(folder: string, mutation: Mutation): Promise<{ verdict: Verdict; by: string }> {
  const path = join(folder, 'contracts', mutation.file);
  const source = readFileSync(path, 'utf8');
  const at = placeOf(source, mutation);
  writeFileSync(path, source.slice(0, at) + mutation.replacement + source.slice(at + mutation.text.length));
  try {
    const { output, code } = await runTests(folder, mutation.tests);
    if (code === 124) return { verdict: 'unknown', by: `the tests did not end within ${RUN_TIMEOUT_S} s` };
    if (code === 0) {
      return mutation.equivalent === undefined
        ? { verdict: 'survived', by: 'nothing failed' }
        : { verdict: 'equivalent', by: mutation.equivalent };
    }
    const failed = /^ +1\) (\S+?)\(/m.exec(output)?.[1];
    return failed ? { verdict: 'killed', by: failed } : { verdict: 'stale', by: firstError(output) };
  } finally {
    writeFileSync(path, source);
  }
}

function firstError(output: string): string {
  return /^.*Error.*$/m.exec(output)?.[0] ?? 'the tests did not run';
}

function table(results: Result[]): string {
  const width = (pick: (result: Result) => string) => Math.max(...results.map((result) => pick(result).length));
  const [names, attacks, verdicts] = [width((r) => r.name), width((r) => r.attack), width((r) => r.verdict)];
  return results
    .map((r) => `${r.verdict.padEnd(verdicts)}  ${r.attack.padEnd(attacks)}  ${r.name.padEnd(names)}  ${r.by}`)
    .join('\n');
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      minutes: { type: 'string' },
      list: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const say = (line: string) => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);
  if (values.help) {
    console.log(help);
    return 0;
  }
  const problems = tableProblems(join(ROOT, 'contracts'), mutations);
  if (problems.length > 0) throw new Error(`The table does not fit the contracts:\n  ${problems.join('\n  ')}`);
  if (values.check) return 0;
  const only = values.only?.map((text) => text.toLowerCase());
  const chosen = mutations.filter(({ name, attack, file }) => {
    const words = [name, attack, file].join('\n').toLowerCase();
    return !only || only.some((text) => words.includes(text));
  });
  if (chosen.length === 0) throw new Error(`--only ${values.only?.join(', ')} fits no mutation, see --list`);
  if (values.list) {
    if (values.json) console.log(JSON.stringify(chosen));
    else for (const { attack, file, name, tests } of chosen) say(`${attack} · ${file} · ${name} · ${tests.join(' ')}`);
    return 0;
  }
  const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes} is not a number above zero`);
  const until = performance.now() + minutes * 60_000;

  const folder = copyTree();
  const clean = () => {
    running?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      clean();
      process.exit(130);
    });
  }
  try {
    say('Unchanged first, then one guard less at a time …');
    const { output, code } = await runTests(folder, [...new Set(chosen.flatMap(({ tests }) => tests))]);
    if (code !== 0) throw new Error(`the tests fail without any mutation:\n${output.slice(-3000)}`);
    const results: Result[] = [];
    for (const mutation of chosen) {
      if (performance.now() > until) break;
      const start = performance.now();
      const outcome = await judge(folder, mutation);
      const seconds = Math.round((performance.now() - start) / 100) / 10;
      const { name, attack, file, tests } = mutation;
      results.push({ name, attack, file, tests, ...outcome, seconds });
      say(`${results.length}/${chosen.length} ${outcome.verdict} ${name} (${seconds} s) ${outcome.by}`);
    }
    const counts: Record<Verdict, number> = { killed: 0, survived: 0, equivalent: 0, stale: 0, unknown: 0 };
    for (const { verdict } of results) counts[verdict]++;
    const left = chosen.slice(results.length).map(({ name }) => name);
    const skipped = left.length;
    if (values.json)
      console.log(JSON.stringify({ complete: skipped + counts.unknown === 0, ...counts, skipped: left, results }));
    else say(`\n${table(results)}\n`);
    const sums = Object.entries({ ...counts, skipped }).map(([what, count]) => `${count} ${what}`);
    say(sums.join(', '));
    if (counts.survived + counts.stale > 0) return 1;
    if (skipped === 0) return counts.unknown === 0 ? 0 : 2;
    say(`Incomplete: --minutes ran out before ${left[0]}${skipped > 1 ? ` and ${skipped - 1} more` : ''}.`);
    return 2;
  } finally {
    clean();
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
