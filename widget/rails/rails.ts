// What a checkout loads for a payment by card or bank transfer, in one file of its own.
import type { TemplateResult } from 'lit';
import type { Language } from '../languages.ts';
import { type ViewOptions, view } from '../view.ts';
import { loadRailWords } from './languages.ts';
import { paymentIn } from './provider.ts';
import { styles } from './styles.ts';
import { railView } from './view.ts';

export { eventOf } from './provider.ts';

/** A view of payments on rails that speaks one language, with its looks added to where it will stand. */
export async function speak(
  language: Language,
  { adoptedStyleSheets: sheets }: ShadowRoot,
): Promise<(options: ViewOptions) => TemplateResult> {
  const texts = await loadRailWords(language);
  if (styles.styleSheet && !sheets.includes(styles.styleSheet)) sheets.push(styles.styleSheet);
  return (options) => {
    const payment = paymentIn(options.snapshot);
    return options.snapshot && payment ? railView(options, options.snapshot, payment, texts) : view(options);
  };
}
