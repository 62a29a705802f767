// What every adapter to a provider has to do (api/core/rails/provider.ts). A new one adds itself to `ADAPTERS`, with a way to play its payer.
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CallbackRefused, type ChargeRequest, type Provider, ProviderError } from '../../api/core/rails/provider.ts';
import { sandboxProvider } from '../../api/providers/sandbox.ts';
import { freePort } from '../../scripts/dev/ports.ts';
import { startSandbox } from '../../scripts/dev/services.ts';
import { CARDS } from '../support/till.ts';

/** A callback as the provider sent it. */
type Callback = { headers: Record<string, string>; body: string };

/** A provider to test: its adapter, its payer, and what it has called back with. */
type Bench = {
  adapter: Provider;
  pay(pageUrl: string, card: 'succeeds' | 'declined'): Promise<unknown>;
  callbacks: Callback[];
  /** From now on nobody answers. */
  silence(): Promise<void>;
  stop(): Promise<void>;
};

async function openSandboxBench(): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-adapter-'));
  const callbacks: Callback[] = [];
  const receiver = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      callbacks.push({ headers: request.headers as Record<string, string>, body });
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((listening) => receiver.listen(0, '127.0.0.1', listening));
  const apiUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const secret = randomBytes(32).toString('hex');
  const port = await freePort();
  const options = { port, secret, books: join(folder, 'books.json'), apiUrl, logPath: join(folder, 'sandbox.log') };
  const sandbox = await startSandbox(options);
  return {
    adapter: sandboxProvider({ url: sandbox.url, secret }),
    pay: (pageUrl, card) =>
      fetch(pageUrl, {
        method: 'POST',
        body: new URLSearchParams({ number: CARDS[card], expiry: '12/30', cvc: '123' }),
      }),
    callbacks,
    silence: () => sandbox.process.kill(),
    async stop() {
      await sandbox.process.stop();
      receiver.closeAllConnections();
      receiver.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const ADAPTERS: readonly (readonly [name: string, open: () => Promise<Bench>])[] = [['sandbox', openSandboxBench]];

describe.each(ADAPTERS)('the adapter to %s', (name, open) => {
  const asking = { local: true };
  let bench: Bench;
  beforeAll(async () => {
    bench = await open();
  });
  afterAll(() => bench.stop());

  const charge = (fields: Partial<ChargeRequest> = {}): ChargeRequest => ({
    attemptId: randomUUID(),
    method: 'credit_card',
    amountUnits: 2_550n,
    currency: 'EUR',
    decimals: 2,
    description: 'order-1',
    returnUrl: 'https://shop.example/orders/1',
    ...fields,
  });

  /** A charge whose payer has typed a card. */
  async function paid(card: 'succeeds' | 'declined' = 'succeeds'): Promise<string> {
    const reference = await bench.adapter.create(charge(), asking);
    const { pageUrl } = await bench.adapter.authorize(reference, asking);
    await bench.pay(pageUrl ?? '', card);
    return reference;
  }
  const status = async (reference: string) => await bench.adapter.status(reference, asking);

  test('has a name that fits a path, methods and a mode', () => {
    expect(bench.adapter.name).toBe(name);
    expect(name).toMatch(/^[a-z0-9-]+$/);
    expect(bench.adapter.methods.length).toBeGreaterThan(0);
    expect(['test', 'live']).toContain(bench.adapter.mode);
  });

  test('makes one charge of one attempt, however often it is asked', async () => {
    const request = charge();
    const references = await Promise.all([1, 2, 3].map(() => bench.adapter.create(request, asking)));
    expect(new Set(references).size).toBe(1);
    expect(await bench.adapter.create(charge(), asking)).not.toBe(references[0]);
    expect(await status(references[0] ?? '')).toMatchObject({
      ...{ attemptId: request.attemptId, state: 'open', amountUnits: 2_550n, currency: 'EUR', receivedUnits: 0n },
    });
  });

  test('opens it for the payer by the same page or details each time', async () => {
    const reference = await bench.adapter.create(charge(), asking);
    const opened = await bench.adapter.authorize(reference, asking);
    expect(URL.canParse(opened.pageUrl ?? '')).toBe(true);
    expect(await bench.adapter.authorize(reference, asking)).toEqual(opened);
  });

  test('captures what is authorized, once; its snapshots count up', async () => {
    const reference = await paid();
    const authorized = await status(reference);
    expect(authorized).toMatchObject({ state: 'authorized', receivedUnits: 2_550n });
    const captured = await bench.adapter.capture(reference, asking);
    expect(captured).toMatchObject({ state: 'captured', receivedUnits: 2_550n });
    expect(captured.sequence).toBeGreaterThan(authorized.sequence);
    expect(await bench.adapter.capture(reference, asking)).toEqual(captured);
  });

  test('says that a card was declined, and why', async () => {
    const declined = await status(await paid('declined'));
    expect(declined).toMatchObject({ state: 'declined', receivedUnits: 0n });
    expect(declined.reason).not.toBeNull();
  });

  test('voids what is not captured, and answers with what stands when it is too late', async () => {
    const open = await paid();
    expect(await bench.adapter.void(open, asking)).toMatchObject({ state: 'voided', receivedUnits: 0n });
    const captured = await paid();
    await bench.adapter.capture(captured, asking);
    expect(await bench.adapter.void(captured, asking)).toMatchObject({ state: 'captured', receivedUnits: 2_550n });
  });

  test('refunds once under one id, and never more than is there', async () => {
    const reference = await paid();
    await bench.adapter.capture(reference, asking);
    const refund = { reference, refundId: randomUUID(), amountUnits: 2_000n };
    const done = await bench.adapter.refund(refund, asking);
    expect(await bench.adapter.refund(refund, asking)).toEqual(done);
    const more = bench.adapter.refund({ ...refund, refundId: randomUUID() }, asking);
    await expect(more).rejects.toMatchObject({ code: 'refused' });
    expect((await status(reference)).receivedUnits).toBe(2_550n);
  });

  test('calls back with signed snapshots; altered, old or unsigned ones are refused', async () => {
    const reference = await paid();
    await expect.poll(() => bench.callbacks.some(({ body }) => body.includes(reference))).toBe(true);
    const callback = bench.callbacks.find(({ body }) => body.includes(reference));
    if (!callback) throw new Error('No callback came.');
    const parse = (headers = callback.headers, body = callback.body, now = new Date()) =>
      bench.adapter.parseCallback(headers, body, now);
    expect(parse()).toEqual(await status(reference));
    expect(() => parse({})).toThrow(CallbackRefused);
    expect(() => parse(callback.headers, callback.body.replace('2550', '9999'))).toThrow(CallbackRefused);
    expect(() => parse(callback.headers, callback.body, new Date(Date.now() + 3_600_000))).toThrow(CallbackRefused);
  });

  test('refuses what it does not know, and is led to no private address for a node that is not local', async () => {
    await expect(bench.adapter.status('ch_unknown', asking)).rejects.toMatchObject({ code: 'refused' });
    await expect(bench.adapter.create(charge({ currency: 'nothing' }), asking)).rejects.toBeInstanceOf(ProviderError);
    await expect(bench.adapter.create(charge(), { local: false })).rejects.toMatchObject({ code: 'refused' });
  });

  test('is unavailable, not refusing, when nobody answers', async () => {
    await bench.silence();
    await expect(bench.adapter.create(charge(), asking)).rejects.toMatchObject({ code: 'unavailable' });
  });
});
