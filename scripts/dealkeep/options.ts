// Owns what several commands are given, and how their help ends.
import { type Command, InvalidArgumentError, Option } from 'commander';

/** Adds which page of a list, and how much of it. */
export function addPages(command: Command, perPage = 20): Command {
  return command
    .option('--page <n>', 'which page', counting, 1)
    .option('--per-page <n>', 'how many on a page', counting, perPage);
}

function counting(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It takes 1, 2, …');
}

/** Which node a list is of. */
export function nodeOption(): Option {
  return new Option('--node <id>', "the node; left out: the running stack's");
}

/** Reads a day (UTC) or a point in time; answers it as the API takes it. @throws InvalidArgumentError */
export function moment(text: string): string {
  const time = new Date(
    /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text) ? text : '',
  );
  if (!Number.isNaN(time.getTime())) return time.toISOString();
  throw new InvalidArgumentError('It takes a day, 2027-01-31, or a time with its zone, 2027-01-31T09:00:00Z.');
}

/** What a command's help ends with: lines that can be typed as they are, with one's own ids. */
export function examples(...lines: string[]): ['after', string] {
  const title = lines.length === 1 ? 'Example' : 'Examples';
  return ['after', `\n${title}:\n${lines.map((line) => `  npx dealkeep ${line}`).join('\n')}`];
}
