// Deals on chain that fund no payment: listed for their node, and sent back to whoever paid.
import { createRoute, z } from '@hono/zod-openapi';
import { transact } from '../core/db.ts';
import { CoreError } from '../core/errors.ts';
import { findNetwork, mayActOn } from '../core/platform.ts';
import { listStrays, refundStray, strayNode } from '../core/strays.ts';
import { createRouter, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';

const hash = z.string().regex(/^0x[0-9a-f]{64}$/, 'must be 32 bytes as lowercase hex');

const strayResponse = z
  .object({
    network_id: z.uuid(),
    deal_hash: z.string(),
    kind: z.enum(['unmatched', 'duplicate']),
    payment_id: z.uuid(),
    payer: z.string(),
    token_address: z.string(),
    amount_units: z.string(),
    released_units: z.string(),
    refunded_units: z.string(),
    status: z.string(),
    recorded_at: z.string(),
  })
  .openapi('UnmatchedDeal');

/** Mounts the routes for unmatched and duplicate deals. */
export function unmatchedRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const shared = {
    tags: ['Unmatched deals'],
    security: [{ integration: [] }],
    middleware: requireIntegration(services),
  };

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/unmatched-deals',
      summary: "List deals that bear the number of a node's payment but do not fund it",
      request: { query: z.object({ node_id: z.uuid() }) },
      responses: {
        200: {
          description: 'The deals, newest first',
          content: { 'application/json': { schema: z.object({ items: z.array(strayResponse) }) } },
        },
        ...problems('invalid_request', 'unauthenticated', 'not_found'),
      },
    }),
    async (c) => {
      const nodeId = c.req.valid('query').node_id;
      if (!(await mayActOn(sql, c.get('integration'), nodeId))) {
        throw new CoreError('not_found', 'The node does not exist.');
      }
      const items = (await listStrays(sql, nodeId)).map((stray) => ({
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
      }));
      return c.json({ items }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/unmatched-deals/{network_id}/{deal_hash}/refund',
      summary: 'Send such a deal back to its payer',
      request: { headers: keyHeader, params: z.object({ network_id: z.uuid(), deal_hash: hash }) },
      responses: {
        202: {
          description: 'Accepted; the chain decides. Asking again answers with the same operation',
          content: {
            'application/json': { schema: z.object({ status: z.literal('accepted'), operation_id: z.uuid() }) },
          },
        },
        ...problems('invalid_request', 'unauthenticated', 'not_found', 'illegal_transition', ...keyRefusals),
      },
    }),
    async (c) => {
      const { network_id, deal_hash } = c.req.valid('param');
      const integration = c.get('integration');
      const network = await findNetwork(sql, network_id);
      const dealId = deal_hash as `0x${string}`;
      const nodeId = await strayNode(sql, network, dealId);
      if (!nodeId || !(await mayActOn(sql, integration, nodeId))) {
        throw new CoreError('not_found', 'There is no such stray deal.');
      }
      const actor = { type: 'integration', id: integration.id } as const;
      return await once(c, services, 202, async (tx) => {
        const operation = await transact(tx, (inner) => refundStray(inner, network, dealId, actor));
        return { status: 'accepted' as const, operation_id: operation.id };
      });
    },
  );

  return router;
}
