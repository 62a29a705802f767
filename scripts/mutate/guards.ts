/**
 * Holds the table against the contracts without running anything: each row fits the code, and each guard of the code
 * (whatever may revert, and every modifier that keeps a second entry out) is taken out by some row.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Mutation, placeOf } from './rows.ts';

/** `revert X(…)`, a call of `requireX(…)`, or a function that is guarded; definitions of the last two are none. */
const GUARDS = /\brevert \w|(?<!function )\b_?require[A-Z]\w*\(|\) external (?:guarded|unentered) \{/g;

/** Interfaces promise, and test tokens stand in for other people's contracts. */
const WITHOUT_GUARDS = /^(interfaces|tokens)\//;

/** What is wrong with the table, one line each. */
export function tableProblems(contracts: string, mutations: readonly Mutation[]): string[] {
  const problems: string[] = [];
  const names = new Set<string>();
  const covered = new Map<string, [from: number, to: number][]>();
  const sourceOf = (file: string) => readFileSync(join(contracts, file), 'utf8');
  for (const mutation of mutations) {
    const { name, file, text } = mutation;
    if (names.has(name)) problems.push(`${name}: two rows have this name`);
    names.add(name);
    try {
      const from = placeOf(sourceOf(file), mutation);
      covered.set(file, [...(covered.get(file) ?? []), [from, from + text.length]]);
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : error} in ${file}`);
    }
  }
  const files = readdirSync(contracts, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((path) => path.endsWith('.sol') && !WITHOUT_GUARDS.test(path)).sort()) {
    const source = sourceOf(file);
    for (const { index, 0: guard } of source.matchAll(GUARDS)) {
      const lineStart = source.lastIndexOf('\n', index) + 1;
      if (source.slice(lineStart, index).includes('//')) continue;
      if (covered.get(file)?.some(([from, to]) => from <= index && index + guard.length <= to)) continue;
      const line = source.slice(0, index).split('\n').length;
      const text = source.slice(lineStart, source.indexOf('\n', index)).trim();
      problems.push(`contracts/${file}:${line}: no row takes this guard out: ${text}`);
    }
  }
  return problems;
}
