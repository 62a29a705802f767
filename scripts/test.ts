// Runs every test: the contract's by Hardhat, everything else by vitest, and closes with their sum. With --long, what searches
// (fuzz, invariants, random sequences) searches further.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Counts = { passed: number; failed: number };

/** Runs a command with its output shown; resolves with what it printed and its exit code. */
function run(command: string, args: string[]): Promise<{ output: string; code: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      process.stdout.write(chunk);
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ output, code: code ?? 1 }));
  });
}

async function solidityTests(): Promise<Counts> {
  const { output, code } = await run('hardhat', ['test', 'solidity']);
  const count = (word: string) => Number(new RegExp(`(\\d+) ${word}`).exec(output)?.[1] ?? 0);
  const counts = { passed: count('passing'), failed: count('failing') };
  // A compiler error fails no test, but it must not pass for success.
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

async function typescriptTests(filters: string[]): Promise<Counts> {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-test-'));
  const report = join(folder, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const { code } = await run('vitest', ['run', ...reporters, ...filters]);
    const result = JSON.parse(await readFile(report, 'utf8').catch(() => '{}'));
    const counts = { passed: result.numPassedTests ?? 0, failed: result.numFailedTests ?? 0 };
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const filters = process.argv.slice(2).filter((argument) => argument !== '--long');
if (process.argv.includes('--long')) {
  process.env.LONG_TESTS = '1';
  process.env.FAST_CHECK_RUNS = '1000';
}
const solidity = await solidityTests();
const typescript = await typescriptTests(filters);
const failed = solidity.failed + typescript.failed;
console.log(`${solidity.passed + typescript.passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
