// The adapter to the sandbox (scripts/sandbox), a provider of cards and bank transfers for tests: its own HTTP process, as a real
// one would be. The only file that knows its API, its signature and its address.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { z } from '@hono/zod-openapi';
import { DestinationError, send } from '../core/destinations.ts';
import {
  type Asking,
  type Authorization,
  CallbackRefused,
  type ChargeRequest,
  type ChargeSnapshot,
  type Provider,
  ProviderError,
  type RefundSnapshot,
} from '../core/rails/provider.ts';

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024;
// A callback that is repeated is signed anew; what is older was kept by somebody.
const MAX_AGE_SECONDS = 300;

const decimalUnits = z
  .string()
  .regex(/^\d{1,78}$/)
  .transform(BigInt);

const snapshotBody = z
  .object({
    reference: z.string().min(1).max(128),
    merchant_reference: z.string().max(128),
    sequence: z.int().positive(),
    state: z.enum(['open', 'held', 'authorized', 'captured', 'declined', 'bounced', 'voided']),
    amount: decimalUnits,
    currency: z.string(),
    received: decimalUnits,
    reason: z.string().max(500).nullable(),
  })
  .transform(
    (charge): ChargeSnapshot => ({
      reference: charge.reference,
      attemptId: charge.merchant_reference,
      sequence: BigInt(charge.sequence),
      state: charge.state,
      amountUnits: charge.amount,
      currency: charge.currency,
      receivedUnits: charge.received,
      reason: charge.reason,
    }),
  );
const authorizationBody = z.object({
  page_url: z.url().nullable(),
  transfer: z.object({ iban: z.string(), bic: z.string(), holder: z.string(), reference: z.string() }).nullable(),
});
const refundBody = z.object({
  reference: z.string().min(1).max(128),
  state: z.enum(['done', 'pending', 'refused']),
  reason: z.string().nullable(),
});

/** Where the sandbox is, and the secret that both sides know. */
export type SandboxOptions = { url: string; secret: string };

/** An adapter to the sandbox at `url`. */
export function sandboxProvider({ url, secret }: SandboxOptions): Provider {
  async function ask<Schema extends z.ZodType>(
    method: 'GET' | 'POST',
    path: string,
    schema: Schema,
    { local, body }: Asking & { body?: unknown },
  ): Promise<z.output<Schema>> {
    const headers = { Authorization: `Bearer ${apiKeyOf(secret)}`, 'Content-Type': 'application/json' };
    const text = body === undefined ? undefined : JSON.stringify(body);
    const limits = { timeoutMs: TIMEOUT_MS, maxAnswerBytes: MAX_ANSWER_BYTES };
    const answer = await send(new URL(path, url).href, { method, headers, body: text, local, ...limits }).catch(
      (error) => {
        if (!(error instanceof DestinationError)) throw error;
        const code = error.code === 'refused' ? 'refused' : 'unavailable';
        throw new ProviderError(code, `The sandbox cannot be asked. ${error.message}`);
      },
    );
    if (answer.status >= 400 && answer.status < 500 && answer.status !== 429 && answer.status !== 408) {
      throw new ProviderError('refused', `The sandbox refused (${answer.status}). ${messageIn(answer.body)}`.trim());
    }
    if (answer.status !== 200) throw new ProviderError('unavailable', `The sandbox answered ${answer.status}.`);
    const parsed = schema.safeParse(parseJson(answer.body.toString('utf8')));
    if (!parsed.success) throw new ProviderError('unavailable', 'The sandbox answered something that cannot be read.');
    return parsed.data;
  }

  const chargePath = (reference: string) => `/charges/${encodeURIComponent(reference)}`;

  return {
    name: 'sandbox',
    methods: ['credit_card', 'bank_transfer'],
    mode: 'test',

    async create({ attemptId, amountUnits, returnUrl, ...same }: ChargeRequest, asking) {
      const charge = {
        ...same,
        merchant_reference: attemptId,
        amount: amountUnits.toString(),
        return_url: returnUrl,
      };
      return (await ask('POST', '/charges', snapshotBody, { ...asking, body: charge })).reference;
    },

    async authorize(reference, asking): Promise<Authorization> {
      const { page_url: pageUrl, transfer } = await ask(
        'POST',
        `${chargePath(reference)}/authorize`,
        authorizationBody,
        asking,
      );
      return { pageUrl, transfer };
    },

    capture: (reference, asking) => ask('POST', `${chargePath(reference)}/capture`, snapshotBody, asking),
    void: (reference, asking) => ask('POST', `${chargePath(reference)}/void`, snapshotBody, asking),
    status: (reference, asking) => ask('GET', chargePath(reference), snapshotBody, asking),

    async refund({ reference, refundId, amountUnits }, asking): Promise<RefundSnapshot> {
      const body = { merchant_reference: refundId, amount: amountUnits.toString() };
      return await ask('POST', `${chargePath(reference)}/refunds`, refundBody, { ...asking, body });
    },

    parseCallback(headers: IncomingHttpHeaders, rawBody: string, now: Date): ChargeSnapshot {
      verifySignature(secret, headers['sandbox-signature'], rawBody, now);
      const parsed = snapshotBody.safeParse(parseJson(rawBody));
      if (!parsed.success) throw new CallbackRefused('The callback cannot be read.');
      return parsed.data;
    },

    async moveClock(now: Date): Promise<void> {
      // Set up beside the installation, whose own clock follows only where nothing is live.
      await ask('POST', '/clock', z.object({ now: z.string() }), { local: true, body: { now: now.toISOString() } });
    },
  };
}

function verifySignature(secret: string, header: string | string[] | undefined, rawBody: string, now: Date): void {
  const match = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(String(header ?? ''));
  if (!match?.[1] || !match[2]) throw new CallbackRefused('The callback is not signed.');
  const age = Math.abs(now.getTime() / 1_000 - Number(match[1]));
  if (age > MAX_AGE_SECONDS) throw new CallbackRefused('The callback was signed at another time.');
  const expected = Buffer.from(callbackSignature(secret, match[1], rawBody), 'hex');
  if (!timingSafeEqual(expected, Buffer.from(match[2], 'hex'))) throw new CallbackRefused('The signature is wrong.');
}

/** What the sandbox signs a callback with, in hex: HMAC-SHA256 over time, a dot and the raw body. */
export function callbackSignature(secret: string, unixSeconds: string, rawBody: string): string {
  return createHmac('sha256', keyOf(secret, 'callbacks')).update(`${unixSeconds}.${rawBody}`).digest('hex');
}

/** What opens the sandbox's API. */
export function apiKeyOf(secret: string): string {
  return keyOf(secret, 'api').toString('hex');
}

function keyOf(secret: string, purpose: string): Buffer {
  return createHmac('sha256', secret).update(`dealkeep sandbox ${purpose}`).digest();
}

function messageIn(body: Buffer): string {
  const parsed = z.object({ message: z.string().max(500) }).safeParse(parseJson(body.toString('utf8')));
  return parsed.success ? parsed.data.message : '';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
