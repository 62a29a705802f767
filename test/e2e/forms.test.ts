// The checkout in every form: inline, behind a button, as a dialog, in React and Vue, and imported where there is no DOM.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Hono } from 'hono';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { CheckoutPage, listen, openStage, type Stage } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
const ROOT = join(import.meta.dirname, '../..');
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

/** A page of another origin with this script; `options` is what it gives to the checkout. */
async function visit(script: string, wallet?: ScriptedWallet) {
  const { payment } = await stage.market.payable();
  const options = { api: stage.apiUrl, paymentId: payment.id, accessToken: payment.access_token };
  const app = new Hono();
  app.get('/app.js', (c) => c.body(script, 200, { 'Content-Type': 'text/javascript' }));
  app.get('/', (c) =>
    c.html(
      `<!doctype html><html lang="en"><title>A shop</title><link rel="icon" href="data:,"><body><main><h1>A shop</h1><div id="host"></div></main>
      <script>window.options = ${JSON.stringify(options)}; window.told = [];</script>
      <script src="${stage.apiUrl}/widget/v1/dealkeep.script.js"></script>
      <script type="module" src="/app.js"></script></body></html>`,
    ),
  );
  const host = await listen(app);
  const context = await stage.browser.newContext({ viewport: { width: 500, height: 900 } });
  if (wallet) await wallet.inject(context);
  const checkout = new CheckoutPage(context, await context.newPage());
  await checkout.page.goto(host.url);
  const close = async () => {
    await checkout.close();
    await host.close();
  };
  return { checkout, payment, close };
}

/** A small app with its framework, in one file, as a shop's bundler makes it. */
async function bundled(source: string): Promise<string> {
  const folder = await mkdtemp(join(ROOT, 'node_modules', '.dealkeep-app-'));
  try {
    await writeFile(join(folder, 'app.js'), source);
    await build({
      root: folder,
      configFile: false,
      logLevel: 'error',
      define: { 'process.env.NODE_ENV': '"production"' },
      build: {
        outDir: 'out',
        lib: { entry: 'app.js', formats: ['es'], fileName: () => 'app.js' },
        rolldownOptions: { output: { codeSplitting: false } },
      },
    });
    return await readFile(join(folder, 'out/app.js'), 'utf8');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('mount', () => {
  test('inline: shown, told of, updated, unmounted', async () => {
    const { checkout, payment, close } = await visit(`
      window.mounted = Dealkeep.mount('#host', options);
      window.listener = (detail) => told.push(detail);
      mounted.on('change', listener);
    `);
    await checkout.until('ready');
    const { page } = checkout;
    expect(await page.evaluate('mounted.state')).toBe('ready');
    expect(await page.evaluate('told.at(-1)')).toMatchObject({ paymentId: payment.id, state: 'ready' });
    expect(JSON.stringify(await page.evaluate('told'))).not.toContain(payment.access_token);
    await page.evaluate(`mounted.update({ theme: 'dark', accessToken: () => options.accessToken })`);
    await checkout.until('ready');
    const heard = await page.evaluate<number>('told.length');
    // Another function that fetches the same token restarts nothing.
    await page.evaluate(`mounted.update({ accessToken: () => options.accessToken })`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await page.evaluate('told.length')).toBe(heard);
    await page.evaluate(`mounted.off('change', listener), mounted.update({ expected: { chainId: 1 } })`);
    await checkout.until('refused');
    expect(await page.evaluate('told.length')).toBe(heard);
    await page.evaluate('mounted.unmount()');
    expect(await page.locator('dealkeep-checkout').count()).toBe(0);
    expect(
      await page.evaluate(
        `(() => { try { Dealkeep.mount('#none', options); } catch (error) { return error.message; } })()`,
      ),
    ).toContain('#none');
    await close();
  });

  test('a button that opens a dialog: by keyboard, paid in it, closed with a word', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const { checkout, payment, close } = await visit(
      `window.mounted = Dealkeep.mount('#host', { ...options, form: 'button', label: 'Pay with crypto' });
       mounted.on('close', () => told.push('closed'));`,
      wallet,
    );
    const { page } = checkout;
    const button = page.getByRole('button', { name: 'Pay with crypto' });
    await button.focus();
    await page.keyboard.press('Enter');
    await checkout.connect(wallet);
    expect(await checkout.violations()).toEqual([]);
    await checkout.picture('modal');
    await checkout.press(/^Pay 25/);
    await checkout.until('funded');
    await page.keyboard.press('Escape');
    await expect.poll(() => page.evaluate('told')).toEqual(['closed']);
    expect(await page.getByRole('dialog').count()).toBe(0);
    await stage.market.untilStatus(payment.id, 'funded');
    await close();
  });

  test('a dialog keeps the focus while it is open, and gives it back to its button', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const { checkout, close } = await visit(`Dealkeep.mount('#host', { ...options, form: 'button' });`, wallet);
    const { page } = checkout;
    const button = page.getByRole('button', { name: 'Pay' });
    await button.waitFor();
    await page.evaluate(`for (const place of ['prepend', 'append']) {
      const outside = document.createElement('button');
      outside.textContent = 'Outside';
      document.body[place](outside);
    }`);
    await button.focus();
    await page.keyboard.press('Enter');
    await checkout.until('ready');
    const focused = new Set<string>();
    for (const key of [...Array(9).fill('Tab'), ...Array(9).fill('Shift+Tab')]) {
      await page.keyboard.press(key);
      focused.add(await page.evaluate<string>('document.activeElement.localName'));
    }
    // The body stands for the browser's own bar, where the keyboard must get to.
    expect([...focused].sort()).toEqual(['body', 'dealkeep-checkout', 'dealkeep-modal']);
    await page.keyboard.press('Escape');
    const holder = 'document.activeElement.shadowRoot?.activeElement?.className';
    await expect.poll(() => page.evaluate(holder)).toBe('open');
    await close();
  });

  test('a dialog that is open at once', async () => {
    const { checkout, close } = await visit(`Dealkeep.mount('#host', { ...options, form: 'modal' });`);
    await checkout.until('ready');
    expect(await checkout.page.getByRole('dialog').isVisible()).toBe(true);
    await checkout.press('Close');
    expect(await checkout.page.getByRole('dialog').count()).toBe(0);
    await close();
  });
});

