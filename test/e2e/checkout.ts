/**
 * What the Chromium tests share: a marketplace on the shared stack, its API on a port of its own, a marketplace's page with
 * the checkout on another origin, and the questions that a test asks of the page.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ServerType, serve } from '@hono/node-server';
import { Hono } from 'hono';
import type { Browser, BrowserContext, Locator, Page, PageScreenshotOptions, Route } from 'playwright-core';
import { expect } from 'vitest';
import type { RouteName } from '../../widget/routes.ts';
import type { StateName } from '../../widget/states.ts';
import { type Json, type Marketplace, openMarketplace } from '../api/marketplace.ts';
import type { Stack } from '../support/stack.ts';
import { chainOf, mineBlocks } from '../support/wallet.ts';
import { launchBrowser } from './browser.ts';
import type { ScriptedWallet } from './scripted-wallet.ts';

const ROOT = join(import.meta.dirname, '../..');
const SCREENSHOTS = join(ROOT, 'widget/screenshots');
const WAIT_MS = 20_000;
const PICTURE_MARGIN = 24;
const LEFT_SECONDS = 20;

/** A stage for checkouts: open it once a file. */
export type Stage = Awaited<ReturnType<typeof openStage>>;

/** Builds the widget when it is stale. */
export async function buildWidget(): Promise<void> {
  await promisify(execFile)(process.execPath, ['scripts/build-widget.ts', '--if-stale'], { cwd: ROOT });
}

/** Builds the widget when it is stale, opens the marketplace and starts the browser. */
export async function openStage(options: Parameters<typeof openMarketplace>[0] = {}) {
  await buildWidget();
  const market = await openMarketplace(options);
  const api = await listen(market.app);
  const pages = await hostPages(api.url, market);
  const browser = await launchBrowser();
  return {
    market,
    apiUrl: api.url,
    pageUrl: pages.url,
    browser,
    /** A page with the checkout of this payment; its browser context ends with `close`. */
    open: async (payment: Json, wallets: ScriptedWallet[] = [], query: Record<string, string> = {}) =>
      await openCheckout(browser, wallets, `${pages.url}/pay/${payment.id}?${new URLSearchParams(query)}`),
    close: async () => {
      await browser.close();
      await Promise.all([api.close(), pages.close()]);
      await market.close();
    },
  };
}

/** Serves an app on a free port of 127.0.0.1. */
export async function listen(app: { fetch: (request: Request) => Response | Promise<Response> }) {
  const server = await new Promise<ServerType>((resolve) => {
    const started: ServerType = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(started));
  });
  const { port } = server.address() as AddressInfo;
  const close = () => new Promise<void>((resolve) => void server.close(() => resolve()));
  return { url: `http://127.0.0.1:${port}`, close };
}

