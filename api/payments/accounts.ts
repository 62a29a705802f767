// The ledger, to be read: a node's accounts with their balances, and the entries of each.
import { createRoute, z } from '@hono/zod-openapi';
import { CoreError } from '../core/errors.ts';
import { accountNode, listAccounts, listStatement } from '../core/ledger.ts';
import { mayActOn } from '../core/platform/platform.ts';
import { createRouter, pageQuery, problems, requireIntegration, type Services } from '../http.ts';
import { moment, paged } from '../resource.ts';

const signedUnits = z
  .string()
  .regex(/^-?\d+$/)
  .openapi({ description: 'Base units, exact', example: '25500000' });

const account = z
  .object({
    id: z.uuid(),
    node_id: z.uuid(),
    type: z
      .enum(['payer', 'escrow', 'payee', 'fee', 'pending', 'excess', 'withdrawn'])
      .openapi({ description: 'fee: earned and not withdrawn yet; withdrawn: paid out to the fee recipient' }),
    owner: z.string().openapi({ description: "A wallet's address; of an escrow account the payment's id" }),
    currency_id: z.uuid(),
    held_by: z.string().nullable().openapi({
      description: 'The provider that holds the money, of which this is a memo; null: the escrow on chain',
      example: 'sandbox',
    }),
    balance_units: signedUnits,
  })
  .openapi('Account');

const entry = z
  .object({
    entry_id: z.uuid(),
    payment_id: z.uuid().nullable().openapi({ description: 'Null: a withdrawal of fees' }),
    name: z.string().openapi({ description: 'The event on chain, or what a provider did' }),
    source: z
      .string()
      .openapi({ description: 'chain id:block hash:transaction hash:log index, or provider:its reference:change' }),
    reverses: z.uuid().nullable(),
    amount_units: signedUnits,
    effective_at: z.string(),
    recorded_at: z.string(),
  })
  .openapi('AccountEntry');

/** Mounts the routes of the ledger. */
export function accountRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const shared = { tags: ['Ledger'], security: [{ integration: [] }], middleware: requireIntegration(services) };
  const refusals = problems('invalid_request', 'unauthenticated', 'not_found');

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/accounts',
      summary: "List a node's accounts with their balances",
      request: {
        query: z.object({
          node_id: z.uuid(),
          type: account.shape.type.optional(),
          owner: z.string().max(64).optional(),
          as_of: moment.optional().openapi({ description: 'Balances at this moment' }),
          ...pageQuery,
        }),
      },
      responses: {
        200: { description: 'A page of accounts', content: { 'application/json': { schema: paged(account) } } },
        ...refusals,
      },
    }),
    async (c) => {
      const { node_id, type, owner, as_of, page, per_page } = c.req.valid('query');
      if (!(await mayActOn(sql, c.get('integration'), node_id))) {
        throw new CoreError('not_found', 'The node does not exist.');
      }
      const asOf = as_of === undefined ? undefined : new Date(as_of);
      const filter = { nodeId: node_id, type, owner: owner?.toLowerCase(), asOf };
      const { rows, total } = await listAccounts(sql, filter, { page, perPage: per_page });
      const items = rows.map((row) => ({
        id: row.id,
        node_id: row.nodeId,
        type: row.type,
        owner: row.owner,
        currency_id: row.currencyId,
        held_by: row.heldBy,
        balance_units: row.balanceUnits.toString(),
      }));
      return c.json({ items, page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/accounts/{id}/entries',
      summary: "List an account's entries, newest first",
      request: { params: z.object({ id: z.uuid() }), query: z.object(pageQuery) },
      responses: {
        200: { description: 'A page of entries', content: { 'application/json': { schema: paged(entry) } } },
        ...refusals,
      },
    }),
    async (c) => {
      const { page, per_page } = c.req.valid('query');
      const accountId = c.req.valid('param').id;
      const nodeId = await accountNode(sql, accountId);
      if (!nodeId || !(await mayActOn(sql, c.get('integration'), nodeId))) {
        throw new CoreError('not_found', 'The account does not exist.');
      }
      const { rows, total } = await listStatement(sql, { nodeId, accountId }, { page, perPage: per_page });
      const items = rows.map((row) => ({
        entry_id: row.entryId,
        payment_id: row.paymentId,
        name: row.name,
        source: row.source,
        reverses: row.reverses,
        amount_units: row.amountUnits.toString(),
        effective_at: row.effectiveAt.toISOString(),
        recorded_at: row.recordedAt.toISOString(),
      }));
      return c.json({ items, page, per_page, total }, 200);
    },
  );

  return router;
}
