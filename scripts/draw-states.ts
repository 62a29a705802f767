/**
 * Draws the checkout's table of states as a Mermaid diagram into the README. With `--check` it writes nothing and exits 1 when the
 * drawing there is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { statuses } from '../widget/payment.ts';
import { type StateName, transitions } from '../widget/states.ts';

const target = new URL('../README.md', import.meta.url);
const START = '<!-- states: node scripts/draw-states.ts -->';
const END = '<!-- /states -->';

const rows = Object.entries(transitions) as [StateName, Record<string, StateName>][];
const isTold = (event: string) => event === 'refuse' || event === 'deny' || statuses.some((status) => status === event);

/** The table as Mermaid. What every state takes from the API is drawn once, not from each. */
export function drawing(): string {
  const edges = rows.flatMap(([from, row]) => {
    const byTarget = new Map<StateName, string[]>();
    for (const [event, to] of Object.entries(row)) {
      if (!isTold(event)) byTarget.set(to, [...(byTarget.get(to) ?? []), event]);
    }
    return [...byTarget].map(([to, events]) => `  ${from} --> ${to}: ${events.join(', ')}`);
  });
  const told = [
    ...new Set(rows.flatMap(([, row]) => Object.entries(row).flatMap(([event, to]) => (isTold(event) ? [to] : [])))),
  ];
  const deaf = rows.filter(([, row]) => !('funded' in row)).map(([name]) => name);
  return [
    '```mermaid',
    'stateDiagram-v2',
    '  [*] --> loading',
    ...edges,
    `  note right of loading: the API's word leads from every state but ${deaf.join(', ')} to ${told.join(', ')}`,
    '```',
  ].join('\n');
}

/** The README with the drawing in its place. @throws Error when the place is gone */
export function withDrawing(readme: string): string {
  const [start, end] = [readme.indexOf(START), readme.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`README.md lacks ${START} … ${END}.`);
  return `${readme.slice(0, start + START.length)}\n\n${drawing()}\n\n${readme.slice(end)}`;
}

if (import.meta.main) {
  const present = readFileSync(target, 'utf8');
  const wanted = withDrawing(present);
  if (!process.argv.includes('--check')) writeFileSync(target, wanted);
  else if (present !== wanted) {
    console.error(
      'The drawing of states in README.md is stale: run `node scripts/draw-states.ts` and commit the result.',
    );
    process.exit(1);
  }
}
