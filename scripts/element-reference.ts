/**
 * Writes the reference of `<dealkeep-checkout>` into widget/checkout.md: from the docblocks of widget/element.ts and widget/modal.ts, the defaults in
 * widget/styles.ts, the problem codes of widget/snapshot.ts and their English words. With `--check` it writes nothing and exits 1
 * when the page is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import english from '../widget/languages/en.json' with { type: 'json' };

const START = '<!-- element: node scripts/element-reference.ts -->';
const END = '<!-- /element -->';
const target = new URL('../widget/checkout.md', import.meta.url);
const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

/** A tag of a docblock that names something, and what it says of it. */
type Entry = { tag: string; name: string; text: string };

/** What an element's docblock lists, in its order. @throws Error when there is no such docblock */
export function entriesOf(source: string, className = 'DealkeepCheckout'): Entry[] {
  const end = source.indexOf(`*/\nexport class ${className} `);
  if (end < 0) throw new Error(`There is no docblock of ${className}.`);
  const block = source.slice(source.lastIndexOf('/**', end), end).replace(/^ \* ?/gm, '');
  return [...block.matchAll(/^@(\w+) (\S+) - ([^@]*(?:\n(?!@)[^@]*)*)/gm)].map(
    ([, tag = '', name = '', text = '']) => ({
      tag,
      name,
      text: text.trim().replace(/\s+/g, ' '),
    }),
  );
}

/** The fields of ChangeDetail, each with what its comment says. @throws Error when the type is not there */
export function changeFields(source: string): { name: string; text: string }[] {
  const body = /export type ChangeDetail = \{([\s\S]*?)\n\};/.exec(source)?.[1];
  if (!body) throw new Error('widget/element.ts lacks the type ChangeDetail.');
  return [...body.matchAll(/\/\*\* (.+?) \*\/\n\s+(\w+):/g)].map(([, text = '', name = '']) => ({ name, text }));
}

/** The codes of ProblemCode, in its order. @throws Error when the type is not there */
export function problemCodes(source: string): string[] {
  const union = /export type ProblemCode =([^;]+);/.exec(source)?.[1];
  if (!union) throw new Error('widget/snapshot.ts lacks the type ProblemCode.');
  return [...union.matchAll(/'(\w+)'/g)].map(([, code = '']) => code);
}

/** The element's CSS variables; the defaults of one are the same in both themes, or the light one before the dark. */
export function elementVariables(): (Entry & { defaults: string[] })[] {
  const styles = read('widget/styles.ts');
  const defaultsOf = (name: string) => {
    const [, ...uses] = styles.split(`var(${name}, `);
    return [...new Set(uses.map((use) => use.slice(0, use.search(/\);/))))];
  };
  return entriesOf(read('widget/element.ts')).flatMap((entry) =>
    entry.tag === 'cssprop' ? [{ ...entry, defaults: defaultsOf(entry.name) }] : [],
  );
}

const kinds: Readonly<Record<string, string>> = {
  attr: 'attribute',
  prop: 'property',
  fires: 'event',
  csspart: 'part',
  cssprop: 'CSS variable',
};

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), `|${'---|'.repeat(heads.length)}`, ...rows.map(line)].join('\n');
}

/** The reference as Markdown. */
export function reference(): string {
  const entries = entriesOf(read('widget/element.ts'));
  const variables = elementVariables().map(({ name, text, defaults }) => {
    return [`\`${name}\``, defaults.map((value) => `\`${value}\``).join(' / '), text];
  });
  const modal = entriesOf(read('widget/modal.ts'), 'DealkeepModal').map(({ tag, name, text }) => {
    return [`\`${name}\``, kinds[tag] ?? tag, text];
  });
  const change = changeFields(read('widget/element.ts')).map(({ name, text }) => [`\`${name}\``, text]);
  const listed = (title: string, tag: string) => {
    const rows = entries.filter((entry) => entry.tag === tag).map(({ name, text }) => [`\`${name}\``, text]);
    return `## ${title}\n\n${table(['name', 'what it is'], rows)}`;
  };
  const words: Readonly<Record<string, unknown>> = english;
  const problems = problemCodes(read('widget/snapshot.ts')).map((code) => {
    const said = [words[`problem.${code}.title`], words[`problem.${code}.text`]].filter(Boolean);
    return [`\`${code}\``, said.map((text) => String(text).replace(/(?<=\w|\})$/, '.')).join(' ')];
  });
  return [
    listed('Attributes', 'attr'),
    listed('Properties', 'prop'),
    `${listed('Events', 'fires')}\n\nThe \`detail\` of \`dealkeep-change\`:\n\n${table(['field', 'what it is'], change)}`,
    listed('Parts', 'csspart'),
    `## CSS variables\n\n${table(['name', 'default (light / dark)', 'what it is'], variables)}`,
    `## The dialog\n\n\`mount\` with \`form: 'button'\` or \`'modal'\` puts the checkout into a \`<dealkeep-modal>\`.\n\n${table(['name', 'kind', 'what it is'], modal)}`,
    `## Problem codes\n\nThe \`problem\` of a \`dealkeep-change\` whose \`state\` is \`stopped\`, and what the buyer reads in English.\n\n${table(['code', 'what the buyer reads'], problems)}`,
  ].join('\n\n');
}

/** The page with the reference in its place. @throws Error when the place is gone */
export function withReference(page: string): string {
  const [start, end] = [page.indexOf(START), page.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`widget/checkout.md lacks ${START} … ${END}.`);
  return `${page.slice(0, start + START.length)}\n\n${reference()}\n\n${page.slice(end)}`;
}

if (import.meta.main) {
  const present = readFileSync(target, 'utf8');
  const wanted = withReference(present);
  if (!process.argv.includes('--check')) writeFileSync(target, wanted);
  else if (present !== wanted) {
    console.error('widget/checkout.md is stale: run `node scripts/element-reference.ts` and commit the result.');
    process.exit(1);
  }
}
