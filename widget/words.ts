/**
 * Owns how a checkout speaks: a text of the language in use with its placeholders filled, and amounts and times as that language
 * writes them. The texts are data (`languages/*.json`); which of them a state takes is in screens.ts.
 */
import { formatUnits } from 'viem';
import type english from './languages/en.json';
import type { Language } from './languages.ts';

/** A language file: each key of the English one; a text that depends on a `{count}` has one form a plural category. */
export type Texts<Key extends string = TextKey> = Record<Key, string | PluralForms>;

type PluralForms = Partial<Record<Intl.LDMLPluralRule, string>>;

/** The name of a text. */
export type TextKey = keyof typeof english;

/** What stands for the `{placeholders}` of a text. */
export type Values = Readonly<Record<string, string | number>>;

const rightToLeft: ReadonlySet<string> = new Set(['ar']);

/** One language, spoken. */
export class Words<Key extends string = TextKey> {
  /** BCP 47. */
  readonly tag: string;
  readonly direction: 'ltr' | 'rtl';
  readonly #texts: Texts<Key>;

  constructor({ code, tag }: Language, texts: Texts<Key>) {
    this.#texts = texts;
    this.direction = rightToLeft.has(code) ? 'rtl' : 'ltr';
    this.tag = localeOf(tag) ?? code;
  }

  /** The text with its placeholders filled; `count` chooses among its plural forms. */
  say(key: Key, values: Values = {}): string {
    const text: string | PluralForms = this.#texts[key];
    const form = typeof text === 'string' ? text : this.#form(text, Number(values.count));
    return form.replace(/\{(\w+)\}/g, (placeholder, name: string) => {
      const value = values[name];
      if (value === undefined) return placeholder;
      return this.#isolated(typeof value === 'number' ? this.number(value) : value);
    });
  }

  /** A number as the language writes it. */
  number(value: number, options?: Intl.NumberFormatOptions): string {
    return new Intl.NumberFormat(this.tag, options).format(value);
  }

  /** Base units as a decimal number, to the last digit, and like a price: with two decimals at least. */
  decimal(units: bigint, decimals: number): string {
    const [whole = '0', fraction = ''] = formatUnits(units, decimals).split('.');
    const parts = new Intl.NumberFormat(this.tag).formatToParts(1.5);
    const point = parts.find(({ type }) => type === 'decimal')?.value ?? '.';
    // A price goes through no float: the language writes the whole part, the decimals are the digits as they are.
    return `${new Intl.NumberFormat(this.tag).format(BigInt(whole))}${point}${fraction.padEnd(2, '0')}`;
  }

  /** An amount with its currency, `25.50 USDC` in every language: in a text from right to left it stays in one piece. */
  price(units: bigint, decimals: number, currency: string): string {
    return this.#isolated(`${this.decimal(units, decimals)} ${currency}`);
  }

  /** A decimal of a currency (ISO 4217), as the language writes it. */
  fiat(amount: string, currency: string): string {
    return new Intl.NumberFormat(this.tag, { style: 'currency', currency }).format(amount as `${number}`);
  }

  /** A point in time in the buyer's own zone. */
  moment(time: Date): string {
    return time.toLocaleString(this.tag, { dateStyle: 'medium', timeStyle: 'short' });
  }

  /** With a capital letter first. */
  capital(text: string): string {
    return text.charAt(0).toLocaleUpperCase(this.tag) + text.slice(1);
  }

  /** A name or an amount in Latin letters must not turn the words around it. */
  #isolated(text: string): string {
    return this.direction === 'rtl' ? `\u2068${text}\u2069` : text;
  }

  #form(forms: PluralForms, count: number): string {
    return forms[new Intl.PluralRules(this.tag).select(count)] ?? forms.other ?? '';
  }
}

/** The tag with the digits that every wallet shows, because a buyer has to compare them; null for what is no tag. */
function localeOf(tag: string): string | null {
  try {
    return new Intl.Locale(tag, { numberingSystem: 'latn' }).toString();
  } catch {
    return null;
  }
}

/** `0x1234…abcd`. */
export function shortHex(hex: string): string {
  return `${hex.slice(0, 6)}…${hex.slice(-4)}`;
}
