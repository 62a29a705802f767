// The snippet of the README on a page of another origin, as ES module and as classic script.
import { readFile } from 'node:fs/promises';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Json } from '../api/marketplace.ts';
import { CheckoutPage, listen, openStage, type Stage } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

/** A page that holds the snippet and nothing else, under a content policy that allows its own origin and the API's. */
async function host(paymentId: string, token: string, alter: (snippet: string) => string = (snippet) => snippet) {
  const snippet = alter(await readFile('widget/embed.html', 'utf8'))
    .replaceAll('{API}', stage.apiUrl)
    .replaceAll('{PAYMENT_ID}', paymentId);
  const app = new Hono();
  const policy = `default-src 'none'; script-src 'self' 'unsafe-inline' ${stage.apiUrl}; connect-src 'self' ${stage.apiUrl}; img-src data:`;
  app.get('/', (c) =>
    c.html(`<!doctype html><html lang="en"><title>A marketplace</title><body>${snippet}</body></html>`, 200, {
      'Content-Security-Policy': policy,
    }),
  );
  app.get('/payment-token', (c) => c.text(token));
  return await listen(app);
}

async function pay(paymentId: string, url: string) {
  const wallet = await ScriptedWallet.open(stack);
  const context = await stage.browser.newContext();
  await wallet.inject(context);
  const checkout = new CheckoutPage(context, await context.newPage());
  await checkout.page.goto(url);
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await checkout.until('funded');
  await stage.market.untilStatus(paymentId, 'funded');
  return checkout;
}

