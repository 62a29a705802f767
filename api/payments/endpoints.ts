// The webhook endpoint resource: where events are sent, which of them, and under which keys. A secret is shown once.
import { createRoute, z } from '@hono/zod-openapi';
import {
  addEndpoint,
  type EndpointRecord,
  type EndpointSecret,
  getEndpoint,
  listEndpoints,
  notifyKeys,
  recoverEndpointSecret,
  rotateEndpointSecret,
  rotateNotifyKey,
  setEndpointArchived,
  setEndpointDisabled,
  updateEndpoint,
} from '../core/webhooks/endpoints.ts';
import type { KeyRecord } from '../core/webhooks/webhookKeys.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services, wholeNumber } from '../http.ts';
import { keyHeader, keyRefusals, once, type Restore } from '../idempotency.ts';
import { body, idParams, json, listQuery, paged } from '../resource.ts';
import { eventFilter } from './events.ts';

const url = z.string().max(2_048).openapi({
  description: 'https, to a public address; a local node may name any',
  example: 'https://shop.example.com/hooks',
});
const description = z
  .string()
  .max(255)
  .refine((text) => !text.includes('\0'), 'must not contain a NUL character')
  .openapi({ example: 'Order system' });
const events = z
  .array(eventFilter)
  .max(100)
  .openapi({
    description: 'Types, or prefixes like `payment.*`; a type covers its `.reverted`; empty: all',
    example: ['payment.*'],
  });
const signature = z.enum(['hmac', 'ed25519']).openapi({
  description: 'hmac: `v1`, under a secret that is shown once. ed25519: `v1a`, verified with a public key',
});

const keyResponse = z.object({
  version: z.int(),
  public_key: z.string().nullable().openapi({
    description: 'Of an Ed25519 key, as Standard Webhooks writes it',
    example: 'whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=',
  }),
  valid_until: z.string().nullable().openapi({ description: 'Null: the current key' }),
});

const endpointResponse = z
  .object({
    id: z.uuid(),
    node_id: z.uuid(),
    url,
    description,
    events,
    signature,
    keys: z.array(keyResponse).openapi({ description: 'Webhooks are signed by each of them; the current one first' }),
    breaker: z.object({
      state: z.enum(['closed', 'open']).openapi({ description: 'open: only a probe now and then, until it answers' }),
      failures: z.int().openapi({ description: 'In a row' }),
      next_probe_at: z.string().nullable(),
    }),
    waiting: z.int().openapi({ description: 'Deliveries that have not arrived yet' }),
    disabled_at: z.string().nullable(),
    disabled_reason: z.enum(['request', 'gone']).nullable().openapi({ description: 'gone: it answered 410' }),
    archived_at: z.string().nullable(),
    created_at: z.string(),
  })
  .openapi('WebhookEndpoint');

const secretResponse = endpointResponse
  .extend({
    signing_secret: z.string().nullable().openapi({
      description: 'Shown this once; null for ed25519, and when a repeated request comes after it was rotated away',
      example: 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    }),
  })
  .openapi('WebhookEndpointSecret');

const createEndpoint = z
  .strictObject({
    node_id: z.uuid().openapi({ description: 'Its events and those of all nodes below are sent' }),
    url,
    description: description.optional(),
    events: events.optional(),
    signature: signature.optional(),
  })
  .openapi('CreateWebhookEndpoint');

const patchEndpoint = z
  .strictObject({ url: url.optional(), description: description.optional(), events: events.optional() })
  .openapi('PatchWebhookEndpoint');

const DAY_SECONDS = 86_400;
const rotation = z
  .strictObject({
    overlap_seconds: wholeNumber(0, 30 * DAY_SECONDS)
      .optional()
      .openapi({ description: 'How long webhooks are signed by both keys; left out: a day', example: DAY_SECONDS }),
  })
  .openapi('RotateSigningKey');
const rotationBody = { required: false, content: { 'application/json': { schema: rotation } } };

