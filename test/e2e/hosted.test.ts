// The hosted checkout: opened once by a code in its fragment, from a QR code or a link, framed by nobody.
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Json } from '../api/marketplace.ts';
import { strangerAddress } from '../support/wallet.ts';
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

const payable = async () => (await stage.market.payable()).payment;
const handOver = async (payment: Json, body: Json = {}) =>
  await stage.market.post(`/widget/payments/${payment.id}/handoffs`, body, payment.access_token);
const redeem = async (code: string) => await stage.market.post('/widget/handoffs', { code }, null);
/** The URL as this test's API answers it: the shared one is told another public URL. */
const local = (url: string) => url.replace('http://127.0.0.1/', `${stage.apiUrl}/`);
const codeOf = (url: string) => url.split('#')[1] ?? '';

async function visit(url: string, wallet?: ScriptedWallet): Promise<CheckoutPage> {
  const context = await stage.browser.newContext({ viewport: { width: 390, height: 844 } });
  if (wallet) await wallet.inject(context);
  const checkout = new CheckoutPage(context, await context.newPage());
  await checkout.page.goto(url);
  return checkout;
}

describe('the hosted checkout', () => {
  test('pays on a phone what a desk shows as QR code, and survives a reload; the code leaves the address', async () => {
    const payment = await payable();
    const desk = await stage.open(payment);
    await desk.until('ready');
    await desk.page.getByText('Pay on another device').click();
    await desk.page.getByRole('img', { name: 'QR code that opens this payment' }).waitFor();
    await desk.picture('other-device');
    expect(await desk.violations()).toEqual([]);
    const url = (await desk.page.getByRole('link', { name: 'The link' }).getAttribute('href')) ?? '';
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const phone = await visit(local(url), wallet);
    await phone.until('ready');
    expect(phone.page.url()).toBe(`${stage.apiUrl}/checkout/${payment.id}`);
    await phone.page.reload();
    await phone.connect(wallet);
    await phone.press(/^Pay/);
    await phone.until('funded');
    await desk.until('funded');
    expect(phone.urls.join(' ')).not.toContain(codeOf(url));
    expect(await phone.violations()).toEqual([]);
    expect(phone.console.filter((line) => /policy|refused to/i.test(line))).toEqual([]);
    await Promise.all([phone.close(), desk.close()]);
  });

  test.each(['injected', 'late'] as const)(
    'pays in a wallet app’s own browser, whose wallet is %s and tells no name',
    async (appears) => {
      const payment = await payable();
      const { json } = await handOver(payment);
      const wallet = await ScriptedWallet.open(stack);
      Object.assign(wallet, { appears, way: null });
      const phone = await visit(local(json.url), wallet);
      await phone.until('ready');
      await phone.press('Your wallet');
      await phone.until('review');
      await phone.says('Your wallet will ask you for one signature');
      expect(await phone.violations(['light'])).toEqual([]);
      await phone.page.reload();
      await phone.until('review');
      await phone.press(/^Pay/);
      await phone.until('funded');
      expect(wallet.deeds).toEqual(['connect', 'authorize']);
      await phone.close();
    },
  );

  test('is the way out of a frame that no wallet reaches', async () => {
    const payment = await payable();
    const app = new Hono();
    app.get('/', (c) =>
      c.html(`<title>Outside</title><iframe src="/frame" sandbox="allow-scripts allow-popups
      allow-popups-to-escape-sandbox" width="480" height="900"></iframe>`),
    );
    app.get('/frame', (c) =>
      c.html(`<!doctype html><html lang="en"><title>Inside</title><div id="pay"></div><script type="module">
        import { mount } from '${stage.apiUrl}/widget/v1/mount.js';
        mount('#pay', ${JSON.stringify({ api: stage.apiUrl, paymentId: payment.id, accessToken: payment.access_token })});
      </script></html>`),
    );
    const outside = await listen(app);
    const context = await stage.browser.newContext();
    const page = await context.newPage();
    await page.goto(outside.url);
    const frame = page.frameLocator('iframe');
    await frame.getByText('No wallet found in this browser').waitFor();
    await frame.getByText('Pay on another device').click();
    const link = await frame.getByRole('link', { name: 'The link' }).getAttribute('href');
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const top = await visit(local(link ?? ''), wallet);
    await top.connect(wallet);
    await top.press(/^Pay/);
    await top.until('funded');
    await frame.getByRole('heading', { name: 'Paid', exact: true }).waitFor();
    await top.close();
    await context.close();
    await outside.close();
  });

  test('says so when its code was used, or there is none', async () => {
    const payment = await payable();
    const { json } = await handOver(payment);
    const first = await visit(local(json.url));
    await first.until('ready');
    await first.close();
    for (const url of [local(json.url), `${stage.apiUrl}/checkout/${payment.id}`]) {
      const second = await visit(url);
      await second.page.getByText('This link was used already').waitFor();
      expect(await second.violations()).toEqual([]);
      await second.close();
    }
  });

  test('is framed by nobody, and leads back only to where its node allows', async () => {
    const payment = await payable();
    const page = await fetch(`${stage.apiUrl}/checkout/${payment.id}`);
    expect(page.headers.get('Content-Security-Policy')).toContain("frame-ancestors 'none'");
    const returnUrl = 'https://shop.example/orders/7';
    const refused = await handOver(payment, { return_url: returnUrl });
    expect([refused.status, refused.json.errors[0].pointer]).toEqual([400, '/return_url']);
    const { market } = stage;
    const origins = { return_origins: ['https://shop.example'] };
    expect((await market.call('PATCH', `/nodes/${market.nodeId}`, { body: origins })).json).toMatchObject(origins);
    const { json } = await handOver(payment, { return_url: returnUrl });
    expect((await redeem(codeOf(json.url))).json).toEqual({
      payment_id: payment.id,
      access_token: payment.access_token,
      return_url: returnUrl,
    });
    for (const wrong of ['javascript:alert(1)', 'https://shop.example.evil/', 'nowhere']) {
      expect((await handOver(payment, { return_url: wrong })).status).toBe(400);
    }
    const faulty = { return_origins: ['https://shop.example/path'] };
    expect((await market.call('PATCH', `/nodes/${market.nodeId}`, { body: faulty })).status).toBe(400);
  });
});

