// Owns the looks of what only payments on rails show; everything else is in ../content-styles.ts.
import { css } from 'lit';

export const styles = css`
  .transfer > div {
    display: grid;
    grid-template-columns: 1fr auto;
    column-gap: 0.75rem;
    padding-block: 0.375rem;
    border-block-end: 1px solid var(--line);
  }

  .transfer > div:last-child {
    border: 0;
  }

  .transfer dt {
    grid-column: 1 / -1;
  }

  .transfer dd {
    margin: 0;
    align-self: center;
    font-variant-numeric: tabular-nums;
    user-select: all;
  }

  .copy {
    min-block-size: 1.75rem;
    padding: 0.125rem 0.75rem;
    border: 1px solid var(--field);
    background: var(--page);
    color: var(--ink);
    font-size: 0.8125rem;
    user-select: none;
  }

  .said,
  .excess {
    font-size: 0.875rem;
  }

  .said {
    color: var(--soft);
  }
`;
