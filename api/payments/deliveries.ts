// The webhook delivery resource: what was sent to an endpoint, each attempt with what came back, and how to send it again.
import { createRoute, z } from '@hono/zod-openapi';
import {
  type AttemptRow,
  type DeliveryRow,
  getDelivery,
  listDeliveries,
  replay,
  resend,
  sendTest,
} from '../core/webhooks/deliveries.ts';
import { createRouter, jsonBody, pageQuery, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, idParams, json, moment, paged } from '../resource.ts';

const status = z.enum(['waiting', 'delivered', 'failed', 'cancelled']).openapi({
  description:
    'failed: given up after three days of attempts. cancelled: its endpoint was archived, or a notify_url answered 410',
});

const deliveryResponse = z
  .object({
    id: z.uuid(),
    node_id: z.uuid(),
    endpoint_id: z.uuid(),
    notify_url: z.string().nullable().openapi({ description: "Where it goes, if to a payment's own URL" }),
    event_id: z.uuid(),
    event_type: z.string(),
    payment_id: z.uuid().nullable(),
    cause: z.enum(['event', 'resend', 'replay', 'test']),
    status: status,
    attempts: z.int(),
    next_attempt_at: z.string().nullable().openapi({
      description: 'Not before an earlier event of its payment has arrived or was given up',
    }),
    created_at: z.string(),
    finished_at: z.string().nullable(),
  })
  .openapi('WebhookDelivery');

const attemptResponse = z
  .object({
    number: z.int(),
    started_at: z.string(),
    latency_ms: z.int(),
    status_code: z.int().nullable().openapi({ description: 'Null: no answer; `error` says why', example: 200 }),
    error: z.string().nullable().openapi({ example: 'Answered 503.' }),
    answer: z.string().nullable().openapi({ description: 'The first 4 kB', example: 'ok' }),
  })
  .openapi('WebhookAttempt');

const deliveryWithLog = deliveryResponse.extend({ log: z.array(attemptResponse) }).openapi('WebhookDeliveryLog');

const replayBody = z
  .strictObject({ from: moment, until: moment.optional().openapi({ description: 'Left out: now' }) })
  .openapi('ReplayEvents');

/** Mounts the routes of deliveries, and those of endpoints that make some. */
export function deliveryRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Webhooks'], security: [{ integration: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'forbidden', 'not_found'] as const;

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/webhook-deliveries',
      summary: "List the deliveries to a node's webhook endpoints, newest first",
      middleware: authenticated,
      request: {
        query: z.object({
          node_id: z.uuid(),
          endpoint_id: z.uuid().optional(),
          payment_id: z.uuid().optional(),
          status: status.optional(),
          ...pageQuery,
        }),
      },
      responses: { 200: json(paged(deliveryResponse), 'A page of deliveries'), ...problems(...refusals) },
    }),
    async (c) => {
      const { node_id, endpoint_id, payment_id, page, per_page, ...rest } = c.req.valid('query');
      const filter = { nodeId: node_id, endpointId: endpoint_id, paymentId: payment_id, ...rest };
      const { rows, total } = await listDeliveries(sql, c.get('integration'), filter, { page, perPage: per_page });
      return c.json({ items: rows.map(render), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/webhook-deliveries/{id}',
      summary: 'Get a delivery with each of its attempts',
      middleware: authenticated,
      request: { params: idParams },
      responses: { 200: json(deliveryWithLog, 'The delivery'), ...problems(...refusals) },
    }),
    async (c) => {
      const delivery = await getDelivery(sql, c.get('integration'), c.req.valid('param').id);
      return c.json({ ...render(delivery), log: delivery.log.map(renderAttempt) }, 200);
    },
  );

  for (const { path, send, summary } of [
    {
      path: '/webhook-deliveries/{id}/resend',
      send: resend,
      summary: "Send a delivery's event again; one that waits is tried at once",
    },
    {
      path: '/webhook-endpoints/{id}/test',
      send: sendTest,
      summary: 'Send a webhook endpoint an event of type webhook.test',
    },
  ]) {
    router.openapi(
      createRoute({
        ...shared,
        method: 'post',
        path,
        summary,
        middleware: authenticated,
        request: { headers: keyHeader, params: idParams },
        responses: {
          202: json(deliveryResponse, 'The delivery on its way; its log says what comes of it'),
          ...problems(...refusals, 'illegal_transition', ...keyRefusals),
        },
      }),
      (c) =>
        once(c, services, 202, async (tx) => render(await send(tx, c.get('integration'), c.req.valid('param').id))),
    );
  }

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/webhook-endpoints/{id}/replay',
      summary: 'Send a webhook endpoint every event since a time again',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, params: idParams, body: body(replayBody) },
      responses: {
        202: json(z.object({ queued: z.int() }).openapi('Replay'), 'How many deliveries are on their way'),
        ...problems(...refusals, 'illegal_transition', 'payload_too_large', ...keyRefusals),
      },
    }),
    (c) => {
      const { from, until } = c.req.valid('json');
      const range = { from: new Date(from), until: until === undefined ? null : new Date(until) };
      return once(c, services, 202, async (tx) => ({
        queued: await replay(tx, c.get('integration'), c.req.valid('param').id, range),
      }));
    },
  );

  return router;
}

function render(delivery: DeliveryRow): z.input<typeof deliveryResponse> {
  return {
    id: delivery.id,
    node_id: delivery.nodeId,
    endpoint_id: delivery.endpointId,
    notify_url: delivery.url,
    event_id: delivery.eventId,
    event_type: delivery.eventType,
    payment_id: delivery.paymentId,
    cause: delivery.cause,
    status: delivery.status,
    attempts: delivery.attempts,
    next_attempt_at: delivery.status === 'waiting' ? delivery.nextAttemptAt.toISOString() : null,
    created_at: delivery.createdAt.toISOString(),
    finished_at: delivery.finishedAt?.toISOString() ?? null,
  };
}

function renderAttempt(attempt: AttemptRow): z.input<typeof attemptResponse> {
  return {
    number: attempt.number,
    started_at: attempt.startedAt.toISOString(),
    latency_ms: attempt.latencyMs,
    status_code: attempt.statusCode,
    error: attempt.error,
    answer: attempt.answer,
  };
}
