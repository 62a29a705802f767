// The wallet resource: a node's payee addresses.
import { createRoute, z } from '@hono/zod-openapi';
import {
  addWallet,
  getWallet,
  listWallets,
  renameWallet,
  setWalletArchived,
  type WalletRow,
} from '../core/platform/wallets.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { address, body, idParams, json, label, listQuery, paged } from '../resource.ts';

const walletResponse = z
  .object({
    id: z.uuid(),
    node_id: z.uuid(),
    network_id: z.uuid(),
    address: z.string(),
    label: z.string(),
    archived_at: z.string().nullable(),
  })
  .openapi('Wallet');

const createWallet = z
  .strictObject({ node_id: z.uuid(), network_id: z.uuid(), address, label })
  .openapi('CreateWallet');

/** Mounts the routes of wallets. */
export function walletRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Wallets'], security: [{ integration: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'forbidden', 'not_found'] as const;

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/wallets',
      summary: "Add a payee's wallet to a node",
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createWallet) },
      responses: {
        201: json(walletResponse, 'The wallet'),
        ...problems(...refusals, 'conflict', 'payload_too_large', ...keyRefusals),
      },
    }),
    (c) => {
      const { node_id, network_id, ...rest } = c.req.valid('json');
      const wallet = { nodeId: node_id, networkId: network_id, ...rest };
      return once(c, services, 201, async (tx) => render(await addWallet(tx, c.get('integration'), wallet)));
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/wallets',
      summary: "List a node's wallets, newest first",
      middleware: authenticated,
      request: { query: z.object({ node_id: z.uuid(), network_id: z.uuid().optional(), ...listQuery }) },
      responses: { 200: json(paged(walletResponse), 'A page of wallets'), ...problems(...refusals) },
    }),
    async (c) => {
      const { node_id, network_id, archived, page, per_page } = c.req.valid('query');
      const filter = { nodeId: node_id, networkId: network_id, archived };
      const { rows, total } = await listWallets(sql, c.get('integration'), filter, { page, perPage: per_page });
      return c.json({ items: rows.map(render), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/wallets/{id}',
      summary: 'Get a wallet',
      middleware: authenticated,
      request: { params: idParams },
      responses: { 200: json(walletResponse, 'The wallet'), ...problems(...refusals) },
    }),
    async (c) => c.json(render(await getWallet(sql, c.get('integration'), c.req.valid('param').id)), 200),
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/wallets/{id}',
      summary: 'Rename a wallet',
      middleware: [authenticated, jsonBody()] as const,
      request: { params: idParams, body: body(z.strictObject({ label }).openapi('PatchWallet')) },
      responses: { 200: json(walletResponse, 'The wallet'), ...problems(...refusals, 'payload_too_large') },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      return c.json(render(await renameWallet(sql, c.get('integration'), id, c.req.valid('json').label)), 200);
    },
  );

  for (const [verb, archived, summary] of [
    ['archive', true, 'Archive a wallet: no new payment may name it'],
    ['restore', false, 'Restore an archived wallet'],
  ] as const) {
    router.openapi(
      createRoute({
        ...shared,
        method: 'post',
        path: `/wallets/{id}/${verb}`,
        summary,
        middleware: authenticated,
        request: { headers: keyHeader, params: idParams },
        responses: { 200: json(walletResponse, 'The wallet'), ...problems(...refusals, ...keyRefusals) },
      }),
      (c) =>
        once(c, services, 200, async (tx) =>
          render(await setWalletArchived(tx, c.get('integration'), c.req.valid('param').id, archived)),
        ),
    );
  }

  return router;
}

function render(wallet: WalletRow): z.input<typeof walletResponse> {
  return {
    id: wallet.id,
    node_id: wallet.nodeId,
    network_id: wallet.networkId,
    address: wallet.address,
    label: wallet.label,
    archived_at: wallet.archivedAt?.toISOString() ?? null,
  };
}
