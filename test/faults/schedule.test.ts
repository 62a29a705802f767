import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BUGS, POINTS } from '../../scripts/faults/patches.ts';
import { CONFIRMATIONS, type Fault, KILL_POINTS, scheduleOf, TREATMENTS } from '../../scripts/faults/schedule.ts';

const faultsOf = (seed: number, minutes: number) => scheduleOf(seed, minutes).flatMap(({ faults }) => faults);

function count<Kind extends Fault['kind']>(kind: Kind, faults: readonly Fault[]) {
  return faults.filter((fault): fault is Extract<Fault, { kind: Kind }> => fault.kind === kind);
}

describe('the schedule of the fault suite', () => {
  test('is the same for the same seed, and another for another', () => {
    expect(scheduleOf(7, 5)).toEqual(scheduleOf(7, 5));
    expect(scheduleOf(8, 5)).not.toEqual(scheduleOf(7, 5));
  });

  test('has every kind of fault, every named line and every treatment of a node within ten minutes', () => {
    const faults = faultsOf(1, 10);
    const kinds = new Set(faults.map(({ kind }) => kind));
    expect(kinds).toEqual(
      new Set([
        'api',
        'worker',
        'indexer',
        'postgres',
        'sessions',
        'rpc',
        'reorg',
        'pool',
        'webhook',
        'client',
        'tokens',
        'clock',
      ]),
    );
    const points = count('worker', faults).flatMap(({ point }) => point ?? []);
    expect(new Set(points)).toEqual(new Set(KILL_POINTS));
    expect(new Set(count('rpc', faults).map(({ treatment }) => treatment))).toEqual(new Set(TREATMENTS));
    expect(count('postgres', faults).filter(({ how }) => how === 'full disk')).toHaveLength(1);
    expect(new Set(count('pool', faults).map(({ how }) => how))).toEqual(new Set(['drop', 'underprice', 'outside']));
  });

  test.each([1, 2, 3])('in an hour kills, reorganises and forges as often as it must (seed %i)', (seed) => {
    const faults = faultsOf(seed, 60);
    for (const kind of ['api', 'worker', 'indexer'] as const) {
      expect(count(kind, faults).length).toBeGreaterThanOrEqual(200);
    }
    expect(count('postgres', faults).length).toBeGreaterThanOrEqual(50);
    expect(count('reorg', faults).length).toBeGreaterThanOrEqual(100);
    expect(count('tokens', faults).reduce((sum, fault) => sum + fault.count, 0)).toBeGreaterThanOrEqual(10_000);
  });

  test('every phase takes back what had counted; depths are one to eight', () => {
    for (const { faults } of scheduleOf(3, 20)) {
      const depths = count('reorg', faults).map(({ depth }) => depth);
      expect(Math.max(...depths)).toBeGreaterThan(CONFIRMATIONS);
      expect(Math.max(...depths)).toBeLessThanOrEqual(8);
      expect(Math.min(...depths)).toBeGreaterThanOrEqual(1);
    }
  });

  test('a node that lies is outvoted: never more than one of the three', () => {
    const lying = count('rpc', faultsOf(5, 60)).filter(({ treatment }) => treatment === 'back' || treatment === 'fork');
    expect(lying.length).toBeGreaterThan(0);
    for (const { node } of lying) expect([0, 1, 2]).toContain(node);
  });
});

describe('what the suite changes in production files', () => {
  const patches = [...POINTS, ...Object.values(BUGS).flat()];
  test.each(patches.map(({ file, before }) => [file, before] as const))('%s has its text once: %j', (file, before) => {
    const source = readFileSync(new URL(`../../api/${file}`, import.meta.url), 'utf8');
    expect(source.split(before)).toHaveLength(2);
  });
});
