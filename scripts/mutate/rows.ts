/** How a row of the table is written: one guard taken out, what attack it stands against, and which tests must then fail. */

/** One guard taken out. */
export interface Mutation {
  /** What is taken out; unique. */
  name: string;
  attack: string;
  /** Below contracts/. */
  file: string;
  text: string;
  replacement: string;
  /** Which of equal texts, from 0; the text must be unique when left out. */
  occurrence?: number;
  /** Test files below test/contracts without `.t.sol`. */
  tests: string[];
  /** Why nothing can notice: the mutation is expected to survive. */
  equivalent?: string;
}

type Row = [
  name: string,
  text: string,
  replacement: string,
  tests: string,
  occurrence?: number | undefined,
  equivalent?: string,
];

/** Rows of one file against one attack. Line breaks and indentation of the texts count, `tests` are parted by spaces. */
export function rows(attack: string, file: string, list: Row[]): Mutation[] {
  return list.map(([name, text, replacement, tests, occurrence, equivalent]) => ({
    name,
    attack,
    file,
    text,
    replacement,
    tests: tests.split(' '),
    ...(occurrence !== undefined && { occurrence }),
    ...(equivalent !== undefined && { equivalent }),
  }));
}

/** Where a row's text begins in its file. @throws Error when it is not there, or not once, so that the row says nothing */
export function placeOf(source: string, { text, occurrence }: Mutation): number {
  const found = source.split(text).length - 1;
  if (found === 0) throw new Error('the text is not there');
  if (occurrence === undefined && found > 1) throw new Error(`the text is there ${found} times`);
  let at = -1;
  for (let nth = 0; nth <= (occurrence ?? 0); nth++) at = source.indexOf(text, at + 1);
  if (at < 0) throw new Error(`the text is there only ${found} times`);
  return at;
}
