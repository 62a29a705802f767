// The snippets of widget/checkout.md as they stand there: the Node server runs, and each page is paid on.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Hono } from 'hono';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import type { Json } from '../api/marketplace.ts';
import { CheckoutPage, listen, openStage, type Stage } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
const ROOT = join(import.meta.dirname, '../..');
const PAGE = '<div id="pay"></div><script type="module" src="/app.js"></script>';
let stage: Stage;
let folder: string;
let server: ChildProcess;
let serverUrl: string;

beforeAll(async () => {
  stage = await openStage();
  folder = await mkdtemp(join(ROOT, 'node_modules', '.dealkeep-guide-'));
  // A port that was free a moment ago.
  const { url, close } = await listen(new Hono());
  await close();
  serverUrl = url;
  const { market } = stage;
  const file = join(folder, 'server.mjs');
  await writeFile(file, await snippet('server.mjs'));
  server = spawn(process.execPath, [file], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      API: stage.apiUrl,
      CLIENT_ID: market.credentials.client_id,
      CLIENT_SECRET: market.credentials.client_secret,
      NODE_ID: `${market.nodeId}`,
      NETWORK_ID: `${market.networkId}`,
      CURRENCY_ID: `${market.currencies.USDC}`,
      SELLER: market.payee,
      PORT: new URL(url).port,
    },
  });
  const answers = async () => (await fetch(serverUrl)).status === 404;
  await vi.waitFor(async () => expect(await answers()).toBe(true), { timeout: 20_000, interval: 50 });
});
afterAll(async () => {
  if (server?.exitCode === null) {
    server.kill();
    await once(server, 'exit');
  }
  if (folder) await rm(folder, { recursive: true, force: true });
  await stage?.close();
});

/** The code that stands under this name in the guide. @throws Error when there is none */
async function snippet(name: string): Promise<string> {
  const [, after] = (await readFile(join(ROOT, 'widget/checkout.md'), 'utf8')).split(`<!-- snippet: ${name} -->`);
  const code = after && /^\n+```\w+\n([\s\S]*?)\n```/.exec(after)?.[1];
  if (!code) throw new Error(`widget/checkout.md has no snippet ${name}.`);
  return code.replaceAll("'{API}/", `'${stage.apiUrl}/`);
}

/** The snippet in one file with its framework, as a shop's bundler makes it. */
async function bundled(name: string): Promise<string> {
  await writeFile(join(folder, name), await snippet(name));
  await build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"production"' },
    // Under vitest, Vite takes React's development calls, which its production build does not have.
    oxc: { jsx: { runtime: 'automatic', development: false } },
    resolve: { alias: [{ find: /^@dealkeep\/widget\/(\w+)$/, replacement: join(ROOT, 'widget/dist/$1.js') }] },
    build: {
      outDir: `out-${name}`,
      lib: { entry: name, formats: ['es'], fileName: () => 'app.js' },
      rolldownOptions: { output: { codeSplitting: false } },
    },
  });
  return await readFile(join(folder, `out-${name}`, 'app.js'), 'utf8');
}

describe('a snippet of the guide pays, with the payment that its Node server made', () => {
  test.each([
    ['plain HTML', async () => ({ markup: await snippet('index.html'), script: '' })],
    ['React', async () => ({ markup: PAGE, script: await bundled('react.jsx') })],
    ['Vue', async () => ({ markup: PAGE, script: await bundled('vue.js') })],
  ])('%s', async (_, body) => {
    const { markup, script } = await body();
    const app = new Hono();
    let paymentId = '';
    app.get('/', (c) => c.html(`<!doctype html><html lang="en"><title>A shop</title><body>${markup}</body></html>`));
    app.get('/app.js', (c) => c.body(script, 200, { 'Content-Type': 'text/javascript' }));
    app.post('/checkout', async (c) => {
      const options: Json = await (await fetch(`${serverUrl}/checkout`, { method: 'POST' })).json();
      paymentId = options.paymentId;
      return c.json(options);
    });
    const host = await listen(app);
    const wallet = await ScriptedWallet.open(stack);
    const context = await stage.browser.newContext();
    await wallet.inject(context);
    const checkout = new CheckoutPage(context, await context.newPage());
    await checkout.page.goto(host.url);
    await checkout.connect(wallet);
    await checkout.press(/^Pay 25/);
    await checkout.until('funded');
    await expect.poll(() => checkout.page.title(), { timeout: 20_000 }).toBe('funded');
    await stage.market.untilStatus(paymentId, 'funded');
    await checkout.close();
    await host.close();
  });

  test('the server says nothing to who asks otherwise', async () => {
    expect((await fetch(`${serverUrl}/checkout`)).status).toBe(404);
  });
});
