// Owns what a command prints: JSON for machines, tables for people, and the question before money moves.
import { createInterface } from 'node:readline/promises';
import Table from 'cli-table3';
import type { Answer, Api, Settings } from './api.ts';
import { Failure } from './failure.ts';

/** One column: its title, and what it shows of a row. */
export type Column = [title: string, show: (row: Answer) => unknown];

/** Prints rows as a table, or the whole answer as JSON. */
export function printRows({ json }: Settings, answer: Answer, columns: Column[]): void {
  if (json) {
    printJson(answer);
    return;
  }
  const { items, page, per_page, total } = answer;
  if (items.length === 0) {
    console.log('None.');
    return;
  }
  const table = new Table({ head: columns.map(([title]) => title), style: { head: [], border: [] } });
  for (const row of items) table.push(columns.map(([, show]) => text(show(row))));
  console.log(table.toString());
  if (!(total > items.length)) return;
  const further = page * per_page < total ? `; --page ${page + 1} --per-page ${per_page} shows more` : '';
  console.log(`${items.length} of ${total}, page ${page}${further}.`);
}

/** Prints names and values one below the other, or the whole answer as JSON. */
export function printRecord({ json }: Settings, answer: Answer, fields: Record<string, unknown>): void {
  if (json) {
    printJson(answer);
    return;
  }
  const width = Math.max(...Object.keys(fields).map((name) => name.length));
  for (const [name, value] of Object.entries(fields)) console.log(`${name.padEnd(width)}  ${text(value)}`);
}

export function printJson(answer: Answer): void {
  console.log(JSON.stringify(answer, null, 2));
}

// What others wrote, like a receiver's answer, must not steer the terminal.
const CONTROL = /(?!\n)\p{Cc}/gu;

function text(value: unknown): string {
  return value === null || value === undefined ? '–' : String(value).replace(CONTROL, '\u{fffd}');
}

/**
 * Shows what an action would do and asks whether to; `--yes` does not ask.
 * @throws Failure when the answer is no, or nobody is there to ask
 */
export async function confirmMove(api: Api, settings: Settings, path: string, body: unknown): Promise<void> {
  const preview = await api.post(path, body, { dry_run: 'true' });
  const say = settings.json ? console.error : console.log;
  for (const line of describePreview(preview)) say(line);
  if (settings.yes) return;
  if (!process.stdin.isTTY) throw new Failure('Nobody is there to ask: repeat it with --yes.', 2);
  const questions = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await questions.question('Do it? [y/N] ').finally(() => questions.close());
  if (!/^y(es)?$/i.test(answer.trim())) throw new Failure('Nothing was done.');
}

function describePreview({ payment_status: status, operations }: Answer): string[] {
  const lines = operations.flatMap((operation: Answer) => [
    `${operation.verb} of deal ${operation.deal_hash ?? '(nothing on chain)'}`,
    ...operation.movements.map(
      (move: Answer) => `  ${move.amount ?? move.amount_units} from ${move.from} to ${move.to}`,
    ),
    ...operation.fees.map((fee: Answer) => `  ${fee.amount ?? fee.amount_units} stays as a fee for ${fee.recipient}`),
    ...(operation.refusal ? [`  would be refused now: ${operation.refusal.message}`] : []),
  ]);
  return status ? [...lines, `The payment would go from ${status.before} to ${status.after}.`] : lines;
}
