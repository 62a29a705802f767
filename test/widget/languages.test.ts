// Six languages, each whole: no language lacks a text, a placeholder or a plural form, and amounts and times are written its way.
import { readdir, readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { languageCodes, languageOf, loadWords } from '../../widget/languages.ts';

type Text = string | Record<string, string>;
type Texts = Record<string, Text>;
const folders = ['languages', 'afterwards/languages', 'escape/languages'];
const files: { name: string; code: string; texts: Texts; english: Texts }[] = [];
for (const folder of folders) {
  const read = async (file: string): Promise<Texts> =>
    JSON.parse(await readFile(new URL(`../../widget/${folder}/${file}`, import.meta.url), 'utf8'));
  const english = await read('en.json');
  for (const file of (await readdir(new URL(`../../widget/${folder}`, import.meta.url))).sort()) {
    files.push({ name: `${folder}/${file}`, code: file.replace('.json', ''), texts: await read(file), english });
  }
}

test('each part of the widget speaks the six languages', () => {
  for (const folder of folders) {
    const codes = files.filter(({ name }) => name.startsWith(`${folder}/`)).map(({ code }) => code);
    expect(codes, folder).toEqual([...languageCodes].sort());
  }
});

const forms = (text: Text | undefined): string[] => (typeof text === 'object' ? Object.values(text) : [text ?? '']);
const placeholders = (text: string) => [...new Set([...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))].sort();

describe.each(files)('$name', ({ code, texts, english }) => {
  test('has every text of the English file, and no other', () => {
    expect(Object.keys(english).filter((key) => !(key in texts))).toEqual([]);
    expect(Object.keys(texts).filter((key) => !(key in english))).toEqual([]);
  });

  test('has them in the order of the English file, so that two files can be read side by side', () => {
    expect(Object.keys(texts)).toEqual(Object.keys(english));
  });

  test('says something in each', () => {
    expect(Object.keys(texts).filter((key) => forms(texts[key]).some((form) => form.trim() === ''))).toEqual([]);
  });

  test('has the placeholders of the English text', () => {
    for (const [key, text] of Object.entries(english)) {
      const expected = placeholders(forms(text).join());
      for (const form of forms(texts[key])) {
        // "One minute" needs no number.
        const wanted = typeof text === 'object' ? expected.filter((name) => name !== 'count') : expected;
        const found = placeholders(form).filter((name) => typeof text === 'string' || name !== 'count');
        expect(found, `${key}: ${form}`).toEqual(wanted);
      }
      expect(placeholders(forms(texts[key]).join()), key).toEqual(expected);
    }
  });

  test('has each plural form that its numbers take', () => {
    const categories = [...new Intl.PluralRules(code).resolvedOptions().pluralCategories].sort();
    for (const [key, text] of Object.entries(english)) {
      expect(typeof texts[key], key).toBe(typeof text);
      const found = texts[key];
      if (typeof found === 'object') expect(Object.keys(found).sort(), key).toEqual(categories);
    }
  });

  test('is translated, and not a copy', () => {
    if (code === 'en') return;
    const same = Object.keys(english).filter(
      (key) => key !== 'step' && JSON.stringify(texts[key]) === JSON.stringify(english[key]),
    );
    // Words that these languages share.
    expect(
      same.filter(
        (key) =>
          !['stage.wallet', 'stage.confirmation', 'label.transaction', 'mismatch.token', 'agreement.token'].includes(
            key,
          ),
      ),
    ).toEqual([]);
  });
});

describe('what is said', () => {
  const words = async (tag: string) => {
    const spoken = await loadWords(languageOf(tag));
    if (!spoken) throw new Error(`No words in ${tag}`);
    return spoken;
  };

  test('amounts as the language writes them, to the last digit, in the digits that wallets show', async () => {
    const amounts = {
      en: '123,456,789,012,345.000000000000000001',
      de: '123.456.789.012.345,000000000000000001',
      fr: '123\u202f456\u202f789\u202f012\u202f345,000000000000000001',
      es: '123.456.789.012.345,000000000000000001',
      tr: '123.456.789.012.345,000000000000000001',
    };
    for (const [tag, expected] of Object.entries(amounts)) {
      expect((await words(tag)).decimal(123_456_789_012_345_000_000_000_000_000_001n, 18), tag).toBe(expected);
    }
    // Which apostrophe groups digits in Switzerland depends on the version of ICU.
    expect((await words('de-CH')).decimal(1_234_500_000n, 6)).toMatch(/^1.234\.50$/);
    for (const tag of ['ar', 'ar-EG']) expect((await words(tag)).decimal(25_500_000n, 6)).toMatch(/^25[.,]50$/);
  });

  test('a number of things in its plural form', async () => {
    const say = async (tag: string, count: number) =>
      (await words(tag)).say('confirming.text', { count, chain: 'Base' }).replace(/[\u2068\u2069]/g, '');
    expect(await say('en', 1)).toContain('one confirmation');
    expect(await say('en', 12)).toContain('12 confirmations');
    expect(await say('ar', 2)).toContain('تأكيدين');
    expect(await say('ar', 3)).toContain('3 تأكيدات');
    expect(await say('ar', 11)).toContain('11 تأكيدًا');
  });

  test('Latin names and amounts are held apart from the Arabic around them', async () => {
    const arabic = await words('ar');
    expect(arabic.direction).toBe('rtl');
    expect(arabic.say('action.pay', { price: '25.50 USDC' })).toContain('\u206825.50 USDC\u2069');
    expect((await words('en')).say('action.pay', { price: '25.50 USDC' })).toBe('Pay 25.50 USDC');
  });

  test('Turkish has its own capital i', async () => {
    expect((await words('tr')).capital('imza')).toBe('İmza');
  });

  test('a value with braces or markup is text', async () => {
    expect((await words('en')).say('refused.text', { field: '<b>{price}</b> $& $1' })).toContain(
      '<b>{price}</b> $& $1',
    );
  });
});

describe('which language', () => {
  afterEach(() => void vi.unstubAllGlobals());
  const browser = (...languages: string[]) => vi.stubGlobal('navigator', { languages });

  test('the wish of the page, then its own language, then the browser’s, then English', () => {
    browser('ja', 'tr-TR', 'de');
    expect(languageOf('fr', 'es')).toEqual({ code: 'fr', tag: 'fr' });
    expect(languageOf('', 'es-MX')).toEqual({ code: 'es', tag: 'es-MX' });
    expect(languageOf(null, 'it')).toEqual({ code: 'tr', tag: 'tr-TR' });
    expect(languageOf(undefined, null)).toEqual({ code: 'tr', tag: 'tr-TR' });
    browser('ja');
    expect(languageOf()).toEqual({ code: 'en', tag: 'en' });
  });

  test('what is no language, or names no file, is passed over', () => {
    browser();
    for (const wish of ['constructor', '__proto__', '../../secret', 'de_AT', ' DE-at ', 'x'.repeat(10_000)]) {
      expect(['en', 'de']).toContain(languageOf(wish).code);
    }
    expect(languageOf('de_AT').code).toBe('de');
  });

  test('a region that nobody knows is written as the language itself', async () => {
    browser();
    const spoken = await loadWords(languageOf('de-notaregion-at-all'));
    expect(spoken?.decimal(1_500_000n, 6)).toBe('1,50');
  });
});
