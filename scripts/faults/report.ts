/** What a run says at its end: one object for machines, a few lines for people. */
import type { Course } from './memory.ts';
import type { Violation } from './money-invariants.ts';
import type { Counts } from './performer.ts';

/** The figures of a run. */
export type Report = {
  payments: number;
  faults: Counts;
  violations: number;
  lost: number;
  doubled: number;
  forgedAccepted: number;
  recoverySecondsP50: number | null;
  recoverySecondsMax: number | null;
};

/** The value below which this share of the values lies; null without any. */
export function quantile(values: readonly number[], share: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return value === undefined ? null : Math.round(value * 10) / 10;
}

/** A report as lines. */
export function renderReport(report: Report, { memory, notes, violations }: Details): string {
  const { faults } = report;
  return [
    '',
    `payments                  ${report.payments}`,
    ...Object.entries(faults).map(([name, count]) => `${name.padEnd(25)} ${count}`),
    `forged tokens let in      ${report.forgedAccepted}`,
    `payments lost, doubled    ${report.lost}, ${report.doubled}`,
    `recovery, seconds         ${report.recoverySecondsP50} median, ${report.recoverySecondsMax} at most`,
    ...memory.map(({ name, of, earlierMegabytes, laterMegabytes }) => {
      return `memory of ${name.padEnd(15)} ${earlierMegabytes}, later ${laterMegabytes} MB (${of})`;
    }),
    ...[...notes].map(([what, count]) => `note, ${count} times: ${what}`),
    `violations                ${report.violations}`,
    ...violations.map(({ invariant, what }) => `  ${invariant}: ${what}`),
  ].join('\n');
}

/** What the lines for people say beyond the figures. */
export type Details = {
  memory: readonly Course[];
  notes: ReadonlyMap<string, number>;
  violations: readonly Violation[];
};