const keysResponse = z.object({ keys: z.array(keyResponse) }).openapi('NotificationKeys');

/** Mounts the routes of webhook endpoints, and of nodes' notification keys. */
export function endpointRoutes(services: Services) {
  const { sql, vault } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Webhooks'], security: [{ integration: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'forbidden', 'not_found'] as const;
  const restoreSecret: Restore<z.input<typeof secretResponse>> = async (tx, answer) => {
    // A kept answer's numbers are their own text.
    const version = Number(JSON.stringify(answer.keys[0]?.version ?? 0));
    return { ...answer, signing_secret: await recoverEndpointSecret(tx, vault, { id: answer.id, version }) };
  };

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/webhook-endpoints',
      summary: 'Add a webhook endpoint to a node',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createEndpoint) },
      responses: {
        201: json(secretResponse, 'The endpoint with its secret, shown this once'),
        ...problems(...refusals, 'conflict', 'payload_too_large', ...keyRefusals),
      },
    }),
    (c) => {
      const stated = c.req.valid('json');
      const request = {
        nodeId: stated.node_id,
        url: stated.url,
        description: stated.description ?? '',
        events: stated.events ?? [],
        signature: stated.signature ?? 'hmac',
      };
      c.header('Cache-Control', 'no-store');
      return once(
        c,
        services,
        201,
        async (tx) => renderSecret(await addEndpoint(tx, vault, c.get('integration'), request)),
        restoreSecret,
      );
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/webhook-endpoints',
      summary: "List a node's webhook endpoints, newest first",
      middleware: authenticated,
      request: { query: z.object({ node_id: z.uuid(), ...listQuery }) },
      responses: { 200: json(paged(endpointResponse), 'A page of endpoints'), ...problems(...refusals) },
    }),
    async (c) => {
      const { node_id, archived, page, per_page } = c.req.valid('query');
      const filter = { nodeId: node_id, archived };
      const { rows, total } = await listEndpoints(sql, c.get('integration'), filter, { page, perPage: per_page });
      return c.json({ items: rows.map(render), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/webhook-endpoints/{id}',
      summary: 'Get a webhook endpoint',
      middleware: authenticated,
      request: { params: idParams },
      responses: { 200: json(endpointResponse, 'The endpoint'), ...problems(...refusals) },
    }),
    async (c) => c.json(render(await getEndpoint(sql, c.get('integration'), c.req.valid('param').id)), 200),
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/webhook-endpoints/{id}',
      summary: 'Change where a webhook endpoint is, or what it is told of',
      middleware: [authenticated, jsonBody()] as const,
      request: { params: idParams, body: body(patchEndpoint) },
      responses: { 200: json(endpointResponse, 'The endpoint'), ...problems(...refusals, 'payload_too_large') },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      return c.json(render(await updateEndpoint(sql, c.get('integration'), id, c.req.valid('json'))), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/webhook-endpoints/{id}/rotate-secret',
      summary: 'Give a webhook endpoint a new key; for a while webhooks are signed by both',
      middleware: [authenticated, jsonBody({ optional: true })] as const,
      request: { headers: keyHeader, params: idParams, body: rotationBody },
      responses: {
        200: json(secretResponse, 'The endpoint with its new secret, shown this once'),
        ...problems(...refusals, 'payload_too_large', ...keyRefusals),
      },
    }),
    (c) => {
      const choice: z.output<typeof rotation> = c.req.valid('json') ?? {};
      const request = { id: c.req.valid('param').id, overlapSeconds: choice.overlap_seconds ?? DAY_SECONDS };
      c.header('Cache-Control', 'no-store');
      return once(
        c,
        services,
        200,
        async (tx) => renderSecret(await rotateEndpointSecret(tx, vault, c.get('integration'), request)),
        restoreSecret,
      );
    },
  );

  for (const { verb, change, summary } of [
    {
      verb: 'archive',
      change: (...[tx, integration, id]: Change) => setEndpointArchived(tx, integration, id, true),
      summary: 'Archive a webhook endpoint: what waits for it is cancelled',
    },
    {
      verb: 'restore',
      change: (...[tx, integration, id]: Change) => setEndpointArchived(tx, integration, id, false),
      summary: 'Restore an archived webhook endpoint',
    },
    {
      verb: 'disable',
      change: (...[tx, integration, id]: Change) => setEndpointDisabled(tx, integration, id, true),
      summary: 'Disable a webhook endpoint: what waits for it is held, nothing more is queued',
    },
    {
      verb: 'enable',
      change: (...[tx, integration, id]: Change) => setEndpointDisabled(tx, integration, id, false),
      summary: 'Enable a disabled webhook endpoint, also one that has answered 410; replay sends what it missed',
    },
  ]) {
    router.openapi(
      createRoute({
        ...shared,
        method: 'post',
        path: `/webhook-endpoints/{id}/${verb}`,
        summary,
        middleware: authenticated,
        request: { headers: keyHeader, params: idParams },
        responses: { 200: json(endpointResponse, 'The endpoint'), ...problems(...refusals, ...keyRefusals) },
      }),
      (c) =>
        once(c, services, 200, async (tx) => render(await change(tx, c.get('integration'), c.req.valid('param').id))),
    );
  }

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/nodes/{id}/notification-keys',
      summary: "List the public keys under which the notify_urls of a node's payments are told",
      middleware: authenticated,
      request: { params: idParams },
      responses: { 200: json(keysResponse, 'The keys, the current one first'), ...problems(...refusals) },
    }),
    async (c) => {
      const keys = await notifyKeys(sql, vault, c.get('integration'), c.req.valid('param').id);
      return c.json({ keys: keys.map(renderKey) }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/nodes/{id}/notification-keys/rotate',
      summary: 'Give a node a new notification key; for a while both sign',
      middleware: [authenticated, jsonBody({ optional: true })] as const,
      request: { headers: keyHeader, params: idParams, body: rotationBody },
      responses: {
        200: json(keysResponse, 'The keys, the new one first'),
        ...problems(...refusals, 'payload_too_large', ...keyRefusals),
      },
    }),
    (c) => {
      const choice: z.output<typeof rotation> = c.req.valid('json') ?? {};
      const request = { nodeId: c.req.valid('param').id, overlapSeconds: choice.overlap_seconds ?? DAY_SECONDS };
      return once(c, services, 200, async (tx) => ({
        keys: (await rotateNotifyKey(tx, vault, c.get('integration'), request)).map(renderKey),
      }));
    },
  );

  return router;
}

type Change = Parameters<typeof getEndpoint>;

function renderSecret({ endpoint, secret }: EndpointSecret): z.input<typeof secretResponse> {
  return { ...render(endpoint), signing_secret: secret };
}

function render(endpoint: EndpointRecord): z.input<typeof endpointResponse> {
  return {
    id: endpoint.id,
    node_id: endpoint.nodeId,
    url: endpoint.url,
    description: endpoint.description,
    events: endpoint.events,
    signature: endpoint.signature,
    keys: endpoint.keys.map(renderKey),
    breaker: {
      state: endpoint.openUntil ? 'open' : 'closed',
      failures: endpoint.failures,
      next_probe_at: endpoint.openUntil?.toISOString() ?? null,
    },
    waiting: endpoint.waiting,
    disabled_at: endpoint.disabledAt?.toISOString() ?? null,
    disabled_reason: endpoint.disabledReason,
    archived_at: endpoint.archivedAt?.toISOString() ?? null,
    created_at: endpoint.createdAt.toISOString(),
  };
}

function renderKey({ version, publicKey, validUntil }: KeyRecord): z.input<typeof keyResponse> {
  return { version, public_key: publicKey, valid_until: validUntil?.toISOString() ?? null };
}
