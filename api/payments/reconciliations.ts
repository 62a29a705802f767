// GET /reconciliations: what the hourly comparison of chain, mirror and ledger found, for who runs the installation.
import { createRoute, z } from '@hono/zod-openapi';
import { requireOperator } from '../core/platform/platform.ts';
import { listReconciliations, type ReconciliationRow } from '../core/reconciliation/reconciliations.ts';
import { createRouter, pageQuery, problems, requireIntegration, type Services } from '../http.ts';
import { json, paged } from '../resource.ts';

const units = z.string().openapi({ description: 'Base units, exact', example: '25500000' });

const said = z
  .object({ status: z.string(), released_units: units, refunded_units: units, held_units: units })
  .nullable()
  .openapi({ description: 'Null: it knows no such deal' });

const reconciliation = z
  .object({
    id: z.uuid(),
    network_id: z.uuid(),
    started_at: z.iso.datetime(),
    finished_at: z.iso.datetime(),
    block: z.int().nullable().openapi({ description: 'Everything was compared as of this block' }),
    failure: z.string().nullable().openapi({ description: 'Why nothing could be compared', example: null }),
    deals: z.int().openapi({ description: 'How many were compared' }),
    differing: z.int().openapi({ description: 'Deals and tokens that differ; more than are listed, if many' }),
    tokens: z.array(
      z.object({
        token: z.string(),
        currency: z.string().nullable(),
        open_deals: z.int(),
        balance_units: units,
        held_units: z.object({ chain: units, mirror: units, ledger: units, others: units }),
        credit_units: z.object({ chain: units, mirror: units }),
        surplus_units: units.openapi({ description: 'Balance less held and credits on chain' }),
        agrees: z.boolean(),
      }),
    ),
    differences: z.array(
      z.object({
        deal: z.string(),
        token: z.string(),
        node_id: z.uuid().nullable(),
        payment_id: z.uuid().nullable(),
        chain: said,
        mirror: said,
        ledger: said,
      }),
    ),
  })
  .openapi('Reconciliation');

/** The route of reconciliations. */
export function reconciliationRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  router.openapi(
    createRoute({
      method: 'get',
      path: '/reconciliations',
      summary: 'List comparisons of chain, mirror and ledger, newest first; operators only',
      description: 'One is made a network and hour.',
      tags: ['Reserves'],
      security: [{ integration: [] }],
      middleware: requireIntegration(services),
      request: { query: z.object({ network_id: z.uuid().optional(), ...pageQuery }) },
      responses: {
        200: json(paged(reconciliation), 'A page of comparisons'),
        ...problems('invalid_request', 'unauthenticated', 'forbidden'),
      },
    }),
    async (c) => {
      const { network_id, page, per_page } = c.req.valid('query');
      await requireOperator(sql, c.get('integration'));
      const { rows, total } = await listReconciliations(sql, network_id, { page, perPage: per_page });
      return c.json({ items: rows.map(render), page, per_page, total }, 200);
    },
  );
  return router;
}

function render(row: ReconciliationRow): z.input<typeof reconciliation> {
  return {
    id: row.id,
    network_id: row.networkId,
    started_at: row.startedAt.toISOString(),
    finished_at: row.finishedAt.toISOString(),
    block: row.block === null ? null : Number(row.block),
    failure: row.failure,
    deals: row.deals,
    differing: row.differing,
    tokens: row.tokens.map((sums) => ({
      token: sums.token,
      currency: sums.currency,
      open_deals: sums.openDeals,
      balance_units: sums.balanceUnits,
      held_units: sums.heldUnits,
      credit_units: sums.creditUnits,
      surplus_units: sums.surplusUnits,
      agrees: sums.agrees,
    })),
    differences: row.differences.map((deal) => ({
      deal: deal.dealId,
      token: deal.token,
      node_id: deal.nodeId,
      payment_id: deal.paymentId,
      chain: renderSaid(deal.chain),
      mirror: renderSaid(deal.mirror),
      ledger: renderSaid(deal.ledger),
    })),
  };
}

function renderSaid(account: ReconciliationRow['differences'][number]['chain']): z.input<typeof said> {
  if (account === null) return null;
  const { status, releasedUnits: released_units, refundedUnits: refunded_units, heldUnits: held_units } = account;
  return { status, released_units, refunded_units, held_units };
}