describe('a code', () => {
  test('works once, also when two use it at once', async () => {
    const { json } = await handOver(await payable());
    const answers = await Promise.all([1, 2, 3].map(() => redeem(codeOf(json.url))));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401]);
  });

  test('is over after ten minutes, and with the access token that made it', async () => {
    const payment = await payable();
    const { json } = await handOver(payment);
    await stage.market
      .sql`update handoff set expires_at = now() - interval '1 second' where payment_id = ${payment.id}`;
    expect((await redeem(codeOf(json.url))).status).toBe(401);
    const another = await handOver(payment);
    await stage.market.post(`/payments/${payment.id}/access-token/rotate`);
    expect((await redeem(codeOf(another.json.url))).status).toBe(401);
    expect((await redeem('short')).json.errors[0].pointer).toBe('/code');
    expect((await redeem('x'.repeat(43))).status).toBe(401);
  });

  test('429: more than twenty wait · 401: for nobody else', async () => {
    const { payment } = await stage.market.payable({ payment_address: strangerAddress() });
    for (let made = 0; made < 20; made += 1) expect((await handOver(payment)).status).toBe(201);
    expect((await handOver(payment)).status).toBe(429);
    const other = await payable();
    expect((await handOver({ id: payment.id, access_token: other.access_token })).status).toBe(401);
  });
});

test('the files of one build stay at its own path, for ever', async () => {
  const manifest: Json = await (await fetch(`${stage.apiUrl}/widget/v1/build.json`)).json();
  const path = `${stage.apiUrl}/widget/v1/build-${manifest.sources.slice(0, 16)}`;
  const pinned = await fetch(`${path}/dealkeep.script.js`);
  expect(pinned.headers.get('Cache-Control')).toContain('immutable');
  const hash = await crypto.subtle.digest('SHA-384', await pinned.arrayBuffer());
  expect(`sha384-${Buffer.from(hash).toString('base64')}`).toBe(manifest.files['dealkeep.script.js'].integrity);
  expect((await fetch(`${stage.apiUrl}/widget/v1/build-0123456789abcdef/dealkeep.js`)).status).toBe(404);
  expect((await fetch(`${stage.apiUrl}/widget/v1/dealkeep.js`)).headers.get('Cache-Control')).toContain('max-age=3600');
});

test('the page without servers is one file at a stable path, which asks nobody but a node and is framed by nobody', async () => {
  const answer = await fetch(`${stage.apiUrl}/widget/v1/escape.html`);
  expect(answer.headers.get('Content-Type')).toContain('text/html');
  expect(answer.headers.get('Content-Security-Policy')).toBe("frame-ancestors 'none'");
  const html = await answer.text();
  const markup = html.replace(/<script>.*<\/script>/s, '');
  expect(markup).toMatch(/<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-/);
  expect(markup).not.toMatch(/(src|href)=(?!"data:)/);
  const manifest: Json = await (await fetch(`${stage.apiUrl}/widget/v1/build.json`)).json();
  const hash = await crypto.subtle.digest('SHA-384', new TextEncoder().encode(html));
  expect(manifest.files['escape.html'].integrity).toBe(`sha384-${Buffer.from(hash).toString('base64')}`);
});
