// The chain and network resources: where payments can be made. RPC URLs are taken and never given back.
import { createRoute, z } from '@hono/zod-openapi';
import { AmountError, formatUnits, parseUnits } from '../core/money.ts';
import {
  addChain,
  addNetwork,
  type ChainRow,
  findChain,
  pageChains,
  pageNetworks,
  renameChain,
  setNetworkArchived,
  updateNetwork,
} from '../core/platform/networks.ts';
import { findNetwork } from '../core/platform/platform.ts';
import type { NetworkRow } from '../core/schema.ts';
import {
  createRouter,
  jsonBody,
  pageQuery,
  problems,
  requireIntegration,
  type Services,
  wholeNumber,
} from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { address, body, idParams, json, label, listQuery, paged } from '../resource.ts';

const GWEI_DECIMALS = 9;

const chainResponse = z.object({ id: z.uuid(), eip155_id: z.int(), name: z.string() }).openapi('Chain');

const networkResponse = z
  .object({
    id: z.uuid(),
    chain_id: z.uuid(),
    eip155_id: z.int(),
    name: z.string(),
    mode: z.enum(['test', 'live']),
    diamond_address: z.string(),
    operator_address: z.string(),
    confirmations: z.int(),
    start_block: z.int().nullable(),
    max_fee_gwei: z.string().nullable(),
    archived_at: z.string().nullable(),
  })
  .openapi('Network');

const rpcUrls = z
  .array(z.url({ protocol: /^https?$/, message: 'must be an http or https URL' }).max(2_048))
  .min(1)
  .max(10)
  .openapi({ description: 'Never returned', example: ['https://rpc.example.org'], writeOnly: true });
// Further than any chain's finality is deep.
const confirmations = wholeNumber(1, 10_000).openapi({ description: 'Blocks that make a chain fact count' });

const startBlock = wholeNumber(0, Number.MAX_SAFE_INTEGER).openapi({
  description: 'In which the diamond was created; left out: looked for, which needs a node that keeps old state',
});

const maxFee = z
  .string()
  .max(30)
  .refine(isFee, 'must be a decimal above 0 with at most 9 decimals')
  .nullable()
  .openapi({
    description:
      'The most that a transaction of a signer may bid for a unit of gas, in gwei; above it signers wait. null: ten times the base fee, or 100 gwei if that is more',
    example: '150',
  });

function isFee(text: string): boolean {
  try {
    return parseUnits(text, GWEI_DECIMALS) > 0n;
  } catch (error) {
    if (error instanceof AmountError) return false;
    throw error;
  }
}

const createNetwork = z
  .strictObject({
    chain_id: z.uuid(),
    name: label,
    rpc_urls: rpcUrls,
    diamond_address: address,
    operator_address: address,
    confirmations,
    mode: z.enum(['test', 'live']),
    start_block: startBlock.optional(),
    max_fee_gwei: maxFee.optional(),
  })
  .openapi('CreateNetwork');

const patchNetwork = z
  .strictObject({
    name: label.optional(),
    rpc_urls: rpcUrls.optional(),
    diamond_address: address.optional().openapi({ description: 'Immutable once the network has a currency' }),
    operator_address: address.optional(),
    confirmations: confirmations.optional(),
    start_block: startBlock.optional(),
    max_fee_gwei: maxFee.optional(),
  })
  .openapi('PatchNetwork');

const refusals = ['invalid_request', 'unauthenticated', 'forbidden', 'not_found'] as const;

/** Mounts the routes of chains. */
export function chainRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Networks'], security: [{ integration: [] }] };
  // As large as an EIP-155 id can be in a JSON number.
  const eip155Id = wholeNumber(1, Number.MAX_SAFE_INTEGER);

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/chains',
      summary: 'Add a chain (operators)',
      middleware: [authenticated, jsonBody()] as const,
      request: {
        headers: keyHeader,
        body: body(z.strictObject({ eip155_id: eip155Id, name: label }).openapi('CreateChain')),
      },
      responses: {
        201: json(chainResponse, 'The chain'),
        ...problems('invalid_request', 'unauthenticated', 'forbidden', 'conflict', 'payload_too_large', ...keyRefusals),
      },
    }),
    (c) => {
      const { eip155_id, name } = c.req.valid('json');
      return once(c, services, 201, async (tx) =>
        renderChain(await addChain(tx, c.get('integration'), { eip155Id: eip155_id, name })),
      );
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/chains',
      summary: 'List the chains by their EIP-155 id',
      middleware: authenticated,
      request: { query: z.object(pageQuery) },
      responses: {
        200: json(paged(chainResponse), 'A page of chains'),
        ...problems('invalid_request', 'unauthenticated', 'forbidden'),
      },
    }),
    async (c) => {
      const { page, per_page } = c.req.valid('query');
      const { rows, total } = await pageChains(sql, { page, perPage: per_page });
      return c.json({ items: rows.map(renderChain), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/chains/{id}',
      summary: 'Get a chain',
      middleware: authenticated,
      request: { params: idParams },
      responses: { 200: json(chainResponse, 'The chain'), ...problems(...refusals) },
    }),
    async (c) => c.json(renderChain(await findChain(sql, c.req.valid('param').id)), 200),
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/chains/{id}',
      summary: 'Rename a chain (operators)',
      middleware: [authenticated, jsonBody()] as const,
      request: { params: idParams, body: body(z.strictObject({ name: label }).openapi('PatchChain')) },
      responses: { 200: json(chainResponse, 'The chain'), ...problems(...refusals, 'payload_too_large') },
    }),
    async (c) => {
      const { name } = c.req.valid('json');
      return c.json(renderChain(await renameChain(sql, c.get('integration'), c.req.valid('param').id, name)), 200);
    },
  );

  return router;
}

