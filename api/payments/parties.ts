// The party resource: people and firms, where they can be paid, all that is held on them, and their erasure.
import { createRoute, z } from '@hono/zod-openapi';
import { CoreError } from '../core/errors.ts';
import {
  addPayoutInstrument,
  createParty,
  eraseParty,
  exportParty,
  getParty,
  listParties,
  partyNode,
  removePayoutInstrument,
  updateParty,
} from '../core/people/parties.ts';
import type { PartyKey } from '../core/people/personal.ts';
import { type Integration, mayActOn } from '../core/platform/platform.ts';
import { createRouter, jsonBody, pageQuery, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, json } from '../resource.ts';
import {
  createRequest,
  exportResponse,
  instrumentRequest,
  instrumentResponse,
  kind,
  partyResponse,
  patchRequest,
  renderExport,
  renderInstrument,
  renderParty,
  surface,
  toInstrument,
  toPatch,
} from './party.ts';

/** Mounts the routes of parties. */
export function partyRoutes(services: Services) {
  const { sql, vault } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Parties'], security: [{ integration: [] }] };
  const params = z.object({ id: z.uuid() });
  const refusals = ['invalid_request', 'unauthenticated', 'not_found'] as const;

  async function authorizeNode(integration: Integration, nodeId: string): Promise<void> {
    if (!(await mayActOn(sql, integration, nodeId))) throw new CoreError('not_found', 'The node does not exist.');
  }

  async function authorizeParty(integration: Integration, partyId: string): Promise<PartyKey> {
    const nodeId = await partyNode(sql, partyId);
    if (!nodeId || !(await mayActOn(sql, integration, nodeId))) {
      throw new CoreError('not_found', 'The party does not exist.');
    }
    return { nodeId, partyId };
  }

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/parties',
      summary: 'Create a party',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createRequest) },
      responses: {
        201: json(partyResponse, 'The party'),
        ...problems(...refusals, 'conflict', 'payload_too_large', ...keyRefusals),
      },
    }),
    async (c) => {
      const { node_id, kind: partyKind, ...fields } = c.req.valid('json');
      await authorizeNode(c.get('integration'), node_id);
      return await once(c, services, 201, async (tx) =>
        renderParty(await createParty(tx, vault, { ...toPatch(fields), nodeId: node_id, kind: partyKind })),
      );
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/parties',
      summary: "List a node's parties, newest first",
      middleware: authenticated,
      request: {
        query: z.object({
          node_id: z.uuid(),
          kind: kind.optional(),
          surface: surface.optional(),
          external_id: z.string().max(255).optional().openapi({ description: 'On the surface' }),
          ...pageQuery,
        }),
      },
      responses: {
        200: json(
          z.object({ items: z.array(partyResponse), page: z.int(), per_page: z.int(), total: z.int() }),
          'A page of parties',
        ),
        ...problems(...refusals),
      },
    }),
    async (c) => {
      const { node_id, external_id, page, per_page, ...rest } = c.req.valid('query');
      await authorizeNode(c.get('integration'), node_id);
      const filter = { nodeId: node_id, externalId: external_id, ...rest };
      const { parties, total } = await listParties(sql, vault, filter, { page, perPage: per_page });
      return c.json({ items: parties.map(renderParty), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/parties/{id}',
      summary: 'Get a party',
      middleware: authenticated,
      request: { params },
      responses: { 200: json(partyResponse, 'The party'), ...problems(...refusals) },
    }),
    async (c) => {
      const key = await authorizeParty(c.get('integration'), c.req.valid('param').id);
      return c.json(renderParty(await getParty(sql, vault, key)), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/parties/{id}',
      summary: 'Change a party',
      middleware: [authenticated, jsonBody()] as const,
      request: { params, body: body(patchRequest) },
      responses: {
        200: json(partyResponse, 'The party'),
        ...problems(...refusals, 'conflict', 'illegal_transition', 'payload_too_large', ...keyRefusals),
      },
    }),
    async (c) => {
      const key = await authorizeParty(c.get('integration'), c.req.valid('param').id);
      return c.json(renderParty(await updateParty(sql, vault, key, toPatch(c.req.valid('json')))), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: '/parties/{id}',
      summary: 'Erase a party: personal data, external ids and payout instruments; payments and ledger stay',
      middleware: authenticated,
      request: { params },
      responses: { 204: { description: 'Erased; asking again answers the same' }, ...problems(...refusals) },
    }),
    async (c) => {
      await eraseParty(sql, await authorizeParty(c.get('integration'), c.req.valid('param').id));
      return c.body(null, 204);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/parties/{id}/export',
      operationId: 'exportParty',
      summary: 'Everything held on a party, payout instruments in full',
      middleware: authenticated,
      request: { params },
      responses: { 200: json(exportResponse, 'Everything held'), ...problems(...refusals) },
    }),
    async (c) => {
      const key = await authorizeParty(c.get('integration'), c.req.valid('param').id);
      c.header('Cache-Control', 'no-store');
      return c.json(renderExport(await exportParty(sql, vault, key)), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/parties/{id}/payout-instruments',
      summary: 'Add a payout instrument',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, params, body: body(instrumentRequest) },
      responses: {
        201: json(instrumentResponse, 'The instrument, redacted; the same one again answers with the one there is'),
        ...problems(...refusals, 'conflict', 'illegal_transition', 'payload_too_large', ...keyRefusals),
      },
    }),
    async (c) => {
      const key = await authorizeParty(c.get('integration'), c.req.valid('param').id);
      return await once(c, services, 201, async (tx) =>
        renderInstrument(await addPayoutInstrument(tx, vault, key, toInstrument(c.req.valid('json')))),
      );
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: '/parties/{id}/payout-instruments/{instrument_id}',
      summary: 'Remove a payout instrument',
      middleware: authenticated,
      request: { params: params.extend({ instrument_id: z.uuid() }) },
      responses: { 204: { description: 'Removed' }, ...problems(...refusals) },
    }),
    async (c) => {
      const { id, instrument_id } = c.req.valid('param');
      await removePayoutInstrument(sql, await authorizeParty(c.get('integration'), id), instrument_id);
      return c.body(null, 204);
    },
  );

  return router;
}
