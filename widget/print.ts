// Owns printing a receipt alone: in a document of its own, beside the page that it stands in. Loaded when somebody prints.

const SHEET = `
  :root { color-scheme: light; font: 11pt/1.5 system-ui, sans-serif; color: #000; background: #fff; }
  body { margin: 2cm; }
  h1 { font-size: 16pt; }
  dl { display: grid; gap: 0.5rem; }
  dt { font-size: 9pt; color: #444; }
  dd { margin: 0; overflow-wrap: anywhere; }
  code { font-family: ui-monospace, monospace; font-size: 9.5pt; }
  a { color: inherit; text-decoration: none; }
  .hidden, button { display: none; }
  @page { margin: 1cm; }
`;

/** Prints a folded receipt's content under its title. */
export function printReceipt(details: Element): void {
  const { lang, dir } = details.closest<HTMLElement>('[lang]') ?? document.documentElement;
  const frame = document.createElement('iframe');
  frame.setAttribute('aria-hidden', 'true');
  frame.tabIndex = -1;
  Object.assign(frame.style, { position: 'fixed', inlineSize: '0', blockSize: '0', border: '0' });
  document.body.append(frame);
  const { contentDocument: page, contentWindow: view } = frame;
  if (!page || !view) return;
  // By constructor: a page's content policy may allow no inline styles.
  const sheet = new (view as Window & typeof globalThis).CSSStyleSheet();
  sheet.replaceSync(SHEET);
  page.adoptedStyleSheets = [sheet];
  Object.assign(page.documentElement, { lang, dir });
  const [summary, ...content] = details.children;
  const title = summary?.textContent?.trim() ?? '';
  page.title = title;
  const heading = Object.assign(page.createElement('h1'), { textContent: title });
  page.body.replaceChildren(heading, ...content.map((node) => page.importNode(node, true)));
  view.addEventListener('afterprint', () => frame.remove());
  view.print();
}
