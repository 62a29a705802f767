// Deals on chain that fund no payment: listed for their node, and sent back to whoever paid.
import { createRoute, z } from '@hono/zod-openapi';
import { actorOf } from '../callers.ts';
import { Chain } from '../core/chain/chain.ts';
import { type Transaction, transact } from '../core/database/db.ts';
import { CoreError } from '../core/errors.ts';
import { loadOperations } from '../core/payments/operations.ts';
import { previewStray } from '../core/payments/preview.ts';
import { findStray, listStrays, refundStray, type StrayDeal } from '../core/payments/strays.ts';
import { authorizeNode, findNetwork, type Integration, mayActOn, requireOperator } from '../core/platform/platform.ts';
import { proofOfEvent } from '../core/proof.ts';
import { createRouter, pageQuery, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { json, paged } from '../resource.ts';
import { dryRunQuery } from './actions.ts';
import { operationResponse, renderOperation } from './operations.ts';
import { previewResponse, renderStrayPreview } from './previews.ts';
import { proofResponse } from './proof.ts';

const hash = z.string().regex(/^0x[0-9a-f]{64}$/, 'must be 32 bytes as lowercase hex');

const strayResponse = z
  .object({
    network_id: z.uuid(),
    deal_hash: z.string(),
    kind: z.enum(['unmatched', 'duplicate']),
    payment_id: z.uuid().nullable().openapi({ description: 'Null: no payment has the number of the deal' }),
    payer: z.string(),
    token_address: z.string(),
    amount_units: z.string(),
    released_units: z.string(),
    refunded_units: z.string(),
    status: z.string(),
    recorded_at: z.string(),
    proof: proofResponse,
  })
  .openapi('UnmatchedDeal');

const accepted = z
  .object({ status: z.literal('accepted'), operation_id: z.uuid(), operation: operationResponse })
  .openapi('AcceptedRefund');

/** Mounts the routes for unmatched and duplicate deals. */
export function unmatchedRoutes(services: Services) {
  const { sql } = services;
  const chain = new Chain();
  const router = createRouter();
  const shared = {
    tags: ['Unmatched deals'],
    security: [{ integration: [] }],
    middleware: requireIntegration(services),
  };

  /** The node in whose name the integration acts on a stray deal. @throws not_found */
  async function authorize(integration: Integration, stray: StrayDeal | undefined): Promise<string> {
    const missing = new CoreError('not_found', 'There is no such stray deal.');
    if (!stray) throw missing;
    if (stray.nodeId !== null) {
      if (!(await mayActOn(sql, integration, stray.nodeId))) throw missing;
      return stray.nodeId;
    }
    // No node's payment has to do with it; whoever runs the installation looks after it.
    await requireOperator(sql, integration);
    return integration.nodeId;
  }

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/unmatched-deals',
      summary: "List deals that bear the number of a node's payment but do not fund it, newest first",
      description:
        'Without node_id, for operators: deals that name the operator but bear the number of no payment at all.',
      request: { query: z.object({ node_id: z.uuid().optional(), ...pageQuery }) },
      responses: {
        200: json(paged(strayResponse), 'A page of deals'),
        ...problems('invalid_request', 'unauthenticated', 'forbidden', 'not_found'),
      },
    }),
    async (c) => {
      const { node_id, page, per_page } = c.req.valid('query');
      const integration = c.get('integration');
      if (node_id === undefined) await requireOperator(sql, integration);
      else await authorizeNode(sql, integration, node_id);
      const { rows, total } = await listStrays(sql, node_id ?? null, { page, perPage: per_page });
      return c.json({ items: rows.map(renderStray), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/unmatched-deals/{network_id}/{deal_hash}/refund',
      summary: 'Send such a deal back to its payer',
      request: {
        headers: keyHeader,
        params: z.object({ network_id: z.uuid(), deal_hash: hash }),
        query: dryRunQuery,
      },
      responses: {
        200: json(previewResponse, 'With `dry_run=true`: what the request would do'),
        202: json(accepted, 'Accepted; the chain decides. Asking again answers with the same operation'),
        ...problems(
          ...(['invalid_request', 'unauthenticated', 'forbidden', 'not_found', 'illegal_transition'] as const),
          'upstream_unavailable',
          ...keyRefusals,
        ),
      },
    }),
    async (c) => {
      const { network_id, deal_hash } = c.req.valid('param');
      const integration = c.get('integration');
      const network = await findNetwork(sql, network_id);
      const dealId = deal_hash as `0x${string}`;
      const stray = await findStray(sql, network, dealId);
      const nodeId = await authorize(integration, stray);
      const refund = (tx: Transaction) => refundStray(tx, network, dealId, actorOf(integration), nodeId);
      if (c.req.valid('query').dry_run && stray) {
        return c.json(renderStrayPreview(await previewStray(sql, chain, network, stray, refund)), 200);
      }
      return await once(c, services, 202, async (tx) => {
        const operation = await transact(tx, refund);
        const [record] = await loadOperations(tx, operation.nodeId, [operation.id]);
        if (!record) throw new Error('The refund has no operation.');
        return { status: 'accepted' as const, operation_id: operation.id, operation: renderOperation(record) };
      });
    },
  );

  return router;
}

function renderStray(stray: StrayDeal): z.input<typeof strayResponse> {
  return {
    network_id: stray.networkId,
    deal_hash: stray.dealId,
    kind: stray.kind,
    payment_id: stray.paymentId,
    payer: stray.payer,
    token_address: stray.token,
    amount_units: stray.amount.toString(),
    released_units: stray.released.toString(),
    refunded_units: stray.refunded.toString(),
    status: stray.status,
    recorded_at: stray.recordedAt.toISOString(),
    proof: proofOfEvent(stray.event),
  };
}
