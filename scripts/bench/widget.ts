/**
 * Measures the checkout: what a page has to load, and on a stack of its own with a real Chromium how long a buyer waits. The
 * wallet answers at once, so every millisecond is the widget's, the API's or the chain's. Exits 1 when a goal is missed.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { Command } from 'commander';
import { Hono } from 'hono';
import type { Browser } from 'playwright-core';
import { launchBrowser } from '../../test/e2e/browser.ts';
import { Shop } from '../demo/shop.ts';
import { freePort } from '../dev/ports.ts';
import { describe } from '../dev/problem.ts';
import { type Progress, startProgress } from '../dev/progress.ts';
import { Stack } from '../dev/stack.ts';
import type { StackFile } from '../dev/stackfile.ts';

type Figures = {
  shellGzipKb: number;
  depositGzipKb: number;
  singleFileGzipKb: number;
  firstPaintMs: number;
  clickToSubmittedMs: number;
  minedToConfirmedMs: number;
};

/** What must hold (README, "The checkout"); the rest is told only. */
const GOALS: Partial<Figures> = {
  shellGzipKb: 15,
  depositGzipKb: 60,
  singleFileGzipKb: 60,
  clickToSubmittedMs: 500,
  minedToConfirmedMs: 1_500,
};
const DIST = join(import.meta.dirname, '../../widget/dist');
const WAIT_MS = 60_000;

/** What a page's clock says of one payment. */
type Times = { paintedAt: number; clickedAt: number; submittedAt: number; minedAt: number; confirmedAt: number };

async function sizes(): Promise<Pick<Figures, 'shellGzipKb' | 'depositGzipKb' | 'singleFileGzipKb'>> {
  const { files, shell, deposit } = JSON.parse(await readFile(join(DIST, 'build.json'), 'utf8')) as {
    files: Record<string, { gzipBytes: number }>;
    shell: string[];
    deposit: string[];
  };
  const kilobytes = (names: string[]) =>
    Math.round(names.reduce((sum, name) => sum + (files[name]?.gzipBytes ?? 0), 0) / 102.4) / 10;
  return {
    shellGzipKb: kilobytes(shell),
    depositGzipKb: kilobytes(deposit),
    singleFileGzipKb: kilobytes(['dealkeep.script.js']),
  };
}

/** A page with the checkout and a wallet that agrees with everything; it notes when what happened. */
function page(stack: StackFile, payment: { id: string; access_token: string }): string {
  const { api_url, rpc_url, buyers } = stack;
  const given = JSON.stringify({ rpc: '/rpc', account: buyers[0]?.address, token: payment.access_token });
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Bench</title><link rel="icon" href="data:,"><body>
<script>
  const given = ${given};
  const call = async (method, params) => {
    const answer = await fetch(given.rpc, { method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) });
    const { result, error } = await answer.json();
    if (error) throw Object.assign(new Error(error.message), error);
    return result;
  };
  window.times = {};
  const provider = {
    on() { return provider; },
    removeListener() { return provider; },
    async request({ method, params = [] }) {
      if (method === 'eth_accounts' || method === 'eth_requestAccounts') return [given.account];
      if (method === 'wallet_requestPermissions') return [{ caveats: [{ value: [given.account] }] }];
      if (method.startsWith('wallet_')) throw Object.assign(new Error('Unsupported'), { code: 4200 });
      if (method === 'eth_signTypedData_v4') return await call(method, [params[0], JSON.parse(params[1])]);
      const result = await call(method, params);
      // The local chain mines a transaction before it answers.
      if (method === 'eth_sendTransaction') times.minedAt = performance.now();
      return result;
    },
  };
  const info = { uuid: crypto.randomUUID(), name: 'Bench wallet', icon: 'data:image/png;base64,', rdns: 'local.bench' };
  const announce = () => dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }));
  addEventListener('eip6963:requestProvider', announce);
</script>
<script type="module" src="${api_url}/widget/v1/dealkeep.js"></script>
<dealkeep-checkout id="checkout" api="${api_url}" payment-id="${payment.id}" rpc-url="${rpc_url}"></dealkeep-checkout>
<script type="module">
  const checkout = document.getElementById('checkout');
  checkout.accessToken = given.token;
  checkout.addEventListener('dealkeep-change', ({ detail }) => {
    if (detail.state === 'submitted') times.submittedAt ??= performance.now();
    if (detail.status === 'funded') times.confirmedAt ??= performance.now();
  });
  addEventListener('click', () => { times.clickedAt = performance.now(); }, true);
  const look = () => {
    if (checkout.shadowRoot?.querySelector('[data-state]')) times.paintedAt = performance.now();
    else requestAnimationFrame(look);
  };
  look();
