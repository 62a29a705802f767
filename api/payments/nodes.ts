// The node resource: a tree of merchants, each with the deal policy that it states and the one that holds for it.
import { createRoute, z } from '@hono/zod-openapi';
import { ISO_4217, SOLUTION_CODE } from '../core/platform/merchants.ts';
import { addNode, getNode, listNodes, type NodeRecord, setNodeArchived, updateNode } from '../core/platform/nodes.ts';
import { DEFAULT_POLICY } from '../core/platform/platform.ts';
import { DEFAULT_RELAYS_PER_DAY, DEFAULT_UNFUNDED_CANCELS_PER_DAY } from '../core/platform/quotas.ts';
import type { DealPolicy } from '../core/schema.ts';
import {
  createRouter,
  jsonBody,
  jsonNumber,
  problems,
  requireIntegration,
  type Services,
  wholeNumber,
} from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, idParams, json, label, listQuery, paged } from '../resource.ts';
import { dealRequest, toPolicy } from './payment.ts';

const policy = dealRequest.openapi('NodePolicy', {
  description: 'Fields that the node states itself; the others hold as the nearest node above states them.',
});

const policyResponse = z
  .object({
    fee_bps: z.int(),
    fee_fixed: z.number(),
    fee_minimum: z.number().nullable(),
    fee_maximum: z.number().nullable(),
    fee_bearer: z.enum(['payer', 'payee']),
    fee_recipient: z.string().nullable(),
    arbiter: z.string().nullable(),
    settlement_period_seconds: z.int(),
    resolution_period_seconds: z.int(),
    default_outcome: z.enum(['refund', 'release']),
  })
  .openapi('EffectivePolicy');

const nodeResponse = z
  .object({
    id: z.uuid(),
    parent_id: z.uuid().nullable(),
    name: z.string(),
    policy: policyResponse.partial().openapi('StatedPolicy', { description: 'What the node states itself' }),
    effective_policy: policyResponse.openapi({ description: 'What holds for payments that leave it open' }),
    local: z.boolean().openapi({
      description: 'Whether requests for it and all below may go to private addresses and by plain http',
    }),
    unfunded_cancels_per_day: z
      .int()
      .nullable()
      .openapi({
        description: `Unfunded payments that it may cancel within 24 hours, since each costs the operator gas; null: as the nearest node above says, else ${DEFAULT_UNFUNDED_CANCELS_PER_DAY}. For operators to set`,
        example: 100,
      }),
    relays_per_day: z
      .int()
      .nullable()
      .openapi({
        description: `Signed deposits that the operator sends for it within 24 hours and pays the fee of; 0: none; null: as the nearest node above says, else ${DEFAULT_RELAYS_PER_DAY}. For operators to set`,
        example: 5_000,
      }),
    return_origins: z.array(z.string().openapi({ example: 'https://shop.example.com' })).openapi({
      description: 'Origins that the hosted checkout may lead back to, for payments of it and all below',
    }),
    solution_code: z.string().nullable().openapi({
      description: "Names the node in a merchant's requests on the orders surface",
      example: 'MPFRGE-S1YP',
    }),
    currencies: z
      .array(z.object({ code: z.string().openapi({ example: 'EUR' }), currency_id: z.uuid() }))
      .openapi({ description: 'What it means by codes of ISO 4217; else as the nearest node above says' }),
    created_at: z.string(),
    archived_at: z.string().nullable(),
  })
  .openapi('Node');

const origin = z
  .url({ protocol: /^https?$/, error: 'must be an http or https origin' })
  .max(255)
  .refine((text) => URL.canParse(text) && new URL(text).origin === text, 'must be an origin without a path')
  .openapi({ example: 'https://shop.example.com' });

const patchNode = z
  .strictObject({
    name: label.optional(),
    policy: policy.optional(),
    local: z.boolean().optional(),
    unfunded_cancels_per_day: wholeNumber(0, 1_000_000).nullable().optional(),
    relays_per_day: wholeNumber(0, 10_000_000).nullable().optional(),
    return_origins: z.array(origin).max(50).optional(),
    solution_code: z.string().regex(SOLUTION_CODE, 'must be like MPFRGE-S1YP').nullable().optional().openapi({
      description: "Names the node in a merchant's requests on the orders surface",
      example: 'MPFRGE-S1YP',
    }),
    currencies: z
      .array(
        z.strictObject({
          code: z.string().regex(ISO_4217, 'must be three capital letters').openapi({ example: 'USD' }),
          currency_id: z.uuid(),
        }),
      )
      .max(50)
      .optional()
      .openapi({ description: 'What the node means by codes of ISO 4217; replaces all that it stated' }),
  })
  .openapi('PatchNode');

