// Owns the box of the checkout and its two palettes: what is there before the first words. What stands in it: content-styles.ts.
import { css } from 'lit';

const light = css`
  --accent: var(--dealkeep-accent, #0b5d4e);
  --on-accent: var(--dealkeep-on-accent, #fff);
  --ink: var(--dealkeep-ink, #16211e);
  --soft: var(--dealkeep-soft, #51605b);
  --line: var(--dealkeep-line, #d9e0dd);
  --field: var(--dealkeep-field, #858f8b);
  --page: var(--dealkeep-page, #fff);
  --tint: var(--dealkeep-tint, #f4f7f6);
  --good: #0b6b3a;
  --good-tint: #e6f4ec;
  --warn: #8a4b00;
  --warn-tint: #fdf3e3;
  --bad: #a31621;
  --bad-tint: #fdecec;
  color-scheme: light;
`;
const dark = css`
  --accent: var(--dealkeep-accent, #5fd0b5);
  --on-accent: var(--dealkeep-on-accent, #06231d);
  --ink: var(--dealkeep-ink, #eef3f1);
  --soft: var(--dealkeep-soft, #aebcb7);
  --line: var(--dealkeep-line, #34413d);
  --field: var(--dealkeep-field, #7f8d88);
  --page: var(--dealkeep-page, #161d1b);
  --tint: var(--dealkeep-tint, #1e2725);
  --good: #6fdca0;
  --good-tint: #173226;
  --warn: #f3bd6b;
  --warn-tint: #362a16;
  --bad: #ff9a9a;
  --bad-tint: #3b1d1f;
  color-scheme: dark;
`;

export const styles = css`
  :host {
    ${light}
    display: block;
    container-type: inline-size;
    max-inline-size: var(--dealkeep-width, 27rem);
    color: var(--ink);
    font-family: var(--dealkeep-font, system-ui, -apple-system, 'Segoe UI', Roboto, 'Open Sans', sans-serif);
    font-size: 1rem;
    line-height: 1.45;
  }

  @media (prefers-color-scheme: dark) {
    :host(:not([theme='light'])) {
      ${dark}
    }
  }

  :host([theme='dark']) {
    ${dark}
  }

  :host([hidden]) {
    display: none;
  }

  * {
    box-sizing: border-box;
    margin: 0;
  }

  .card {
    display: flex;
    flex-direction: column;
    gap: 1.125rem;
    min-block-size: 14rem;
    padding: 1.375rem;
    background: var(--page);
    border: 1px solid var(--line);
    border-radius: var(--dealkeep-radius, 1rem);
    box-shadow: 0 1px 2px rgb(0 0 0 / 5%), 0 10px 30px -12px rgb(0 0 0 / 14%);
  }
`;