</script></body></html>`;
}

async function payOnce(browser: Browser, stack: StackFile, shop: Shop): Promise<Times> {
  const payment = await shop.createPayment('USDC', '25.5');
  const app = new Hono();
  app.get('/', (c) => c.html(page(stack, payment)));
  app.post('/rpc', async (c) => {
    const headers = { 'Content-Type': 'application/json' };
    return await fetch(stack.rpc_url, { method: 'POST', headers, body: await c.req.text() });
  });
  const port = await freePort();
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port });
  const context = await browser.newContext();
  try {
    const tab = await context.newPage();
    tab.setDefaultTimeout(WAIT_MS);
    await tab.goto(`http://127.0.0.1:${port}`);
    await tab.getByRole('button', { name: 'Bench wallet' }).click();
    const way = tab.locator('input[name=way][value=permit]');
    await way.waitFor({ state: 'attached' });
    await way.evaluate((input) => input.closest('details')?.setAttribute('open', ''));
    await way.check();
    await tab.getByRole('button', { name: /^Pay/ }).click();
    await tab.waitForFunction('window.times.confirmedAt');
    return await tab.evaluate<Times>('window.times');
  } finally {
    await context.close();
    server.close();
  }
}

function median(values: number[]): number {
  return Math.round([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN);
}

async function measure(payments: number, progress: Progress): Promise<Figures> {
  const dataDir = await mkdtemp(join(tmpdir(), 'dealkeep-bench-'));
  const [port, hardhatPort, postgresPort, indexerPort, shopPort, sandboxPort] = await Promise.all(
    [1, 2, 3, 4, 5, 6].map(freePort),
  );
  if (!port || !hardhatPort || !postgresPort || !indexerPort || !shopPort || !sandboxPort)
    throw new Error('No free ports.');
  const stack = new Stack({ dataDir, port, hardhatPort, postgresPort, indexerPort, shopPort, sandboxPort }, progress);
  const stop = async () => {
    await stack.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  process.once('SIGINT', () => void stop().then(() => process.exit(130)));
  try {
    const file = await stack.start();
    const shop = await Shop.open(file);
    const browser = await launchBrowser();
    const times: Times[] = [];
    // The first one warms up browser and database, as no buyer of a running shop has to.
    for (let paid = 0; paid <= payments; paid += 1) {
      times.push(await payOnce(browser, file, shop));
      progress.step(`Paid ${paid} of ${payments}`);
    }
    await browser.close();
    const counted = times.slice(1);
    return {
      ...(await sizes()),
      firstPaintMs: median(counted.map(({ paintedAt }) => paintedAt)),
      clickToSubmittedMs: median(counted.map(({ clickedAt, submittedAt }) => submittedAt - clickedAt)),
      minedToConfirmedMs: median(counted.map(({ minedAt, confirmedAt }) => confirmedAt - minedAt)),
    };
  } finally {
    await stop();
  }
}

async function run({ json, payments }: { json: boolean; payments: string }): Promise<void> {
  if (!/^[1-9]\d?$/.test(payments)) throw new Error(`--payments ${payments} is not a number from 1 to 99.`);
  const figures = await measure(Number(payments), startProgress({ json }));
  const missed = Object.entries(GOALS).filter(([name, goal]) => figures[name as keyof Figures] > goal);
  if (json) console.log(JSON.stringify(figures));
  else {
    for (const [name, value] of Object.entries(figures)) {
      const goal = GOALS[name as keyof Figures];
      console.log(`${name.padEnd(20)} ${String(value).padStart(8)}${goal === undefined ? '' : `   goal ≤ ${goal}`}`);
    }
  }
  for (const [name, goal] of missed) console.error(`${name} is above ${goal}.`);
  process.exitCode = missed.length > 0 ? 1 : 0;
}

await new Command()
  .name('npm run bench:widget --')
  .description(
    'Measures the checkout in a real Chromium against a stack of its own: sizes, and what a buyer waits for.',
  )
  .option('--payments <count>', 'payments to take the median of', '7')
  .option('--json', 'one JSON object and nothing else on standard output', false)
  .addHelpText('after', '\nExamples:\n  npm run bench:widget\n  npm run bench:widget -- --json --payments 15\n')
  .action(async (flags) => {
    await run(flags).catch((error) => {
      console.error(describe(error));
      process.exit(1);
    });
  })
  .parseAsync();
