/**
 * The fault suite itself: three minutes of it find nothing, and each planted bug is found and named by the invariant that it breaks.
 * Minutes for each, so only with LONG_TESTS=1.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BUGS } from '../../scripts/faults/patches.ts';

const MINUTE_MS = 60_000;

type Run = { code: number | null; output: string; messages: string; left: string[] };

/** Runs the suite in a folder of its own. */
async function runFaults(...args: string[]): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-planted-'));
  try {
    const child = spawn(process.execPath, ['scripts/faults.ts', '--json', '--folder', join(folder, 'run'), ...args]);
    let [output, messages] = ['', ''];
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      messages += chunk;
    });
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    return { code, output, messages, left: await readdir(folder) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe.runIf(process.env.LONG_TESTS)('three minutes of faults', () => {
  test('break nothing; standard output is one object, and the folder is gone', {
    timeout: 20 * MINUTE_MS,
  }, async () => {
    const { code, output, messages, left } = await runFaults('--seed', '7', '--minutes', '3');
    expect(messages).toContain('violations                0');
    expect(code).toBe(0);
    const report = JSON.parse(output);
    expect(report).toMatchObject({ violations: 0, lost: 0, doubled: 0, forgedAccepted: 0 });
    expect(Object.keys(report)).toEqual([
      ...['payments', 'faults', 'violations', 'lost', 'doubled', 'forgedAccepted'],
      ...['recoverySecondsP50', 'recoverySecondsMax'],
    ]);
    expect(Object.keys(report.faults)).toEqual([
      ...['apiKilled', 'workerKilled', 'indexerKilled', 'postgresRestarted', 'rpcFaults', 'reorgs'],
      ...['webhookFaults', 'forgedTokens'],
    ]);
    expect(report.payments).toBeGreaterThan(0);
    const { apiKilled, workerKilled, indexerKilled, postgresRestarted, rpcFaults, reorgs } = report.faults;
    for (const count of [apiKilled, workerKilled, indexerKilled, postgresRestarted, rpcFaults, reorgs]) {
      expect(count).toBeGreaterThan(0);
    }
    expect(left).toEqual([]);
  });
});

// Each with what it is run with and the invariant that it breaks.
const PLANTED: Record<string, { only: 'reorg' | 'worker'; invariant: string }> = {
  'skip-storing': { only: 'worker', invariant: 'nonces' },
  'no-reversing-entry': { only: 'reorg', invariant: 'ledger' },
  'double-claim': { only: 'reorg', invariant: 'operations' },
  'drop-webhook': { only: 'reorg', invariant: 'webhooks' },
  'trust-unconfirmed': { only: 'reorg', invariant: 'confirmations' },
  'wrong-hash': { only: 'reorg', invariant: 'one deal' },
};

describe.runIf(process.env.LONG_TESTS)('a minute of faults', () => {
  // Its reorganisations go deeper than the confirmations and give nothing back.
  const run = (only: string) => ['--seed', '965', '--minutes', '1', '--only', only];

  test.each(['reorg', 'worker'])(
    'finds nothing when nothing is planted: %s',
    { timeout: 10 * MINUTE_MS },
    async (only) => {
      const { code, messages } = await runFaults(...run(only));
      expect(messages).toContain('violations                0');
      expect(code).toBe(0);
    },
  );

  test('there is one for each bug', () => expect(Object.keys(PLANTED)).toEqual(Object.keys(BUGS)));

  test.each(Object.entries(PLANTED))('finds %s', { timeout: 10 * MINUTE_MS }, async (bug, { only, invariant }) => {
    const { code, output, messages } = await runFaults(...run(only), '--plant', bug);
    expect(messages).toContain(`  ${invariant}: `);
    expect(code).toBe(1);
    expect(JSON.parse(output).violations).toBeGreaterThan(0);
  });
});