describe('a wrapper', () => {
  const frameworks = {
    React: `
      import { createElement, useState } from 'react';
      import { createRoot } from 'react-dom/client';
      import { DealkeepCheckout } from '../../widget/dist/react.js';
      function App() {
        const [, render] = useState(0);
        window.render = () => render((count) => count + 1);
        return createElement(DealkeepCheckout, {
          ...options, accessToken: async () => options.accessToken, onChange: (detail) => told.push(detail.state),
        });
      }
      const root = createRoot(document.getElementById('host'));
      root.render(createElement(App));
      window.leave = () => root.unmount();
    `,
    Vue: `
      import { createApp, h, ref } from 'vue';
      import { DealkeepCheckout } from '../../widget/dist/vue.js';
      const count = ref(0);
      window.render = () => count.value++;
      const app = createApp(() => h(DealkeepCheckout, {
        ...options, rpcUrl: count.value > 99 ? 'x' : undefined, accessToken: async () => options.accessToken,
        onChange: (detail) => told.push(detail.state),
      }));
      app.mount('#host');
      window.leave = () => app.unmount();
    `,
  };
  test.each(Object.entries(frameworks))(
    '%s: pays, renders anew without a restart, leaves nothing behind',
    async (_, source) => {
      const wallet = await ScriptedWallet.open(stack);
      wallet.way = null;
      const { checkout, close } = await visit(await bundled(source), wallet);
      await checkout.connect(wallet);
      const { page } = checkout;
      const before = await page.evaluate<number>('told.length');
      await page.evaluate('render()');
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(await page.evaluate('told.length')).toBe(before);
      await checkout.press(/^Pay 25/);
      await checkout.until('funded');
      expect(await page.evaluate('told.at(-1)')).toBe('funded');
      await page.evaluate('leave()');
      await expect.poll(() => page.locator('dealkeep-checkout').count()).toBe(0);
      await close();
    },
  );
});

describe('without a DOM', () => {
  test('the built modules can be imported, as a package too', async () => {
    const code = `for (const name of ['mount', 'react', 'vue']) {
      const module = await import('./widget/dist/' + name + '.js');
      console.log(Object.keys(module).join());
    }`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { cwd: ROOT });
    expect(stdout.trim().split('\n')).toEqual(['mount', 'DealkeepCheckout', 'DealkeepCheckout']);
    const { exports } = JSON.parse(await readFile(join(ROOT, 'widget/dist/package.json'), 'utf8'));
    for (const { types, default: file } of Object.values<{ types: string; default: string }>(exports)) {
      expect(await readFile(join(ROOT, 'widget/dist', types), 'utf8')).not.toBe('');
      expect(await readFile(join(ROOT, 'widget/dist', file), 'utf8')).not.toBe('');
    }
  });

  test('a server renders React and Vue to an empty box', async () => {
    const code = `
      import { createElement } from 'react';
      import { renderToString } from 'react-dom/server';
      import { createSSRApp, h } from 'vue';
      import { renderToString as renderVue } from 'vue/server-renderer';
      import { DealkeepCheckout as InReact } from './widget/dist/react.js';
      import { DealkeepCheckout as InVue } from './widget/dist/vue.js';
      const options = { api: 'http://127.0.0.1', paymentId: 'p', accessToken: 't' };
      console.log(renderToString(createElement(InReact, options)));
      console.log(await renderVue(createSSRApp(() => h(InVue, options))));`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { cwd: ROOT });
    expect(stdout.trim().split('\n')).toEqual(['<div></div>', '<div></div>']);
  });
});
