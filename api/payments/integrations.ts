// The integration resource: clients of the API. A secret is shown once, when it is made, and stored as a hash.
import { createRoute, z } from '@hono/zod-openapi';
import { isAddressRange } from '../address.ts';
import {
  addIntegration,
  getIntegration,
  type IntegrationRecord,
  listIntegrations,
  type NewSecret,
  recoverSecret,
  rotateSecret,
  setIntegrationDisabled,
  updateIntegration,
} from '../core/platform/integrations.ts';
import { allScopes, scopes as knownScopes } from '../core/scopes.ts';
import {
  createRouter,
  jsonBody,
  pageQuery,
  problems,
  requireIntegration,
  type Services,
  wholeNumber,
} from '../http.ts';
import { keyHeader, keyRefusals, once, type Restore } from '../idempotency.ts';
import { body, flag, idParams, json, label, paged } from '../resource.ts';

const scope = z.enum(allScopes).openapi('Scope', {
  description: Object.entries(knownScopes)
    .map(([name, allows]) => `\`${name}\`: ${allows}.`)
    .join(' '),
});
const scopes = z
  .array(scope)
  .max(allScopes.length)
  .transform((names) => [...new Set(names)]);
const allowedIps = z
  .array(z.string().max(64).refine(isAddressRange, 'must be an IP address or a CIDR range'))
  .max(100)
  .openapi({ description: 'From where it may call; empty: from anywhere', example: ['203.0.113.0/24'] });
const mode = z.enum(['test', 'live']).openapi({ description: 'Of the networks whose payments it may create' });

const integrationResponse = z
  .object({
    id: z.uuid(),
    node_id: z.uuid(),
    name: z.string(),
    client_id: z.string(),
    mode,
    scopes: z.array(scope),
    allowed_ips: z.array(z.string()),
    secret_version: z.int(),
    previous_secret_until: z
      .string()
      .nullable()
      .openapi({ description: 'Until then the previous secret is valid too' }),
    disabled_at: z.string().nullable(),
    created_at: z.string(),
  })
  .openapi('Integration');

const secretResponse = integrationResponse
  .extend({
    client_secret: z.string().nullable().openapi({
      description: 'Shown this once. Null when a repeated request comes after the secret was rotated away',
    }),
  })
  .openapi('IntegrationSecret');

const createIntegration = z
  .strictObject({
    node_id: z.uuid(),
    name: label,
    mode,
    scopes: scopes.openapi({ description: 'At most those of the caller' }),
    allowed_ips: allowedIps.optional(),
  })
  .openapi('CreateIntegration');

const patchIntegration = z
  .strictObject({ name: label.optional(), scopes: scopes.optional(), allowed_ips: allowedIps.optional() })
  .openapi('PatchIntegration');

const DAY_SECONDS = 86_400;
const rotation = z
  .strictObject({
    overlap_seconds: wholeNumber(0, 30 * DAY_SECONDS)
      .optional()
      .openapi({ description: 'How long the previous secret stays valid; left out: a day', example: DAY_SECONDS }),
  })
  .openapi('RotateSecret');

