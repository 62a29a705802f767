/** The page without servers as a test drives it: opened from the disk, with wallets and a node of the test's choice. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Json } from '../api/marketplace.ts';
import type { ScriptedWallet } from './scripted-wallet.ts';

const FILE = pathToFileURL(join(import.meta.dirname, '../../widget/dist/escape.html')).href;
const WAIT_MS = 20_000;

export class EscapePage {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Everything that the page wrote to its console, and every URL that it asked for. */
  readonly console: string[] = [];
  readonly urls: string[] = [];

  private constructor(context: BrowserContext, page: Page) {
    this.context = context;
    this.page = page;
    page.on('console', (message) => this.console.push(message.text()));
    page.on('pageerror', (error) => this.console.push(String(error)));
    page.on('request', (request) => this.urls.push(request.url()));
  }

  /** Opens the file with this fragment, and types the URL of the node. */
  static async open(
    browser: Browser,
    wallets: ScriptedWallet[],
    fragment: Record<string, string>,
    rpcUrl: string,
    url = FILE,
  ): Promise<EscapePage> {
    const context = await browser.newContext({
      viewport: { width: 700, height: 900 },
      colorScheme: 'light',
      locale: 'en-GB',
    });
    for (const wallet of wallets) await wallet.inject(context);
    const opened = new EscapePage(context, await context.newPage());
    await opened.page.goto(`${url}#${new URLSearchParams(fragment)}`);
    await opened.fill('RPC URL of a node', rpcUrl);
    return opened;
  }

  async fill(label: string, text: string): Promise<void> {
    await this.page.getByLabel(label).fill(text, { timeout: WAIT_MS });
  }

  /** Presses the button with this name. */
  async press(name: string | RegExp, within: Page | Locator = this.page): Promise<void> {
    await within.getByRole('button', { name, exact: true }).click({ timeout: WAIT_MS });
  }

  /** Searches, and waits for what is found. */
  async find(): Promise<void> {
    await this.press('Find the deals');
    await this.page.locator('[data-found], [data-error]').first().waitFor({ timeout: WAIT_MS });
  }

  /** Everything that the page says. */
  async text(): Promise<string> {
    const text = await this.page.locator('dealkeep-escape main').textContent({ timeout: WAIT_MS });
    return text?.replace(/\s+/g, ' ') ?? '';
  }

  /** Waits until the page says this. */
  async says(text: string | RegExp): Promise<void> {
    await expect.poll(() => this.text(), { timeout: WAIT_MS }).toMatch(text);
  }

  /** Waits until the deed is at this stage, and answers its words. */
  async until(stage: string): Promise<string> {
    const deed = this.page.locator('.deed');
    await expect
      .poll(async () => [await deed.getAttribute('data-stage'), await deed.textContent()], { timeout: WAIT_MS })
      .toEqual([stage, expect.anything()]);
    return (await deed.textContent())?.replace(/\s+/g, ' ') ?? '';
  }

  /** The card of a deal. */
  deal(id: string): Locator {
    return this.page.locator(`[data-deal="${id}"]`);
  }

  /** What axe-core finds wrong with the page, in both colour schemes. */
  async violations(): Promise<string[]> {
    const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const found = [];
    for (const colorScheme of ['dark', 'light'] as const) {
      await this.page.emulateMedia({ colorScheme });
      await this.page.evaluate(source);
      const { violations } = await this.page.evaluate<{ violations: Json[] }>('axe.run(document)');
      for (const { id, help, nodes } of violations) {
        found.push(`${colorScheme} ${id}: ${help}: ${nodes.map(({ html }: Json) => html).join(' ')}`);
      }
    }
    return found;
  }

  async close(): Promise<void> {
    await this.context.close();
  }
}
