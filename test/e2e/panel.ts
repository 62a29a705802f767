/** What comes after a payment as a test drives it: the panel below the checkout, or on a seller's page. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { Hono } from 'hono';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Json } from '../api/marketplace.ts';
import { listen } from './checkout.ts';
import type { ScriptedWallet } from './scripted-wallet.ts';

const WAIT_MS = 20_000;

/** The panel of a page. */
export class Panel {
  readonly page: Page;
  readonly root: Locator;

  constructor(page: Page) {
    this.page = page;
    this.root = page.locator('dealkeep-deal');
  }

  get deed(): Locator {
    return this.root.locator('.deed');
  }

  /** Waits until the deal was read from the chain. */
  async ready(): Promise<this> {
    await this.root.locator('[data-deal]').waitFor({ timeout: WAIT_MS });
    return this;
  }

  async text(): Promise<string> {
    return (await this.root.locator('section.after').textContent({ timeout: WAIT_MS }))?.replace(/\s+/g, ' ') ?? '';
  }

  async says(text: string | RegExp): Promise<void> {
    await expect.poll(() => this.text(), { timeout: WAIT_MS }).toMatch(text);
  }

  /** Waits until what is done is at this stage, and answers its words. */
  async until(stage: string): Promise<string> {
    await expect
      .poll(() => this.deed.getAttribute('data-stage', { timeout: WAIT_MS }), { timeout: WAIT_MS })
      .toBe(stage);
    return (await this.deed.textContent())?.replace(/\s+/g, ' ') ?? '';
  }

  async press(selector: string): Promise<void> {
    await this.root.locator(selector).click({ timeout: WAIT_MS });
  }

  /** Begins a verb with an amount, where it takes one, and answers what it says before the wallet opens. */
  async begin(verb: string, amount?: string): Promise<string> {
    await this.press(`[data-verb=${verb}]`);
    if (amount !== undefined) {
      await this.root.locator('input[name=amount]').fill(amount);
      await this.press('[data-do=take]');
    }
    return await this.until('review');
  }

  /** Does it to the end, and answers what was said before. */
  async carryOut(verb: string, amount?: string): Promise<string> {
    const said = await this.begin(verb, amount);
    await this.press('[data-do=go]');
    await this.until('done');
    return said;
  }

  /** What has the focus inside the panel: its label or text. */
  async focused(): Promise<string> {
    return await this.page.evaluate<string>(`(() => {
      let focused = document.activeElement;
      while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
      return (focused?.labels?.[0] ?? focused)?.textContent.replace(/\\s+/g, ' ').trim() ?? '';
    })()`);
  }

  /** What axe-core finds wrong with the page, in both colour schemes. */
  async violations(): Promise<string[]> {
    const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const found = [];
    for (const colorScheme of ['dark', 'light'] as const) {
      await this.page.emulateMedia({ colorScheme });
      await this.page.evaluate(source);
      const { violations } = await this.page.evaluate<{ violations: Json[] }>(
        "axe.run(document, { rules: { 'target-size': { enabled: true } } })",
      );
      for (const { id, help, nodes } of violations) {
        found.push(`${colorScheme} ${id}: ${help}: ${nodes.map(({ html }: Json) => html).join(' ')}`);
      }
    }
    return found;
  }
}

/** A page with this body and these wallets, and what its server answers besides; `close` ends server and browser context. */
export async function openPage(
  browser: Browser,
  wallets: readonly ScriptedWallet[],
  body: string,
  answers: Readonly<Record<string, string>> = {},
) {
  const app = new Hono();
  app.get('/', (c) =>
    c.html(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
      <meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
      <style>:root{color-scheme:light dark}body{margin:24px;background:light-dark(#f6f5f2,#101413)}</style></head>
      <body><main><h1 style="font:600 20px system-ui">A marketplace</h1>${body}</main></body></html>`),
  );
  for (const [path, text] of Object.entries(answers)) app.get(path, (c) => c.text(text));
  const server = await listen(app);
  const context: BrowserContext = await browser.newContext({ viewport: { width: 440, height: 900 }, locale: 'en-GB' });
  for (const wallet of wallets) await wallet.inject(context);
  const page = await context.newPage();
  await page.goto(server.url);
  const close = async () => {
    await context.close();
    await server.close();
  };
  return { page, panel: new Panel(page), close };
}
