// Owns the looks of what stands in the checkout's box: one column, nothing that moves for those who asked for stillness. One
// sheet, because one shadow tree takes it whole; it comes with the markup.
import { css } from 'lit';

export const contentStyles = css`
  header {
    display: grid;
    grid-template-columns: minmax(0, 1fr) auto;
    gap: 0.25rem 1rem;
    align-items: start;
  }

  .amount {
    font-size: 1.625rem;
    font-weight: 650;
    letter-spacing: -0.015em;
    line-height: 1.2;
    font-variant-numeric: tabular-nums;
  }

  .label {
    display: block;
    font-size: 0.8125rem;
    font-weight: 500;
    letter-spacing: 0;
    color: var(--soft);
  }

  .meta,
  .line,
  footer {
    font-size: 0.8125rem;
    color: var(--soft);
  }

  .meta {
    grid-column: 1 / -1;
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    gap: 0 1rem;
    overflow-wrap: anywhere;
  }

  .chip {
    padding: 0.125rem 0.625rem;
    border: 1px solid var(--line);
    border-radius: 1rem;
    font-size: 0.8125rem;
  }

  .progress {
    display: grid;
    grid-template-columns: repeat(4, minmax(0, 1fr));
    gap: 0.375rem;
    padding: 0;
    list-style: none;
    font-size: 0.75rem;
    color: var(--soft);
  }

  .progress li {
    padding-block-start: 0.375rem;
    border-block-start: 3px solid var(--line);
  }

  .progress li[data-is='done'] {
    border-color: var(--accent);
  }

  .progress li[data-is='current'] {
    border-color: var(--accent);
    color: var(--ink);
    font-weight: 650;
  }

  .panel {
    display: grid;
    gap: 1rem;
  }

  .message {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr);
    gap: 0.875rem;
  }

  h2 {
    font-size: 1.0625rem;
    font-weight: 650;
    line-height: 1.3;
    text-wrap: balance;
  }

  h2:focus {
    outline: none;
  }

  .message p {
    margin-block-start: 0.25rem;
    color: var(--soft);
    font-size: 0.9375rem;
    overflow-wrap: anywhere;
  }

  .icon,
  .spinner {
    inline-size: 2.25rem;
    block-size: 2.25rem;
    border-radius: 50%;
  }

  .icon {
    display: grid;
    place-items: center;
    color: var(--accent);
    background: var(--tint);
  }

  .spinner {
    border: 3px solid var(--line);
    border-block-start-color: var(--accent);
    animation: turn 1s linear infinite;
  }

  @keyframes turn {
    to {
      transform: rotate(1turn);
    }
  }

  @media (prefers-reduced-motion: reduce) {
    .spinner {
      animation: none;
      border-style: dotted;
    }
  }

  [data-tone='ended'] .icon {
    color: var(--soft);
  }

  [data-tone='good'] .icon {
    color: var(--good);
    background: var(--good-tint);
  }

  [data-tone='warn'] .icon {
    color: var(--warn);
    background: var(--warn-tint);
  }

  [data-tone='bad'] .icon {
    color: var(--bad);
    background: var(--bad-tint);
  }

  svg {
    inline-size: 1.25rem;
    block-size: 1.25rem;
    flex: none;
    fill: none;
    stroke: currentColor;
    stroke-width: 2;
    stroke-linecap: round;
    stroke-linejoin: round;
  }

  .wallets {
    display: grid;
    gap: 0.5rem;
    padding: 0;
    list-style: none;
  }

  button,
  a[part='button'] {
    font: inherit;
    min-block-size: 2.75rem;
    border-radius: 0.625rem;
    cursor: pointer;
  }

  button:focus-visible,
  a:focus-visible,
  summary:focus-visible {
    outline: 3px solid var(--accent);
    outline-offset: 2px;
  }

  .wallet {
    display: flex;
    align-items: center;
    gap: 0.75rem;
    inline-size: 100%;
    padding: 0.625rem 0.875rem;
    border: 1px solid var(--field);
    background: var(--page);
    color: var(--ink);
    font-weight: 550;
    text-align: start;
  }

  .wallet span:not(.blank) {
    flex: 1;
  }

  .wallet img,
  .blank {
    inline-size: 1.75rem;
    block-size: 1.75rem;
    border-radius: 0.375rem;
  }

  .blank {
    background: var(--line);
    border: 1px solid transparent;
  }

  .wallet:hover,
  .secondary:hover {
    background: var(--tint);
  }

  .arrow {
    color: var(--soft);
  }

  [dir='rtl'] .arrow {
    transform: scaleX(-1);
  }

  .actions {
    display: grid;
    gap: 0.5rem;
  }

  .primary {
    display: grid;
    place-items: center;
    padding: 0.625rem 1rem;
    border: 1px solid transparent;
    background: var(--accent);
    color: var(--on-accent);
    font-weight: 650;
    text-decoration: none;
  }

  .primary:hover {
    filter: brightness(1.1);
  }

  .secondary {
    display: grid;
    place-items: center;
    text-decoration: none;
    padding: 0.5rem 1rem;
    border: 1px solid var(--field);
    background: transparent;
    color: var(--ink);
  }

  .link {
    min-block-size: 1.5rem;
    padding: 0;
    border: 0;
    background: none;
    color: var(--ink);
    text-decoration: underline;
  }

  details,
  .box {
    padding: 0.625rem 0.875rem;
    border-radius: 0.625rem;
    background: var(--tint);
    font-size: 0.875rem;
  }

  summary {
    min-block-size: 1.5rem;
    border-radius: 0.25rem;
    cursor: pointer;
    font-weight: 550;
  }

  details > :nth-child(2) {
    margin-block-start: 0.625rem;
  }

  .box,
  .receipt[open] {
    display: grid;
    gap: 0.75rem;
  }

  .sum > div {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    gap: 0 1rem;
    font-variant-numeric: tabular-nums;
  }

  .receipt .secondary {
    inline-size: 100%;
    margin-block-start: 0.75rem;
  }

  .receipt p {
    margin-block-start: 0.75rem;
    color: var(--soft);
  }

  [part='countdown'] {
    color: var(--ink);
    font-variant-numeric: tabular-nums;
  }

  .phone {
    display: grid;
    gap: 0.75rem;
    justify-items: center;
  }

  .phone a {
    display: inline-block;
    min-block-size: 1.5rem;
    color: inherit;
    line-height: 1.5rem;
  }

  .phone .qr {
    inline-size: min(14rem, 100%);
    block-size: auto;
    aspect-ratio: 1;
    stroke: none;
    border-radius: 0.5rem;
    background: #fff;
    fill: #000;
    shape-rendering: crispEdges;
  }

  .hidden {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }

  .ways {
    display: grid;
    gap: 0.25rem;
    margin: 0.75rem 0 0;
    padding: 0;
    border: 0;
  }

  .ways label {
    display: flex;
    gap: 0.75rem;
    align-items: start;
    padding: 0.5rem 0;
    cursor: pointer;
  }

  .ways input {
    flex: none;
    inline-size: 1.25rem;
    block-size: 1.25rem;
    margin: 0.1rem 0 0;
    accent-color: var(--accent);
  }

  .ways strong {
    display: block;
    font-weight: 600;
  }

  .ways span span {
    color: var(--soft);
    font-size: 0.875rem;
  }

  dl {
    display: grid;
    gap: 0.375rem;
  }

  dt {
    color: var(--soft);
    font-size: 0.8125rem;
  }

  dd {
    overflow-wrap: anywhere;
  }

  .line {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: space-between;
    gap: 0.25rem 1rem;
  }

  .line a,
  dd a,
  .receipt p a {
    display: inline-block;
    min-block-size: 1.5rem;
    color: inherit;
  }

  .line a {
    line-height: 1.5rem;
  }

  code {
    direction: ltr;
    unicode-bidi: isolate;
    overflow-wrap: anywhere;
    font-family: ui-monospace, 'SF Mono', Menlo, Consolas, monospace;
    color: var(--ink);
  }

  .stale {
    padding: 0.625rem 0.875rem;
    border-radius: 0.625rem;
    background: var(--warn-tint);
    color: var(--warn);
    font-size: 0.875rem;
  }

  /* Small phones, and text that was made large. */
  @container (max-width: 20rem) {
    .card {
      padding: 1rem;
    }

    .progress li:not([data-is='current']) span {
      position: absolute;
      inline-size: 1px;
      block-size: 1px;
      overflow: hidden;
      clip-path: inset(50%);
    }

    /* The last label is wider than its quarter: it grows to where there is room. */
    .progress li:last-child {
      display: grid;
      grid-template-columns: minmax(0, 1fr);
      justify-items: end;
    }

    header {
      grid-template-columns: minmax(0, 1fr);
      justify-items: start;
    }
  }

  @container (max-width: 12rem) {
    .message {
      grid-template-columns: minmax(0, 1fr);
    }
  }

  footer {
    display: flex;
    align-items: center;
    gap: 0.5rem;
    margin-block-start: auto;
    text-wrap: balance;
    padding-block-start: 1rem;
    border-block-start: 1px solid var(--line);
  }

  /* Colours of the reader's own: what only a colour said is said by a border, and a code stays black on white. */
  @media (forced-colors: active) {
    .progress li {
      border-color: GrayText;
    }

    .progress li[data-is='done'],
    .progress li[data-is='current'],
    .spinner {
      border-color: Highlight;
    }

    .spinner {
      border-block-start-color: Canvas;
    }

    .icon,
    details,
    .box,
    .stale {
      border: 1px solid CanvasText;
    }

    .primary {
      border-color: ButtonText;
      border-width: 2px;
    }

    .phone .qr {
      forced-color-adjust: none;
    }
  }

  @media print {
    .card {
      border: 0;
      box-shadow: none;
    }

    .actions,
    .progress,
    [data-action] {
      display: none;
    }

    details::details-content {
      content-visibility: visible;
      block-size: auto;
    }
  }
`;