/** A marketplace's own pages, on another origin than the API: the checkout, and the token from the page's server. */
export async function hostPages(apiUrl: string, market: Pick<Marketplace, 'get'>) {
  const app = new Hono();
  app.get('/pay/:id', (c) => {
    const id = c.req.param('id');
    const { rpc = '', theme = '', lang = '' } = c.req.query();
    return c.html(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Checkout</title>
      <meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
      <style>:root{color-scheme:light dark}body{margin:24px;background:light-dark(#f6f5f2,#101413)}</style></head>
      <body><main><h1 style="font:600 20px system-ui;margin:0 0 32px">A shop</h1>
      <script type="module" src="${apiUrl}/widget/v1/dealkeep.js"></script>
      <dealkeep-checkout id="checkout" api="${apiUrl}" payment-id="${id}" rpc-url="${rpc}" theme="${theme}" lang="${lang}"
        return-url="http://127.0.0.1/shop"></dealkeep-checkout>
      <script type="module">
        const checkout = document.getElementById('checkout');
        window.changes = [];
        checkout.addEventListener('dealkeep-change', ({ detail }) => window.changes.push(detail));
        checkout.accessToken = () => fetch('/token/${id}').then((answer) => answer.text());
      </script></main></body></html>`);
  });
  app.get('/token/:id', async (c) => {
    const { json } = await market.get(`/payments/${c.req.param('id')}`);
    return c.text(json.access_token);
  });
  return await listen(app);
}

/** A page with a checkout; its browser context ends with `close`. */
export async function openCheckout(browser: Browser, wallets: ScriptedWallet[], url: string): Promise<CheckoutPage> {
  const context = await browser.newContext({ viewport: { width: 440, height: 900 }, colorScheme: 'light' });
  for (const wallet of wallets) await wallet.inject(context);
  const page = await context.newPage();
  const checkout = new CheckoutPage(context, page);
  await page.goto(url);
  return checkout;
}

/** A deadline that is near for wall clock and chain alike, and what makes the chain pass it. */
export async function shortly(stack: Stack): Promise<{ expiresAt: string; pass: () => Promise<void> }> {
  // Each block moves the chain's clock by a second at least, so in a long test run it is ahead of ours.
  const chainSeconds = Number((await chainOf(stack).getBlock()).timestamp);
  const seconds = Math.max(chainSeconds, Math.ceil(Date.now() / 1_000)) + LEFT_SECONDS;
  return {
    expiresAt: new Date(seconds * 1_000).toISOString(),
    pass: () => mineBlocks(stack, LEFT_SECONDS + 2),
  };
}

/** A page with one checkout. */
export class CheckoutPage {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Everything that the page wrote to its console, and every URL that it asked for. */
  readonly console: string[] = [];
  readonly urls: string[] = [];

  constructor(context: BrowserContext, page: Page) {
    this.context = context;
    this.page = page;
    page.on('console', (message) => this.console.push(message.text()));
    page.on('pageerror', (error) => this.console.push(String(error)));
    page.on('request', (request) => this.urls.push(request.url()));
  }

  get card(): Locator {
    return this.page.locator('dealkeep-checkout [data-state]');
  }

  /** Waits until the checkout is in one of the states, and answers which. */
  async until(...states: StateName[]): Promise<StateName> {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const state = await this.card.getAttribute('data-state', { timeout: WAIT_MS });
      const found = states.find((wanted) => wanted === state);
      if (found) return found;
      if (Date.now() > deadline) throw new Error(`Still ${state}, not ${states.join(' or ')}: ${await this.text()}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** All words of the checkout. */
  async text(): Promise<string> {
    return (await this.card.textContent())?.replace(/\s+/g, ' ') ?? '';
  }

  /** Waits until the checkout says this. */
  async says(text: string | RegExp): Promise<void> {
    await expect.poll(() => this.text(), { timeout: WAIT_MS }).toMatch(text);
  }

  /** Presses the button with this name. */
  async press(name: string | RegExp): Promise<void> {
    await this.page.getByRole('button', { name }).click({ timeout: WAIT_MS });
  }

  /** Chooses the wallet, waits until the payment can be reviewed, and takes its owner's way to pay. */
  async connect(wallet: ScriptedWallet): Promise<void> {
    await this.until('ready');
    await this.press(wallet.name);
    await this.until('review');
    if (wallet.way) await this.takeWay(wallet.way);
  }

  /** Takes this way to pay, where there are several. */
  async takeWay(way: RouteName): Promise<void> {
    const choice = this.page.locator(`dealkeep-checkout input[name=way][value=${way}]`);
    if ((await choice.count()) === 0) return;
    await this.page
      .locator('dealkeep-checkout .ways')
      .evaluate((ways) => ways.closest('details')?.setAttribute('open', ''));
    await choice.check();
  }

  /** Cuts the page off from the payment service: `answer` decides what becomes of each request. */
  async cutOff(answer: (route: Route) => unknown = (route) => route.abort()): Promise<void> {
    await this.page.route('**/api/v1/widget/**', answer);
    await this.#endEvents();
  }

  /** Lets it reach the payment service again. */
  async reconnect(): Promise<void> {
    await this.page.unrouteAll({ behavior: 'wait' });
  }

  /** Shows the page to somebody, or to nobody. */
  async look(isSeen: boolean): Promise<void> {
    await this.page.evaluate(`(() => {
      Object.defineProperty(document, 'hidden', { value: ${!isSeen}, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    })()`);
  }

  /** A second tab with the same checkout in the same browser. */
  async another(): Promise<CheckoutPage> {
    const other = new CheckoutPage(this.context, await this.context.newPage());
    await other.page.goto(this.page.url());
    return other;
  }

  /** Ends the stream of events, as a page does that nobody looks at. */
  async #endEvents(): Promise<void> {
    await this.look(false);
    await this.look(true);
  }

  /** What axe-core finds wrong with the page, in these colour schemes. */
  async violations(schemes: readonly ('dark' | 'light')[] = ['dark', 'light']): Promise<string[]> {
    const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const found = [];
    for (const colorScheme of schemes) {
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

  /** Lets the checkout speak another language; null: the page's. */
  async speak(lang: string | null): Promise<void> {
    await this.page.evaluate(`document.querySelector('dealkeep-checkout').lang = ${JSON.stringify(lang ?? '')}`);
    const code = lang ?? 'en';
    await expect.poll(() => this.card.getAttribute('lang'), { timeout: WAIT_MS }).toMatch(new RegExp(`^${code}\\b`));
  }

  /** How many CSS pixels the page is wider than its window. */
  async overflow(): Promise<number> {
    return await this.page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth');
  }

  /** Keeps a picture of the checkout; `zoom` makes it smaller. */
  async picture(name: string, zoom = 1): Promise<void> {
    await this.#keep(name, zoom, async () => {
      const box = await this.page.locator('dealkeep-checkout').boundingBox();
      const { width = 0 } = this.page.viewportSize() ?? {};
      if (!box) throw new Error('There is no checkout to picture.');
      // The width of the page, so that what sticks out would be seen.
      const clip = { x: 0, y: box.y - PICTURE_MARGIN, width, height: box.height + 2 * PICTURE_MARGIN };
      return { clip, fullPage: true };
    });
  }

  /** Keeps a picture of what the window shows, smaller than life. */
  async windowPicture(name: string): Promise<void> {
    await this.#keep(name, 0.7, async () => ({ fullPage: false }));
  }

  /** Changes what the API answers to the widget, before the page sees it. */
  async alterAnswers(alter: (payment: Json) => void): Promise<void> {
    await this.page.route('**/api/v1/widget/payments/*', async (route) => {
      const response = await route.fetch();
      const payment = await response.json();
      alter(payment);
      await route.fulfill({ response, json: payment });
    });
    // Events would bring what the API says unaltered.
    await this.page.route('**/api/v1/widget/payments/*/events', (route) => route.abort());
    await this.#endEvents();
  }

  async close(): Promise<void> {
    await this.page.unrouteAll({ behavior: 'ignoreErrors' });
    await this.context.close();
  }

  /** Present pictures stay unless SCREENSHOTS is set, so that a test run changes no file. */
  async #keep(name: string, zoom: number, options: () => Promise<PageScreenshotOptions>): Promise<void> {
    const path = join(SCREENSHOTS, `${name}.png`);
    if (existsSync(path) && !process.env.SCREENSHOTS) return;
    await mkdir(SCREENSHOTS, { recursive: true });
    await this.page.emulateMedia({ reducedMotion: 'reduce' });
    await this.page.evaluate(`document.documentElement.style.zoom = '${zoom}'`);
    await this.page.screenshot({ ...(await options()), path });
    await this.page.evaluate("document.documentElement.style.zoom = ''");
  }
}
