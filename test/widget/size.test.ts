// What a buyer's phone has to load, against the budget of shared numbers: everything through the deposit in 60 KiB.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const DEPOSIT_KIB = 60;
const SHELL_KIB = 15;
let files: Record<string, { bytes: number; gzipBytes: number; integrity: string }>;
let shell: string[];
let deposit: string[];
let languages: string[];

beforeAll(async () => {
  await promisify(execFile)(process.execPath, ['scripts/build-widget.ts', '--if-stale'], { cwd: ROOT });
  ({ files, shell, deposit, languages } = JSON.parse(await readFile(join(ROOT, 'widget/dist/build.json'), 'utf8')));
});

const kib = (names: string[]) => names.reduce((sum, name) => sum + (files[name]?.gzipBytes ?? Number.NaN), 0) / 1024;

describe('the built widget', () => {
  test('as ES module: small shell, everything within the budget', () => {
    expect(kib(shell)).toBeLessThan(SHELL_KIB);
    expect(shell.some((name) => name.startsWith('flow') || name.startsWith('view'))).toBe(false);
    expect(kib(deposit)).toBeLessThan(DEPOSIT_KIB);
  });

  test('in any language, and one language only', () => {
    expect(languages).toHaveLength(6);
    expect(shell.filter((name) => languages.includes(name))).toEqual([]);
    const others = deposit.filter((name) => !languages.includes(name));
    expect(deposit.filter((name) => languages.includes(name))).toEqual(['language-en.js']);
    for (const language of languages) expect(kib([...others, language]), language).toBeLessThan(DEPOSIT_KIB);
  });

  test('as one script: everything within the budget', () => {
    expect(kib(['dealkeep.script.js'])).toBeLessThan(DEPOSIT_KIB);
  });

  test('has types, and an integrity hash for each file', async () => {
    expect(await readFile(join(ROOT, 'widget/dist/types/widget/index.d.ts'), 'utf8')).toContain('DealkeepCheckout');
    for (const { integrity } of Object.values(files)) expect(integrity).toMatch(/^sha384-[\w+/]{64}$/);
  });
});
