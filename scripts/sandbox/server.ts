/**
 * A provider of cards and bank transfers for tests, as its own process: an API for the merchant, a page for cards, a bank that payers
 * send transfers from, signed callbacks. `npm start` starts it. No money moves here, and it is not meant to be reached by others.
 */
import { timingSafeEqual } from 'node:crypto';
import { serve } from '@hono/node-server';
import { Command, InvalidArgumentError } from 'commander';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import { apiKeyOf } from '../../api/providers/sandbox.ts';
import { type Behaviour, Callbacks, render } from './callbacks.ts';
import { ACCOUNT, type Charge, Refused, Sandbox } from './charges.ts';
import { bankPage, cardPage } from './pages.ts';

const amount = z.string().regex(/^[1-9]\d{0,30}$/, 'amount must be a positive whole number of minor units, as text');
const chargeRequest = z.object({
  merchant_reference: z.string().min(1).max(128),
  method: z.enum(['credit_card', 'bank_transfer']),
  amount,
  currency: z.string().regex(/^[A-Z]{3}$/, 'currency must be an ISO 4217 code'),
  decimals: z.int().min(0).max(4),
  description: z.string().max(255),
  return_url: z
    .url({ protocol: /^https?$/ })
    .max(2_048)
    .nullable()
    .default(null),
});
const refundRequest = z.object({ merchant_reference: z.string().min(1).max(128), amount });
const clockRequest = z.object({ now: z.iso.datetime({ offset: true }) });
const faultsRequest = z.object({ callbacks: z.enum(['prompt', 'lost', 'repeated', 'reversed']) });
const cardForm = z.object({ number: z.string().max(40), expiry: z.string().max(10), cvc: z.string().max(10) });
const transferForm = z.object({ remittance: z.string().max(40), amount, bounces: z.literal('true').optional() });

// More than any form or request of ours.
const MAX_BODY_BYTES = 16 * 1024;
const CLEARING_INTERVAL_MS = 500;

type Options = { port: number; publicUrl: string; callbackUrl: string; secret: string; books: string };

