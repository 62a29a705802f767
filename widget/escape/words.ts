// Owns the words of the page without servers: all languages are in its one file.
import afterAr from '../afterwards/languages/ar.json';
import afterDe from '../afterwards/languages/de.json';
import afterEn from '../afterwards/languages/en.json';
import afterEs from '../afterwards/languages/es.json';
import afterFr from '../afterwards/languages/fr.json';
import afterTr from '../afterwards/languages/tr.json';
import { type LanguageCode, languageOf } from '../languages.ts';
import { type Texts, Words } from '../words.ts';
import ar from './languages/ar.json';
import de from './languages/de.json';
import en from './languages/en.json';
import es from './languages/es.json';
import fr from './languages/fr.json';
import tr from './languages/tr.json';

/** The name of a text. */
export type EscapeKey = keyof typeof en | keyof typeof afterEn;

const languages: Record<LanguageCode, Texts<EscapeKey>> = {
  en: { ...afterEn, ...en },
  de: { ...afterDe, ...de },
  fr: { ...afterFr, ...fr },
  es: { ...afterEs, ...es },
  tr: { ...afterTr, ...tr },
  ar: { ...afterAr, ...ar },
};

/** The words in the browser's language. */
export function speak(): Words<EscapeKey> {
  const language = languageOf();
  return new Words(language, languages[language.code]);
}
