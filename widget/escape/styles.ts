// Owns what a whole page needs besides the looks of a card.
import { css } from 'lit';

export const pageStyles = css`
  :host {
    max-inline-size: 44rem;
    margin: 0 auto;
  }

  main,
  section,
  form,
  fieldset,
  .field,
  .finding {
    display: grid;
    gap: 1rem;
  }

  main {
    padding: 1.5rem 1rem 3rem;
  }

  .field {
    gap: 0.25rem;
  }

  fieldset {
    padding: 0;
    border: 0;
  }

  legend {
    padding: 0;
    margin-block-end: 0.5rem;
    font-weight: 650;
  }

  label {
    font-weight: 550;
  }

  h1 {
    font-size: 1.5rem;
    line-height: 1.25;
    text-wrap: balance;
  }

  h2 {
    overflow-wrap: anywhere;
  }

  h3 {
    font-size: 1.25rem;
    font-variant-numeric: tabular-nums;
    overflow-wrap: anywhere;
  }

  .card {
    min-block-size: 0;
  }

  .hint,
  .note {
    color: var(--soft);
    font-size: 0.875rem;
  }

  progress {
    inline-size: 100%;
    accent-color: var(--accent);
  }

  details > div,
  details > form {
    margin-block-start: 0.75rem;
  }
`;