/** Mounts the routes of networks. */
export function networkRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Networks'], security: [{ integration: [] }] };

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/networks',
      summary: 'Add a network after checking it against its chain (operators)',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createNetwork) },
      responses: {
        201: json(networkResponse, 'The network'),
        ...problems(
          ...(['invalid_request', 'unauthenticated', 'forbidden', 'conflict', 'payload_too_large'] as const),
          'upstream_unavailable',
          ...keyRefusals,
        ),
      },
    }),
    (c) => {
      const { chain_id, rpc_urls, diamond_address, operator_address, start_block, max_fee_gwei, ...rest } =
        c.req.valid('json');
      const addresses = { diamondAddress: diamond_address, operatorAddress: operator_address };
      const start = { startBlock: start_block === undefined ? undefined : BigInt(start_block) };
      const ceiling = {
        maxFeeWei: typeof max_fee_gwei === 'string' ? parseUnits(max_fee_gwei, GWEI_DECIMALS) : max_fee_gwei,
      };
      const request = { chainId: chain_id, rpcUrls: rpc_urls, ...addresses, ...start, ...ceiling, ...rest };
      return once(c, services, 201, async (tx) => render(await addNetwork(tx, c.get('integration'), request)));
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/networks',
      summary: 'List the networks, newest first',
      middleware: authenticated,
      request: { query: z.object({ chain_id: z.uuid().optional(), ...listQuery }) },
      responses: {
        200: json(paged(networkResponse), 'A page of networks'),
        ...problems('invalid_request', 'unauthenticated', 'forbidden'),
      },
    }),
    async (c) => {
      const { chain_id, archived, page, per_page } = c.req.valid('query');
      const { rows, total } = await pageNetworks(sql, { chainId: chain_id, archived }, { page, perPage: per_page });
      return c.json({ items: rows.map(render), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/networks/{id}',
      summary: 'Get a network',
      middleware: authenticated,
      request: { params: idParams },
      responses: { 200: json(networkResponse, 'The network'), ...problems(...refusals) },
    }),
    async (c) => c.json(render(await findNetwork(sql, c.req.valid('param').id)), 200),
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/networks/{id}',
      summary: 'Change a network after checking it against its chain again (operators)',
      middleware: [authenticated, jsonBody()] as const,
      request: { params: idParams, body: body(patchNetwork) },
      responses: {
        200: json(networkResponse, 'The network'),
        ...problems(...refusals, 'conflict', 'payload_too_large', 'upstream_unavailable'),
      },
    }),
    async (c) => {
      const { rpc_urls, diamond_address, operator_address, start_block, max_fee_gwei, ...rest } = c.req.valid('json');
      const addresses = { diamondAddress: diamond_address, operatorAddress: operator_address };
      const start = { startBlock: start_block === undefined ? undefined : BigInt(start_block) };
      const ceiling = {
        maxFeeWei: typeof max_fee_gwei === 'string' ? parseUnits(max_fee_gwei, GWEI_DECIMALS) : max_fee_gwei,
      };
      const patch = { rpcUrls: rpc_urls, ...addresses, ...start, ...ceiling, ...rest };
      return c.json(render(await updateNetwork(sql, c.get('integration'), c.req.valid('param').id, patch)), 200);
    },
  );

  for (const [verb, archived, summary] of [
    ['archive', true, 'Archive a network: no new payments on it; those there are go on (operators)'],
    ['restore', false, 'Restore an archived network (operators)'],
  ] as const) {
    router.openapi(
      createRoute({
        ...shared,
        method: 'post',
        path: `/networks/{id}/${verb}`,
        summary,
        middleware: authenticated,
        request: { headers: keyHeader, params: idParams },
        responses: { 200: json(networkResponse, 'The network'), ...problems(...refusals, ...keyRefusals) },
      }),
      (c) =>
        once(c, services, 200, async (tx) =>
          render(await setNetworkArchived(tx, c.get('integration'), c.req.valid('param').id, archived)),
        ),
    );
  }

  return router;
}

function renderChain(chain: ChainRow): z.input<typeof chainResponse> {
  return { id: chain.id, eip155_id: Number(chain.eip155Id), name: chain.name };
}

function render(network: NetworkRow): z.input<typeof networkResponse> {
  return {
    id: network.id,
    chain_id: network.chainId,
    eip155_id: Number(network.eip155Id),
    name: network.name,
    mode: network.mode,
    diamond_address: network.diamondAddress,
    operator_address: network.operatorAddress,
    confirmations: network.confirmations,
    start_block: network.startBlock === null ? null : Number(network.startBlock),
    max_fee_gwei: network.maxFeeWei === null ? null : formatUnits(network.maxFeeWei, GWEI_DECIMALS),
    archived_at: network.archivedAt?.toISOString() ?? null,
  };
}
