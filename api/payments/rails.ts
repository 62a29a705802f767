// Cards and bank transfers over HTTP: a payment's attempts, and what providers call back with.
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { actorOf } from '../callers.ts';
import { CoreError } from '../core/errors.ts';
import { retryCharge } from '../core/payments/actions.ts';
import { authorizePayment, loadPayment } from '../core/payments/payments.ts';
import { applyCharge } from '../core/rails/charges.ts';
import { CallbackRefused } from '../core/rails/provider.ts';
import { createRouter, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { idParams, json } from '../resource.ts';
import { attempt, renderAttempt } from './rail.ts';

const attemptList = z.object({ items: z.array(attempt) }).openapi('Attempts');

/** Mounts the routes of rails. */
export function railRoutes(services: Services) {
  const { sql, providers } = services;
  const router = createRouter();
  const shared = { tags: ['Payments'], security: [{ integration: [] }], middleware: requireIntegration(services) };

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/payments/{id}/attempts',
      summary: "List a payment's attempts at its provider, oldest first",
      request: { params: idParams },
      responses: {
        200: json(attemptList, 'Every charge and refund; none of a payment on chain'),
        ...problems('invalid_request', 'unauthenticated', 'not_found'),
      },
    }),
    async (c) => {
      const key = await authorizePayment(sql, c.get('integration'), c.req.valid('param').id);
      return c.json({ items: (await loadPayment(sql, key)).attempts.map(renderAttempt) }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/payments/{id}/attempts',
      summary: 'Try a failed card or transfer payment again',
      description: 'Opens the next attempt, with a page or account of its own; the payment is pending again.',
      request: { headers: keyHeader, params: idParams },
      responses: {
        200: json(attemptList, 'Every attempt, the new one last'),
        ...problems('invalid_request', 'unauthenticated', 'not_found', 'not_retryable', ...keyRefusals),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      const key = await authorizePayment(sql, integration, c.req.valid('param').id);
      return await once(c, services, 200, async (tx) => {
        const { attempts } = await retryCharge(tx, key, actorOf(integration));
        return { items: attempts.map(renderAttempt) };
      });
    },
  );

  router.openapi(
    createRoute({
      method: 'post',
      path: '/providers/{provider}/callbacks',
      summary: 'Take a callback of a provider',
      description:
        "For providers alone: signed in their own way over the raw body. A repeated or older one is answered alike and changes nothing; a lost one is made up for by asking for the charge's status.",
      tags: ['Payments'],
      security: [],
      request: { params: z.object({ provider: z.string().max(64).openapi({ example: 'sandbox' }) }) },
      responses: {
        204: { description: 'Taken' },
        ...problems('invalid_request', 'unauthenticated', 'not_found'),
      },
    }),
    async (c) => {
      const provider = providers?.named(c.req.valid('param').provider);
      if (!provider) throw new CoreError('not_found', 'The provider does not exist.');
      const snapshot = await readCallback(c, (headers, body) => provider.parseCallback(headers, body, new Date()));
      await applyCharge(sql, provider.name, snapshot, 'callback');
      return c.body(null, 204);
    },
  );

  return router;
}

async function readCallback<T>(c: Context, parse: (headers: Record<string, string>, body: string) => T): Promise<T> {
  try {
    return parse(c.req.header(), await c.req.text());
  } catch (error) {
    if (!(error instanceof CallbackRefused)) throw error;
    throw new CoreError('unauthenticated', error.message);
  }
}