/** Mounts the routes of integrations. */
export function integrationRoutes(services: Services) {
  const { sql, tokens } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Integrations'], security: [{ integration: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'forbidden', 'not_found'] as const;
  const restoreSecret: Restore<z.input<typeof secretResponse>> = async (tx, answer) => {
    // A kept answer's numbers are their own text.
    const version = Number(JSON.stringify(answer.secret_version));
    return { ...answer, client_secret: await recoverSecret(tx, tokens, { id: answer.id, version }) };
  };

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/integrations',
      summary: 'Add an integration with rights on a node and all below it',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createIntegration) },
      responses: {
        201: json(secretResponse, 'The integration with its secret, shown this once'),
        ...problems(...refusals, 'conflict', 'payload_too_large', ...keyRefusals),
      },
    }),
    (c) => {
      const { node_id, allowed_ips, ...rest } = c.req.valid('json');
      const request = { nodeId: node_id, allowedIps: allowed_ips ?? [], ...rest };
      c.header('Cache-Control', 'no-store');
      return once(
        c,
        services,
        201,
        async (tx) => renderSecret(await addIntegration(tx, tokens, c.get('integration'), request)),
        restoreSecret,
      );
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/integrations',
      summary: "List a node's integrations, newest first",
      middleware: authenticated,
      request: {
        query: z.object({
          node_id: z.uuid(),
          disabled: flag.openapi({ description: 'Whether disabled ones are listed too' }),
          ...pageQuery,
        }),
      },
      responses: { 200: json(paged(integrationResponse), 'A page of integrations'), ...problems(...refusals) },
    }),
    async (c) => {
      const { node_id, disabled, page, per_page } = c.req.valid('query');
      const filter = { nodeId: node_id, disabled };
      const { rows, total } = await listIntegrations(sql, c.get('integration'), filter, { page, perPage: per_page });
      return c.json({ items: rows.map(render), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/integrations/{id}',
      summary: 'Get an integration',
      middleware: authenticated,
      request: { params: idParams },
      responses: { 200: json(integrationResponse, 'The integration'), ...problems(...refusals) },
    }),
    async (c) => c.json(render(await getIntegration(sql, c.get('integration'), c.req.valid('param').id)), 200),
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/integrations/{id}',
      summary: 'Change an integration; its tokens follow with the next request',
      middleware: [authenticated, jsonBody()] as const,
      request: { params: idParams, body: body(patchIntegration) },
      responses: {
        200: json(integrationResponse, 'The integration'),
        ...problems(...refusals, 'conflict', 'payload_too_large'),
      },
    }),
    async (c) => {
      const { allowed_ips, ...rest } = c.req.valid('json');
      const patch = { allowedIps: allowed_ips, ...rest };
      return c.json(render(await updateIntegration(sql, c.get('integration'), c.req.valid('param').id, patch)), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/integrations/{id}/rotate-secret',
      summary: 'Give an integration a new secret; the previous one stays valid for a while',
      middleware: [authenticated, jsonBody({ optional: true })] as const,
      request: {
        headers: keyHeader,
        params: idParams,
        body: { required: false, content: { 'application/json': { schema: rotation } } },
      },
      responses: {
        200: json(secretResponse, 'The integration with its new secret, shown this once'),
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
        async (tx) => renderSecret(await rotateSecret(tx, tokens, c.get('integration'), request)),
        restoreSecret,
      );
    },
  );

  for (const [verb, disabled, summary] of [
    ['disable', true, 'Disable an integration: its tokens end with the next request'],
    ['enable', false, 'Enable a disabled integration'],
  ] as const) {
    router.openapi(
      createRoute({
        ...shared,
        method: 'post',
        path: `/integrations/{id}/${verb}`,
        summary,
        middleware: authenticated,
        request: { headers: keyHeader, params: idParams },
        responses: { 200: json(integrationResponse, 'The integration'), ...problems(...refusals, ...keyRefusals) },
      }),
      (c) =>
        once(c, services, 200, async (tx) =>
          render(await setIntegrationDisabled(tx, c.get('integration'), c.req.valid('param').id, disabled)),
        ),
    );
  }

  return router;
}

function renderSecret({ record, clientSecret }: NewSecret): z.input<typeof secretResponse> {
  return { ...render(record), client_secret: clientSecret };
}

function render(record: IntegrationRecord): z.input<typeof integrationResponse> {
  return {
    id: record.id,
    node_id: record.nodeId,
    name: record.name,
    client_id: record.clientId,
    mode: record.mode,
    scopes: record.scopes ?? allScopes,
    allowed_ips: record.allowedIps,
    secret_version: record.secretVersion,
    previous_secret_until: record.previousSecretUntil?.toISOString() ?? null,
    disabled_at: record.disabledAt?.toISOString() ?? null,
    created_at: record.createdAt.toISOString(),
  };
}
