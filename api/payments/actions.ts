// What can be asked of a payment's money: cancel, release, refund. Each is accepted as operations; the chain decides.
import { createRoute, z } from '@hono/zod-openapi';
import { cancelPayment, refundPayment, releasePayment } from '../core/actions.ts';
import type { Sql, Transaction } from '../core/db.ts';
import type { Actor } from '../core/log.ts';
import { loadOperations } from '../core/operations.ts';
import { authorizePayment } from '../core/payments.ts';
import type { Integration } from '../core/platform.ts';
import type { OperationRow } from '../core/schema.ts';
import {
  createRouter,
  decimalText,
  jsonBody,
  problems,
  requireIntegration,
  type Services,
  wholeNumber,
} from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { operationResponse, renderOperation } from './operations.ts';
import { idParams, json } from './resource.ts';

const accepted = z
  .object({
    status: z.literal('accepted'),
    operation: operationResponse.openapi({ description: 'The first of the operations' }),
    operations: z.array(operationResponse).openapi({ description: 'One a leg' }),
  })
  .openapi('Accepted');

const leg = wholeNumber(0, 1_000).optional().openapi({ description: 'Only this leg (0, 1, …); left out: all' });
const amount = decimalText.optional().openapi({ description: 'Only this part, in the major unit; left out: all held' });
const legBody = z.strictObject({ leg }).openapi('LegChoice');
const partBody = z.strictObject({ leg, amount }).openapi('PartChoice');

/** Mounts the routes of a payment's actions. */
export function actionRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const operations = [
    {
      path: '/payments/{id}/cancel',
      body: legBody,
      verb: cancelPayment,
      summary: 'Cancel a payment or a leg: close what is unfunded, refund what is funded',
    },
    {
      path: '/payments/{id}/release',
      body: partBody,
      verb: releasePayment,
      summary: 'Release what a payment holds to its payees: all, one leg, or a part of one',
    },
    {
      path: '/payments/{id}/refund',
      body: partBody,
      verb: refundPayment,
      summary: 'Refund what a payment holds to its payer: all, one leg, or a part of one',
    },
  ] as const;
  for (const { path, body, verb, summary } of operations) {
    router.openapi(
      createRoute({
        method: 'post',
        path,
        summary,
        tags: ['Payments'],
        security: [{ integration: [] }],
        middleware: [authenticated, jsonBody({ optional: true })] as const,
        request: {
          headers: keyHeader,
          params: idParams,
          body: { required: false, content: { 'application/json': { schema: body } } },
        },
        responses: {
          202: json(accepted, 'Accepted; the chain decides. Asking again answers with the same operation'),
          ...problems(
            'invalid_request',
            'unauthenticated',
            'forbidden',
            'not_found',
            'illegal_transition',
            ...keyRefusals,
          ),
        },
      }),
      async (c) => {
        const integration = c.get('integration');
        const key = await authorizePayment(sql, integration, c.req.valid('param').id, { foreign: 'forbidden' });
        const choice: z.output<typeof partBody> = c.req.valid('json') ?? {};
        return await once(c, services, 202, async (tx) =>
          renderAccepted(tx, await verb(tx, key, actorOf(integration), choice)),
        );
      },
    );
  }

  return router;
}

/** Who acts when an integration asks. */
export function actorOf(integration: Integration): Actor {
  return { type: 'integration', id: integration.id };
}

async function renderAccepted(sql: Sql | Transaction, rows: OperationRow[]): Promise<z.input<typeof accepted>> {
  const [{ nodeId }] = rows as [OperationRow];
  const ids = rows.map((row) => row.id);
  const operations = (await loadOperations(sql, nodeId, ids)).map(renderOperation);
  const [operation] = operations;
  if (!operation) throw new Error('An accepted request has no operation.');
  return { status: 'accepted', operation, operations };
}
