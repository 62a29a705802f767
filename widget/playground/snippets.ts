// Owns what the playground prints to be copied: the CSS and the HTML of what was chosen, and nothing of what was not.

/** What is set in the playground. */
export type Choice = {
  /** The name of a scene. */
  scene: string;
  theme: '' | 'light' | 'dark';
  /** Empty: the page's. */
  lang: string;
  dir: 'ltr' | 'rtl';
  form: 'inline' | 'button' | 'modal';
  /** What there is for the element. */
  widthPx: number;
  /** By name, those that were changed. */
  variables: ReadonlyMap<string, string>;
};

/** The variables as a rule. */
export function cssFor({ variables }: Choice): string {
  if (variables.size === 0) return '/* Nothing was changed. */';
  // Whatever else was typed, it ends no rule.
  const lines = [...variables].map(([name, value]) => `  ${name}: ${value.replace(/[;{}]/g, '')};`);
  return `dealkeep-checkout,\ndealkeep-modal {\n${lines.join('\n')}\n}`;
}

/** The element in a page: as a tag, or by `mount` where it has a button or a dialog. */
export function markupFor({ theme, lang, form }: Choice, api: string): string {
  if (form !== 'inline') {
    const options = Object.entries({ form, theme, lang }).flatMap(([name, value]) =>
      value === '' ? [] : [`${name}: '${value}'`],
    );
    return [
      '<div id="pay"></div>',
      '<script type="module">',
      `  import { mount } from '${api}/widget/v1/mount.js';`,
      `  mount('#pay', { api: '${api}', paymentId, accessToken, ${options.join(', ')} });`,
      '</script>',
    ].join('\n');
  }
  const attributes = Object.entries({ theme, lang }).map(([name, value]) =>
    value === '' ? '' : ` ${name}="${value}"`,
  );
  return [
    `<script type="module" src="${api}/widget/v1/dealkeep.js"></script>`,
    `<dealkeep-checkout api="${api}" payment-id="{PAYMENT_ID}"${attributes.join('')}></dealkeep-checkout>`,
  ].join('\n');
}