/** Mounts the routes of nodes. */
export function nodeRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Nodes'], security: [{ integration: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'forbidden', 'not_found'] as const;

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/nodes',
      summary: 'Add a node below another one',
      middleware: [authenticated, jsonBody()] as const,
      request: {
        headers: keyHeader,
        body: body(
          z.strictObject({ parent_id: z.uuid(), name: label, policy: policy.optional() }).openapi('CreateNode'),
        ),
      },
      responses: {
        201: json(nodeResponse, 'The node'),
        ...problems(...refusals, 'conflict', 'payload_too_large', ...keyRefusals),
      },
    }),
    (c) => {
      const { parent_id, name, policy: stated } = c.req.valid('json');
      const request = { parentId: parent_id, name, policy: toPolicy(stated ?? {}) };
      return once(c, services, 201, async (tx) => render(await addNode(tx, c.get('integration'), request)));
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/nodes',
      summary: "List the integration's node and all below it, newest first",
      middleware: authenticated,
      request: { query: z.object({ parent_id: z.uuid().optional(), ...listQuery }) },
      responses: { 200: json(paged(nodeResponse), 'A page of nodes'), ...problems(...refusals) },
    }),
    async (c) => {
      const { parent_id, archived, page, per_page } = c.req.valid('query');
      const filter = { parentId: parent_id, archived };
      const { rows, total } = await listNodes(sql, c.get('integration'), filter, { page, perPage: per_page });
      return c.json({ items: rows.map(render), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/nodes/{id}',
      summary: 'Get a node',
      middleware: authenticated,
      request: { params: idParams },
      responses: { 200: json(nodeResponse, 'The node'), ...problems(...refusals) },
    }),
    async (c) => c.json(render(await getNode(sql, c.get('integration'), c.req.valid('param').id)), 200),
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/nodes/{id}',
      summary: 'Rename a node, replace what it states, mark it local or set its quota (operators)',
      middleware: [authenticated, jsonBody()] as const,
      request: {
        params: idParams,
        body: body(patchNode),
      },
      responses: { 200: json(nodeResponse, 'The node'), ...problems(...refusals, 'conflict', 'payload_too_large') },
    }),
    async (c) => {
      const {
        policy: stated,
        unfunded_cancels_per_day: unfundedCancelsPerDay,
        relays_per_day: relaysPerDay,
        return_origins: returnOrigins,
        solution_code: solutionCode,
        currencies,
        ...rest
      } = c.req.valid('json');
      const patch = {
        ...rest,
        unfundedCancelsPerDay,
        relaysPerDay,
        returnOrigins,
        solutionCode,
        currencies: currencies?.map(({ code, currency_id: currencyId }) => ({ code, currencyId })),
        policy: stated && toPolicy(stated),
      };
      return c.json(render(await updateNode(sql, c.get('integration'), c.req.valid('param').id, patch)), 200);
    },
  );

  for (const [verb, archived, summary] of [
    ['archive', true, 'Archive a node: no new payments in it and below; those there are go on'],
    ['restore', false, 'Restore an archived node'],
  ] as const) {
    router.openapi(
      createRoute({
        ...shared,
        method: 'post',
        path: `/nodes/{id}/${verb}`,
        summary,
        middleware: authenticated,
        request: { headers: keyHeader, params: idParams },
        responses: { 200: json(nodeResponse, 'The node'), ...problems(...refusals, ...keyRefusals) },
      }),
      (c) =>
        once(c, services, 200, async (tx) =>
          render(await setNodeArchived(tx, c.get('integration'), c.req.valid('param').id, archived)),
        ),
    );
  }

  return router;
}

function render(node: NodeRecord): z.input<typeof nodeResponse> {
  return {
    id: node.id,
    parent_id: node.parentId,
    name: node.name,
    policy: renderStated(node.policy),
    effective_policy: renderPolicy(node.effectivePolicy),
    local: node.local,
    unfunded_cancels_per_day: node.unfundedCancelsPerDay,
    relays_per_day: node.relaysPerDay,
    return_origins: node.returnOrigins,
    solution_code: node.solutionCode,
    currencies: Object.entries(node.currencies).map(([code, currencyId]) => ({ code, currency_id: currencyId })),
    created_at: node.createdAt.toISOString(),
    archived_at: node.archivedAt?.toISOString() ?? null,
  };
}

function renderPolicy(full: DealPolicy): z.input<typeof policyResponse> {
  const decimal = (text: string | null) => (text === null ? null : jsonNumber(text));
  return {
    fee_bps: full.feeBps,
    fee_fixed: jsonNumber(full.feeFixed),
    fee_minimum: decimal(full.feeMinimum),
    fee_maximum: decimal(full.feeMaximum),
    fee_bearer: full.feeBearer,
    fee_recipient: full.feeRecipient,
    arbiter: full.arbiter,
    settlement_period_seconds: full.settlementPeriodSeconds,
    resolution_period_seconds: full.resolutionPeriodSeconds,
    default_outcome: full.defaultOutcome,
  };
}

function renderStated(stated: Partial<DealPolicy>): Partial<z.input<typeof policyResponse>> {
  const names = {
    fee_bps: 'feeBps',
    fee_fixed: 'feeFixed',
    fee_minimum: 'feeMinimum',
    fee_maximum: 'feeMaximum',
    fee_bearer: 'feeBearer',
    fee_recipient: 'feeRecipient',
    arbiter: 'arbiter',
    settlement_period_seconds: 'settlementPeriodSeconds',
    resolution_period_seconds: 'resolutionPeriodSeconds',
    default_outcome: 'defaultOutcome',
  } as const;
  const rendered = Object.entries(renderPolicy({ ...DEFAULT_POLICY, ...stated }));
  return Object.fromEntries(rendered.filter(([field]) => stated[names[field as keyof typeof names]] !== undefined));
}
