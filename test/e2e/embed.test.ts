// The snippet of the README on a page of another origin, as ES module and as classic script.
import { readFile } from 'node:fs/promises';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
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