describe('the snippet on a page of another origin', () => {
  test('has five lines and pays, under a content policy without inline styles', async () => {
    expect((await readFile('widget/embed.html', 'utf8')).trimEnd().split('\n')).toHaveLength(5);
    const { payment } = await stage.market.payable();
    const page = await host(payment.id, payment.access_token);
    const checkout = await pay(payment.id, page.url);
    expect(checkout.console.filter((line) => /policy|error/i.test(line) && !line.includes('favicon'))).toEqual([]);
    await checkout.close();
    await page.close();
  });

  test('pays in a frame without storage and without an origin', async () => {
    const { payment } = await stage.market.payable();
    const app = new Hono();
    app.get('/', (c) =>
      c.html('<title>Outside</title><iframe src="/frame" sandbox="allow-scripts" width="480" height="900"></iframe>'),
    );
    app.get('/frame', (c) =>
      c.html(`<!doctype html><html lang="en"><title>Inside</title><div id="pay"></div><script type="module">
        import { mount } from '${stage.apiUrl}/widget/v1/mount.js';
        mount('#pay', ${JSON.stringify({ api: stage.apiUrl, paymentId: payment.id, accessToken: payment.access_token })});
      </script></html>`),
    );
    const outside = await listen(app);
    const wallet = await ScriptedWallet.open(stack);
    const context = await stage.browser.newContext();
    await wallet.inject(context);
    const page = await context.newPage();
    await page.goto(outside.url);
    const frame = page.frameLocator('iframe');
    await frame.getByRole('button', { name: wallet.name }).click();
    await frame.getByRole('button', { name: /^Pay/ }).click();
    await frame.getByRole('heading', { name: 'Paid', exact: true }).waitFor();
    expect(wallet.deeds).toEqual(['connect', 'authorize']);
    await context.close();
    await outside.close();
  });

  describe('with pinned files, under a policy of nonces and trusted types', () => {
    /** A page that pins each file of this build by its hash, as `alter` leaves them. */
    async function pinned(
      paymentId: string,
      token: string,
      alter: (hashes: Record<string, string>) => void = () => {},
    ) {
      const build: Json = await (await fetch(`${stage.apiUrl}/widget/v1/build.json`)).json();
      const base = `${stage.apiUrl}/widget/v1/build-${build.sources.slice(0, 16)}`;
      const hashes: Record<string, string> = Object.fromEntries(
        Object.entries<{ integrity: string }>(build.files).map(([name, { integrity }]) => [name, integrity]),
      );
      alter(hashes);
      const integrity = Object.fromEntries(Object.entries(hashes).map(([name, hash]) => [`${base}/${name}`, hash]));
      const policy = [
        "default-src 'none'",
        "script-src 'nonce-once' 'strict-dynamic'",
        `connect-src ${stage.apiUrl}`,
        'img-src data:',
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        'trusted-types lit-html',
      ].join('; ');
      const app = new Hono();
      app.get('/', (c) =>
        c.html(
          `<!doctype html><html lang="en"><title>A marketplace</title><link rel="icon" href="data:,"><body>
          <script type="importmap" nonce="once">${JSON.stringify({ integrity })}</script>
          <div id="pay"></div><script type="module" nonce="once">
            import { mount } from '${base}/mount.js';
            mount('#pay', ${JSON.stringify({ api: stage.apiUrl, paymentId, accessToken: token })});
          </script></body></html>`,
          200,
          { 'Content-Security-Policy': policy },
        ),
      );
      return await listen(app);
    }

    test('pays, makes a QR code, and breaks no rule', async () => {
      const { payment } = await stage.market.payable();
      const page = await pinned(payment.id, payment.access_token);
      const desk = await stage.browser.newContext();
      const tab = new CheckoutPage(desk, await desk.newPage());
      await tab.page.goto(page.url);
      await tab.page.getByText('Pay on another device').click();
      await tab.page.getByRole('img', { name: 'QR code that opens this payment' }).waitFor();
      expect(tab.console).toEqual([]);
      await tab.close();
      const checkout = await pay(payment.id, page.url);
      expect(checkout.console).toEqual([]);
      expect(checkout.urls.filter((url) => url.endsWith('.js')).every((url) => url.includes('/build-'))).toBe(true);
      await checkout.close();
      await page.close();
    });

    test('and with a copy of the files on the shop’s own origin, where the API may run no script', async () => {
      const { payment } = await stage.market.payable();
      const options = { api: stage.apiUrl, paymentId: payment.id, accessToken: payment.access_token };
      const policy = `default-src 'none'; script-src 'self' 'nonce-once'; connect-src ${stage.apiUrl}; img-src data:`;
      const app = new Hono();
      app.get('/', (c) =>
        c.html(
          `<!doctype html><html lang="en"><title>A marketplace</title><link rel="icon" href="data:,"><body>
          <div id="pay"></div><script type="module" nonce="once">
            import { mount } from '/dealkeep/mount.js';
            mount('#pay', ${JSON.stringify(options)});
          </script></body></html>`,
          200,
          { 'Content-Security-Policy': policy },
        ),
      );
      app.get('/dealkeep/:name{[\\w-]+\\.js}', async (c) =>
        c.body(await readFile(`widget/dist/${c.req.param('name')}`, 'utf8'), 200, {
          'Content-Type': 'text/javascript',
        }),
      );
      const page = await listen(app);
      const checkout = await pay(payment.id, page.url);
      expect(checkout.console).toEqual([]);
      await checkout.close();
      await page.close();
    });

    test('runs no file that was changed', async () => {
      const { payment } = await stage.market.payable();
      const page = await pinned(payment.id, payment.access_token, (hashes) => {
        for (const name of Object.keys(hashes)) {
          if (name.startsWith('flow-')) hashes[name] = hashes['mount.js'] ?? '';
        }
      });
      const context = await stage.browser.newContext();
      const checkout = new CheckoutPage(context, await context.newPage());
      await checkout.page.goto(page.url);
      await expect.poll(() => checkout.console.join(), { timeout: 20_000 }).toContain('integrity');
      await checkout.until('unreachable', 'loading');
      await checkout.close();
      await page.close();
    });
  });

  test('works with the classic script too', async () => {
    const { payment } = await stage.market.payable();
    const classic = (snippet: string) =>
      snippet.replace('type="module" src', 'src').replace('dealkeep.js', 'dealkeep.script.js');
    const page = await host(payment.id, payment.access_token, classic);
    const checkout = await pay(payment.id, page.url);
    await checkout.close();
    await page.close();
  });

  test('reads the API without cookies, which no other route allows from there', async () => {
    const { payment } = await stage.market.payable();
    const page = await host(payment.id, payment.access_token);
    const context = await stage.browser.newContext();
    const tab = await context.newPage();
    await tab.goto(page.url);
    const read = (path: string) =>
      tab.evaluate(`fetch('${stage.apiUrl}${path}', { headers: { Authorization: 'Bearer ${payment.access_token}' } })
        .then((response) => response.status, () => 'blocked')`);
    expect(await read(`/api/v1/widget/payments/${payment.id}`)).toBe(200);
    expect(await read(`/api/v1/payments/${payment.id}`)).toBe('blocked');
    const withCookies = `fetch('${stage.apiUrl}/api/v1/widget/payments/${payment.id}', { credentials: 'include' })
      .then((response) => response.status, () => 'blocked')`;
    expect(await tab.evaluate(withCookies)).toBe('blocked');
    await context.close();
    await page.close();
  });
});
