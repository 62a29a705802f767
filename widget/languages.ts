/**
 * Owns which language a checkout speaks, and brings its file: one of `languages/*.json`, and only the one in use. Adding a text:
 * the same key in all six files (test/widget/languages.test.ts names what lacks), then `words.say('the.key', { placeholder })`.
 */
import type { Texts, Words } from './words.ts';

const files: Record<LanguageCode, () => Promise<{ default: Texts }>> = {
  en: () => import('./languages/en.json'),
  de: () => import('./languages/de.json'),
  fr: () => import('./languages/fr.json'),
  es: () => import('./languages/es.json'),
  tr: () => import('./languages/tr.json'),
  ar: () => import('./languages/ar.json'),
};

/** The languages that there are texts in. */
export const languageCodes = ['en', 'de', 'fr', 'es', 'tr', 'ar'] as const;

/** One of them. */
export type LanguageCode = (typeof languageCodes)[number];

/** A language as somebody wants it: `tag` is theirs with its region (`de-CH`), for numbers and dates. */
export type Language = { code: LanguageCode; tag: string };

/** Where nothing else is wanted, or its file does not come. */
const english: Language = { code: 'en', tag: 'en' };

/** The first of these wishes (BCP 47) that there are texts in: the page's option, the page's own language, then the browser's. */
export function languageOf(...wishes: (string | null | undefined)[]): Language {
  for (const wish of [...wishes, ...navigator.languages]) {
    const tag = wish?.trim().replaceAll('_', '-') ?? '';
    const code = tag.split('-', 1)[0]?.toLowerCase() ?? '';
    const known = languageCodes.find((one) => one === code);
    if (known) return { code: known, tag };
  }
  return english;
}

/** The words of a language; of English where its file does not come, and null where not even that does. */
export async function loadWords(language: Language): Promise<Words | null> {
  const [module, texts] = await Promise.all([import('./words.ts').catch(() => null), loadTexts(language)]);
  if (!module) return null;
  if (texts) return new module.Words(language, texts);
  const others = language.code === english.code ? null : await loadTexts(english);
  return others && new module.Words(english, others);
}

async function loadTexts({ code }: Language): Promise<Texts | null> {
  return await files[code]().then(
    (file) => file.default,
    () => null,
  );
}
