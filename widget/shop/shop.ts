/**
 * Owns the demo shop's routes. It keeps nothing: an order is a payment, and a payment's id is its address. A real shop
 * would ask who is looking before it hands out an access token; this one has no customers to tell apart.
 */
import { readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { Hono } from 'hono';
import { secureHeaders } from 'hono/secure-headers';
import { orderPage, playgroundPage, shopPage } from './pages.ts';
import { Platform, PlatformError, verbs } from './platform.ts';
import { FIAT, products } from './products.ts';
import type { ShopSettings } from './settings.ts';

const ID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';

/** The shop as a Hono app. */
export function createShop(settings: ShopSettings): Hono {
  const platform = new Platform(settings);
  const app = new Hono();
  const api = new URL(settings.apiUrl).origin;
  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'self'"],
        scriptSrc: ["'self'", api],
        connectSrc: ["'self'", api],
        imgSrc: ["'self'", 'data:'],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
      crossOriginResourcePolicy: 'same-origin',
      referrerPolicy: 'same-origin',
      strictTransportSecurity: false,
    }),
  );
  app.onError((error, c) => {
    if (!(error instanceof PlatformError)) throw error;
    return c.text(error.message, error.status === 409 ? 409 : error.status === 404 ? 404 : 502);
  });

  app.get('/', (c) => c.html(shopPage(settings)));

  app.get('/playground', (c) => c.html(playgroundPage(settings)));

  app.post('/orders', async (c) => {
    const { sku, method = 'web3' } = await c.req.parseBody();
    const product = products.find((candidate) => candidate.sku === sku);
    if (!product) return c.text('No such product.', 404);
    const externalId = `${product.sku}-${crypto.randomUUID().slice(0, 8)}`;
    if (method !== 'web3' && method !== 'credit_card' && method !== 'bank_transfer') {
      return c.text('No such way to pay.', 400);
    }
    const currency = method === 'web3' ? product.currency : FIAT;
    const returnUrl = `${new URL(c.req.url).origin}/orders/{payment_id}`;
    const payment = await platform.createPayment({ ...product, currency, externalId, method, returnUrl });
    return c.redirect(`/orders/${payment.id}`, 303);
  });

  app.get(`/orders/:id{${ID}}`, async (c) => {
    const payment = await platform.getPayment(c.req.param('id'));
    const product = products.find(({ sku }) => sku === payment.metadata);
    if (!product) return c.notFound();
    return c.html(orderPage(settings, { payment, product, returnUrl: new URL('/', c.req.url).href }));
  });

  app.get(`/orders/:id{${ID}}/token`, async (c) => {
    const { access_token } = await platform.getPayment(c.req.param('id'));
    if (access_token === null) throw new PlatformError(403, 'The shop may not read access tokens.');
    return c.text(access_token, 200, { 'Cache-Control': 'no-store' });
  });

  app.get(`/orders/:id{${ID}}/timeline`, async (c) => {
    const id = c.req.param('id');
    const [{ status, rail }, logs] = await Promise.all([platform.getPayment(id), platform.getLogs(id)]);
    return c.json({ status, logs, isOverpaid: rail !== null && rail.excess > 0 }, 200, { 'Cache-Control': 'no-store' });
  });

  for (const verb of verbs) {
    app.post(`/orders/:id{${ID}}/${verb}`, async (c) => {
      await platform.ask(c.req.param('id'), verb);
      return c.body(null, 204);
    });
  }

  if (settings.sandboxUrl !== null) {
    app.post(`/orders/:id{${ID}}/day`, async (c) => {
      await platform.letDayPass();
      return c.body(null, 204);
    });
  }

  app.get('/drawings/:file{[a-z]+\\.svg}', (c) => {
    const product = products.find(({ sku }) => `${sku}.svg` === c.req.param('file'));
    if (!product) return c.notFound();
    const image = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 160">${product.drawing}</svg>`;
    return c.body(image, 200, { 'Content-Type': 'image/svg+xml' });
  });

  app.get('/:sheet{(?:shop|playground)\\.css}', async (c) =>
    c.body(await readFile(browserFile(c.req.param('sheet'))), 200, { 'Content-Type': 'text/css' }),
  );
  app.get('/order-page.js', async (c) =>
    c.body(await script('order-page.ts'), 200, { 'Content-Type': 'text/javascript' }),
  );
  if (settings.testWallet) mountTestWallet(app, settings.testWallet);
  return app;
}

/** Local mode: the page's wallet reaches the node through the shop, so that one origin is enough for the page. */
function mountTestWallet(app: Hono, { rpcUrl }: { rpcUrl: string }): void {
  app.get('/test-wallet.js', async (c) =>
    c.body(await script('test-wallet.ts'), 200, { 'Content-Type': 'text/javascript' }),
  );
  app.post('/test-wallet/rpc', async (c) => {
    const call: unknown = await c.req.json();
    const { method, params } = Object(call);
    if (typeof method !== 'string' || !/^eth_\w+$/.test(method)) return c.text('Not for this wallet.', 400);
    const response = await fetch(rpcUrl, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
    return c.json(Object(await response.json()));
  });
}

function browserFile(name: string): string {
  return join(import.meta.dirname, 'browser', name);
}

/** A script of the page, without its types. */
async function script(name: string): Promise<string> {
  return stripTypeScriptTypes(await readFile(browserFile(name), 'utf8'));
}
