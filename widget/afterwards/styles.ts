// Owns the looks of a deal and of what is done with it, on top of the checkout's.
import { css } from 'lit';

export const afterStyles = css`
  .after,
  .after article {
    display: grid;
    gap: 0.75rem;
  }

  .after h3 {
    padding-block-start: 0.75rem;
    border-block-start: 1px solid var(--line);
    font-size: 1.0625rem;
    font-weight: 650;
  }

  .happened ol {
    display: grid;
    gap: 0.5rem;
    padding-inline-start: 1.25rem;
  }

  .happened a {
    display: inline-block;
    min-block-size: 1.5rem;
    color: inherit;
  }

  .happened code {
    white-space: nowrap;
  }

  .standing {
    font-weight: 550;
  }

  .deed {
    display: grid;
    gap: 0.875rem;
    padding: 0.875rem;
    border: 1px solid var(--field);
    border-radius: 0.625rem;
  }

  .deed h4 {
    font-size: 1rem;
    font-weight: 650;
  }

  .after [tabindex='-1']:focus,
  .deed h4:focus {
    outline: none;
  }

  .asked {
    display: grid;
    gap: 0.625rem;
  }

  .asked[data-proposal],
  .asked:has([data-said]):not(:has(form)) {
    padding-inline-start: 0.875rem;
    border-inline-start: 3px solid var(--field);
  }

  .asked p {
    overflow-wrap: anywhere;
  }

  .deed [role='status'] {
    display: grid;
    gap: 0.625rem;
  }

  .moves {
    font-variant-numeric: tabular-nums;
  }

  .moves div,
  .possible {
    display: grid;
    gap: 0 0.75rem;
  }

  .moves div {
    grid-template-columns: minmax(0, 1fr) auto;
  }

  .moves dd {
    font-weight: 600;
  }

  .possible {
    margin-block: 0.5rem;
  }

  .possible span {
    color: var(--soft);
  }

  .warning {
    padding: 0.625rem 0.875rem;
    border-radius: 0.625rem;
    background: var(--warn-tint);
    color: var(--warn);
    overflow-wrap: anywhere;
  }

  @media (forced-colors: active) {
    .warning {
      border: 1px solid CanvasText;
    }
  }

  .amount-form {
    display: grid;
    gap: 0.5rem;
  }

  input:not([type='radio'], [type='file']),
  textarea {
    inline-size: 100%;
    min-block-size: 2.75rem;
    padding: 0.5rem 0.75rem;
    border: 1px solid var(--field);
    border-radius: 0.625rem;
    background: var(--page);
    color: var(--ink);
    font: inherit;
  }

  textarea {
    font-family: ui-monospace, 'SF Mono', Menlo, Consolas, monospace;
    font-size: 0.8125rem;
  }

  textarea.prose {
    font: inherit;
  }

  input:focus-visible,
  textarea:focus-visible {
    outline: 3px solid var(--accent);
    outline-offset: 2px;
  }

  .deed code {
    overflow-wrap: anywhere;
  }
`;