function createSandbox({ publicUrl, callbackUrl, secret, books }: Options) {
  const callbacks = new Callbacks(callbackUrl, secret);
  const sandbox = new Sandbox(books, (charge) => callbacks.tell(charge));
  const app = new Hono();
  app.use(bodyLimit({ maxSize: MAX_BODY_BYTES }));
  app.onError((error, c) => {
    if (error instanceof Refused) return c.json({ message: error.message }, error.status);
    if (error instanceof z.ZodError)
      return c.json({ message: error.issues.map(({ message }) => message).join(' ') }, 400);
    if (error instanceof SyntaxError) return c.json({ message: 'The body is not JSON.' }, 400);
    console.error(error);
    return c.json({ message: 'Something went wrong.' }, 500);
  });

  const merchant = new Hono();
  merchant.use(async (c, next) => {
    const expected = Buffer.from(`Bearer ${apiKeyOf(secret)}`);
    const given = Buffer.from(c.req.header('Authorization') ?? '');
    if (given.length !== expected.length || !timingSafeEqual(given, expected))
      return c.json({ message: 'Who are you?' }, 401);
    return await next();
  });
  const chargeOf = (c: Context): Charge => sandbox.find(c.req.param('reference') ?? '');
  merchant.post('/charges', async (c) => {
    const {
      merchant_reference: merchantReference,
      return_url: returnUrl,
      ...request
    } = chargeRequest.parse(await c.req.json());
    return c.json(render(sandbox.create({ ...request, merchantReference, returnUrl })));
  });
  merchant.get('/charges/:reference', (c) => c.json(render(chargeOf(c))));
  merchant.post('/charges/:reference/authorize', (c) => {
    const charge = chargeOf(c);
    const byCard = charge.method === 'credit_card';
    return c.json({
      page_url: byCard ? `${publicUrl}/pay/${charge.pageKey}` : null,
      transfer: byCard ? null : { ...ACCOUNT, reference: charge.remittance },
    });
  });
  merchant.post('/charges/:reference/capture', (c) => c.json(render(sandbox.capture(chargeOf(c)))));
  merchant.post('/charges/:reference/void', (c) => c.json(render(sandbox.void(chargeOf(c)))));
  merchant.post('/charges/:reference/refunds', async (c) => {
    const { merchant_reference, amount: units } = refundRequest.parse(await c.req.json());
    const { reference } = sandbox.refund(chargeOf(c), merchant_reference, units);
    return c.json({ reference, state: 'done', reason: null });
  });
  merchant.post('/clock', async (c) => {
    sandbox.moveClock(new Date(clockRequest.parse(await c.req.json()).now));
    return c.json({ now: sandbox.now().toISOString() });
  });
  merchant.post('/faults', async (c) => {
    callbacks.behaviour = faultsRequest.parse(await c.req.json()).callbacks satisfies Behaviour;
    return c.json({ callbacks: callbacks.behaviour });
  });

  app.use('/pay/*', async (c, next) => {
    await next();
    c.header(
      'Content-Security-Policy',
      "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    );
    c.header('Cache-Control', 'no-store');
    c.header('Referrer-Policy', 'no-referrer');
  });
  app.get('/pay/:key', (c) => c.html(cardPage(sandbox.findPage(c.req.param('key')))));
  app.post('/pay/:key', async (c) => {
    const charge = sandbox.findPage(c.req.param('key'));
    try {
      sandbox.pay(charge, cardForm.parse(await c.req.parseBody()));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return c.html(cardPage(charge, error.message), error.status);
    }
    return c.redirect(`/pay/${charge.pageKey}`, 303);
  });
  app.post('/pay/:key/review', async (c) => {
    const charge = sandbox.findPage(c.req.param('key'));
    sandbox.review(charge, (await c.req.parseBody()).approved === 'true');
    return c.redirect(`/pay/${charge.pageKey}`, 303);
  });
  const bank = () => ({ charges: sandbox.charges, transfers: sandbox.transfers, now: sandbox.now() });
  app.get('/bank', (c) => c.html(bankPage(bank())));
  app.post('/bank', async (c) => {
    try {
      const form = transferForm.parse(await c.req.parseBody());
      const { clearsAt } = sandbox.transfer({ ...form, bounces: form.bounces === 'true' });
      return c.html(bankPage(bank(), { text: `Sent; it clears at ${clearsAt}.`, isError: false }));
    } catch (error) {
      if (!(error instanceof Refused || error instanceof z.ZodError)) throw error;
      const text = error instanceof Refused ? error.message : error.issues.map(({ message }) => message).join(' ');
      return c.html(bankPage(bank(), { text, isError: true }), 400);
    }
  });
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.route('/', merchant);
  const clearing = setInterval(() => sandbox.clearDue(), CLEARING_INTERVAL_MS);
  return { app, stop: () => clearInterval(clearing) };
}

function port(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgumentError('A port is 1 to 65535.');
}

await new Command()
  .name('node scripts/sandbox/server.ts')
  .description('A provider of cards and bank transfers for tests. SANDBOX_SECRET is what it and the API share.')
  .requiredOption('--port <port>', 'to listen on, on 127.0.0.1', port)
  .requiredOption('--callback-url <url>', 'where changes are told: <api>/api/v1/providers/sandbox/callbacks')
  .requiredOption('--books <file>', 'where charges are kept')
  .addHelpText(
    'after',
    `
Example:
  SANDBOX_SECRET=test node scripts/sandbox/server.ts --port 4200 --books .data/sandbox.json \\
    --callback-url http://127.0.0.1:4000/api/v1/providers/sandbox/callbacks`,
  )
  .action((flags: { port: number; callbackUrl: string; books: string }) => {
    const secret = process.env.SANDBOX_SECRET;
    if (!secret) {
      console.error('SANDBOX_SECRET is not set.');
      process.exit(2);
    }
    const sandbox = createSandbox({ ...flags, secret, publicUrl: `http://127.0.0.1:${flags.port}` });
    const server = serve({ fetch: sandbox.app.fetch, hostname: '127.0.0.1', port: flags.port }, () => {
      console.log(`The sandbox answers at http://127.0.0.1:${flags.port}`);
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        sandbox.stop();
        server.close(() => process.exit(0));
      });
    }
  })
  .parseAsync();
