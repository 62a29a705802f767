// The element's reference: nothing that the element takes or shows is missing in its docblock, nothing stands there that is gone.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { changeFields, entriesOf, problemCodes, withReference } from '../../scripts/element-reference.ts';
import english from '../../widget/languages/en.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const element = read('widget/element.ts');
const named = (tag: string) => entriesOf(element).flatMap((entry) => (entry.tag === tag ? [entry.name] : []));
const unique = (found: RegExpMatchArray[]) => [...new Set(found.map(([, name = '']) => name))].sort();

describe('the reference of the element', () => {
  test('stands in widget/checkout.md as the sources have it', () => {
    const page = read('widget/checkout.md');
    expect(withReference(page) === page, 'run node scripts/element-reference.ts').toBe(true);
  });

  test('names each attribute and each property without one', () => {
    const block = /static override properties = \{([\s\S]*?)\n {2}\};/.exec(element)?.[1] ?? '';
    const rows = [...block.matchAll(/(\w+): \{(.*)\},/g)].map(([, name = '', options = '']) => ({
      name,
      attribute: options.includes('attribute: false') ? null : (/attribute: '([^']+)'/.exec(options)?.[1] ?? name),
    }));
    expect(named('attr').sort()).toEqual(rows.flatMap(({ attribute }) => attribute ?? []).sort());
    const bare = rows.flatMap(({ name, attribute }) => (attribute === null ? [name] : []));
    expect(named('prop')).toEqual(expect.arrayContaining(bare));
    for (const name of named('prop')) expect(rows.map((row) => row.name)).toContain(name);
  });

  test('names each part and each variable', () => {
    const files = globSync('widget/{*,rails/*,afterwards/*}.ts', { cwd: ROOT }).filter(
      (file) => !file.endsWith('modal.ts'),
    );
    const parts = unique(files.flatMap((file) => [...read(file).matchAll(/ part="(\w+)"/g)]));
    expect(named('csspart').sort()).toEqual(parts);
    const variables = unique(files.flatMap((file) => [...read(file).matchAll(/var\((--dealkeep-[\w-]+)/g)]));
    expect(named('cssprop').sort()).toEqual(variables);
  });

  test('names each field of a change, and what the dialog takes', () => {
    const body = /export type ChangeDetail = \{([\s\S]*?)\n\};/.exec(element)?.[1] ?? '';
    const fields = [...body.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name);
    expect(fields).toContain('problem');
    expect(changeFields(element).map(({ name }) => name)).toEqual(fields);
    const modal = read('widget/modal.ts');
    const listed = entriesOf(modal, 'DealkeepModal').map(({ name }) => name);
    const used = [...modal.matchAll(/ part="(\w+)"|declare (?!private)(\w+):|CustomEvent\('([\w-]+)'/g)];
    for (const [, ...names] of used) expect(listed).toEqual(expect.arrayContaining(names.filter(Boolean)));
  });

  test('has words for each problem code', () => {
    const codes = problemCodes(read('widget/snapshot.ts'));
    expect(codes).toContain('rejected');
    for (const code of codes) expect(english).toHaveProperty([`problem.${code}.text`]);
  });
});
