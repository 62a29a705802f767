// What the command line says of itself: help, examples, completion, and what it answers to what cannot be meant. Nothing here
// reaches an API.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { printRows } from '../../scripts/dealkeep/output.ts';
import { openProgram } from '../../scripts/dealkeep/program.ts';

const COMMAND = join(import.meta.dirname, '../../scripts/dealkeep.mjs');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dealkeep-usage-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Run = { code: number; output: string; errors: string };

function dealkeep(args: string[], env: Record<string, string> = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(COMMAND, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: folder,
      env: { PATH: process.env.PATH, ...env },
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, output, errors }));
  });
}

/** Every command that does something, with the words that lead to it. */
function leaves(command: Command, words: string[] = []): { words: string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ words, command }];
  return command.commands.flatMap((below) => leaves(below, [...words, below.name()]));
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (line) => (text += line) });
  command.outputHelp();
  return text;
}

/** The words of a line as a shell would split them, after `npx dealkeep`. */
function wordsOf(line: string): string[] {
  const command = line.trim().replace(/^npx dealkeep /, '');
  return [...command.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);
}

describe('the help of every command', () => {
  const all = leaves(openProgram());

  test('covers what operators are promised', () => {
    expect(all.map(({ words }) => words.join(' '))).toEqual(
      expect.arrayContaining([
        ...['bootstrap', 'nodes list', 'payments list', 'payments show', 'payments logs', 'payments cancel'],
        ...['payments release', 'payments refund', 'payments retry-send', 'unmatched list', 'unmatched refund'],
        ...['webhooks resend', 'webhooks replay', 'keys rotate', 'verify', 'reserves', 'doctor', 'completion'],
      ]),
    );
  });

  test.each(all.map(({ words, command }) => [words.join(' '), command] as const))(
    '%s: has examples that name real commands and options',
    async (name, command) => {
      const examples = helpOf(command)
        .split('\n')
        .filter((line) => line.trim().startsWith('npx dealkeep '));
      expect(examples.length).toBeGreaterThan(0);
      for (const line of examples) {
        const words = wordsOf(line.split(/ [>|&]/)[0] ?? '');
        const program = openProgram();
        const ran: string[] = [];
        for (const leaf of leaves(program)) {
          leaf.command.action(() => void ran.push(leaf.words.join(' ')));
        }
        await program.parseAsync(words, { from: 'user' });
        expect(ran, line).toEqual([name]);
      }
    },
  );
});

describe('completion in bash', () => {
  let script: string;
  beforeAll(async () => {
    script = join(folder, 'dealkeep.bash');
    await writeFile(script, (await dealkeep(['completion', 'bash'])).output);
  });

  /** What bash offers for the last word, as the functions that the script registers answer. */
  async function offered(...words: string[]): Promise<string[]> {
    const run = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
      [[ "$(complete -p -- "$1")" =~ -F\\ ([a-z_]+) ]]; "\${BASH_REMATCH[1]}"; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await promisify(execFile)('bash', ['--norc', '-c', run, 'bash', script, ...words]);
    return stdout.split('\n').filter((word) => word !== '');
  }

  test.each([
    ['dealkeep pay', ['payments']],
    ['npx de', ['dealkeep']],
    ['npx dealkeep payments re', ['release', 'refund', 'retry-send']],
    ['npx dealkeep --json --data .data/second payments re', ['release', 'refund', 'retry-send']],
    ['dealkeep payments list --per', ['--per-page']],
    ['dealkeep payments list --status part', ['partially_released', 'partially_refunded']],
    ['dealkeep webhooks deliveries --status ', ['waiting', 'delivered', 'failed', 'cancelled']],
    ['dealkeep payments list --node ', []],
    ['dealkeep completion z', ['zsh']],
    ['npx another pay', []],
  ])('%s', async (line, expected) => expect(await offered(...line.split(' '))).toEqual(expected));

  test('offers files where a file is meant', async () => {
    expect(await offered('dealkeep', '--credentials', join(folder, 'dealkeep.b'))).toEqual([script]);
  });
});

describe('what cannot be meant', () => {
  const nobody = ['--url', 'http://127.0.0.1:9'];
  const secret = 'postgres://me:hunter2@127.0.0.1:9/none';

  test.each([
    ['an unknown command', ['payment', 'list'], 'payments'],
    ['a status that is none', [...nobody, 'payments', 'list', '--status', 'paid'], 'partially_released'],
    ['a page that is no number', [...nobody, 'payments', 'list', '--page', 'x'], '1, 2'],
    ['a replay without a beginning', [...nobody, 'webhooks', 'replay', 'x'], '--from'],
    [
      'a time without its zone',
      [...nobody, 'webhooks', 'replay', 'x', '--from', '2027-01-31T09:00'],
      '2027-01-31T09:00:00Z',
    ],
    ['an escrow that is no address', [...nobody, 'verify', 'x', '--diamond', '0x12'], '--diamond'],
    ['an RPC node that is no URL', [...nobody, 'verify', 'x', '--rpc-url', 'localhost:8545'], '--rpc-url'],
    ['no stack and no credentials', ['payments', 'list'], 'npm start'],
    ['a file that holds no credentials', ['--credentials', COMMAND, 'payments', 'list'], 'client_id'],
    ['a database that is no URL', ['reconcile', '--database-url', 'hunter2'], 'postgres://'],
  ])('exit code 2 and what to do: %s', async (_, args, advice) => {
    const run = await dealkeep(args);
    expect([run.code, run.output], run.errors).toEqual([2, '']);
    expect(run.errors).toContain(advice);
    expect(run.errors).not.toMatch(/hunter2|^ +at /m);
  });

  test.each([
    ['an API that is not there', [...nobody, 'reserves'], 'http://127.0.0.1:9 does not answer'],
    ['a database that is not there: reconcile', ['reconcile', '--database-url', secret], 'does not answer'],
    ['a database that is not there: rebuild', ['rebuild', '--database-url', secret], 'does not answer'],
    [
      'a database that is not there: bootstrap',
      [...nobody, 'bootstrap', '--name', 'x', '--out', 'x.json', '--database-url', secret],
      'does not answer',
    ],
  ])('exit code 3 and what to do: %s', async (_, args, advice) => {
    const run = await dealkeep(args);
    expect([run.code, run.output], run.errors).toEqual([3, '']);
    expect(run.errors).toContain(advice);
    expect(run.errors).not.toMatch(/hunter2|^ +at /m);
  });
});

test.each(['zsh', 'fish'])('completion prints a script for %s that names the commands', async (shell) => {
  const run = await dealkeep(['completion', shell]);
  expect([run.code, run.output.includes('retry-send')]).toEqual([0, true]);
});

test('what others wrote does not steer the terminal', () => {
  const lines: string[] = [];
  const { log } = console;
  console.log = (line) => lines.push(line);
  try {
    printRows({ data: '', json: false, yes: false }, { items: [{ name: '\x1b[2Jcleared\x07' }], total: 1 }, [
      ['name', (row) => row.name],
    ]);
  } finally {
    console.log = log;
  }
  expect(lines.join('')).toContain('\u{fffd}[2Jcleared\u{fffd}');
  expect(lines.join('')).not.toMatch(/\p{Cc}(?<!\n)/u);
});
