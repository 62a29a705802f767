// The event resource: everything that happened to the payments of a node and all below it, in one order that never changes.
import { createRoute, type RouteConfig, z } from '@hono/zod-openapi';
import { listEvents, renderEvent } from '../core/webhooks/events.ts';
import { createRouter, problems, requireIntegration, type Services } from '../http.ts';
import { json, units } from '../resource.ts';
import { paymentStatusSchema } from './payment.ts';
import { proofResponse } from './proof.ts';

/** A type of event, or all that begin with `prefix.`, written `prefix.*`. */
export const eventFilter = z
  .string()
  .max(100)
  .regex(/^(\*|\w+(\.\w+)*(\.\*)?)$/, 'must be a type like payment.funded, or a prefix like payment.*')
  .openapi({ example: 'payment.*' });

const decimal = z.number().openapi({ example: 25.5 });

/** How what came differs from what was asked for. */
export const differenceResponse = z
  .object({
    currency: z.string().openapi({ example: 'EUR' }),
    amount: decimal.openapi({ description: 'Asked for' }),
    amount_units: units,
    received: decimal,
    received_units: units,
    missing: decimal,
    missing_units: units,
    excess: decimal.openapi({ description: 'Too much, and not given back yet' }),
    excess_units: units,
  })
  .openapi('Difference', {
    description: 'Of payment.underpaid, payment.overpaid and payment.excess_refunded: of the attempt, exact',
  });

/** An event, as the list shows it and as a webhook's body is. */
export const eventResponse = z
  .object({
    id: z.uuid().openapi({ description: 'Also the webhook-id of its webhooks: the same however often it is sent' }),
    type: z.string().openapi({ example: 'payment.funded' }),
    timestamp: z.iso.datetime().openapi({ description: 'When it happened' }),
    data: z.object({
      payment_id: z.uuid().nullable().openapi({ description: 'Null in tests only' }),
      external_id: z.string().nullable(),
      node_id: z.uuid(),
      status: paymentStatusSchema
        .nullable()
        .openapi({ description: "The payment's status after it; null where the status did not change" }),
      finality: z.enum(['unsafe', 'safe', 'final']).openapi({
        description:
          'unsafe: rests on a chain event with fewer confirmations than the network asks for. safe: with as many; a deeper reorganisation still can take it back, which a `.reverted` event then says. final: on a chain event that is finalised, or on none',
      }),
      message: z.string().openapi({ example: 'The deposit is confirmed.' }),
      reverts: z.uuid().nullable().openapi({ description: 'In a `.reverted` event: the id of the one taken back' }),
      proof: proofResponse.nullable(),
      difference: differenceResponse.nullable(),
    }),
  })
  .openapi('Event');

const types = z
  .string()
  .transform((text) => text.split(','))
  .pipe(z.array(eventFilter).max(50))
  .optional()
  .openapi({
    type: 'string',
    description: 'Types or prefixes, comma-separated; a type covers its `.reverted`; left out: all',
    example: 'payment.*,deal.duplicate',
  });

/** What a receiver of webhooks gets, as the OpenAPI document shows it. */
export const eventWebhook: RouteConfig = {
  method: 'post',
  path: 'event',
  operationId: 'receiveEvent',
  summary: 'An event, sent to webhook endpoints and notify_urls',
  description:
    'Signed by Standard Webhooks. Comes again until it is answered with 2xx; the webhook-id tells repetitions.',
  tags: ['Webhooks'],
  security: [],
  request: {
    headers: z.object({
      'webhook-id': z.uuid().openapi({ description: "The event's id" }),
      'webhook-timestamp': z
        .string()
        .openapi({ description: 'Of the attempt, in Unix seconds', example: '1798804800' }),
      'webhook-signature': z.string().openapi({
        description: 'By each valid key, separated by spaces: `v1,` HMAC-SHA256 or `v1a,` Ed25519, base64',
        example: 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
      }),
    }),
    body: { required: true, content: { 'application/json': { schema: eventResponse } } },
  },
  responses: {
    '2XX': { description: 'It has arrived' },
    410: { description: 'Send no more: the endpoint is disabled' },
    default: { description: 'It comes again' },
  },
};

/** Mounts the route of events. */
export function eventRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();

  router.openapi(
    createRoute({
      method: 'get',
      path: '/events',
      summary: 'List the events of a node and all below it, oldest first, after one that you have',
      description:
        'Nothing is ever added before an event that was listed: asking again with the last `next` misses none and repeats none.',
      tags: ['Events'],
      security: [{ integration: [] }],
      middleware: requireIntegration(services),
      request: {
        query: z.object({
          node_id: z.uuid().optional().openapi({ description: "Left out: the integration's own node" }),
          after: z.uuid().optional().openapi({ description: 'The id of an event; left out: from the beginning' }),
          type: types,
          payment_id: z.uuid().optional(),
          limit: z.coerce.number().int().min(1).max(500).default(100).openapi({ example: 100 }),
        }),
      },
      responses: {
        200: json(
          z.object({
            items: z.array(eventResponse),
            next: z
              .uuid()
              .nullable()
              .openapi({ description: '`after` for what follows; null: nothing was ever listed' }),
            has_more: z.boolean(),
          }),
          'Events in their order',
        ),
        ...problems('invalid_request', 'unauthenticated', 'not_found'),
      },
    }),
    async (c) => {
      const { node_id, payment_id, after, type, limit } = c.req.valid('query');
      const filter = { nodeId: node_id, paymentId: payment_id, types: type ?? [], after };
      const rows = await listEvents(sql, c.get('integration'), filter, limit + 1);
      const items = rows.slice(0, limit).map(renderEvent);
      const next = items.at(-1)?.id ?? after ?? null;
      return c.json({ items, next, has_more: rows.length > limit }, 200);
    },
  );

  return router;
}
