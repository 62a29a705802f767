// Owns the words of what comes after a payment: one of `languages/*.json`, with the same keys in each, loaded with the panel.
import type { Language } from '../languages.ts';
import { type Texts, Words } from '../words.ts';
import type english from './languages/en.json';

/** The name of a text. */
export type AfterKey = keyof typeof english;

const files = {
  en: () => import('./languages/en.json'),
  de: () => import('./languages/de.json'),
  fr: () => import('./languages/fr.json'),
  es: () => import('./languages/es.json'),
  tr: () => import('./languages/tr.json'),
  ar: () => import('./languages/ar.json'),
};

/** The words of a language, or of English where its file does not come. @throws where not even that does */
export async function loadAfterWords(language: Language): Promise<Words<AfterKey>> {
  try {
    return new Words<AfterKey>(language, (await files[language.code]()).default satisfies Texts<AfterKey>);
  } catch {
    return new Words<AfterKey>({ code: 'en', tag: 'en' }, (await files.en()).default);
  }
}
