// The transaction resource (spec/002-orders.json). A PAYMENT makes a payment of the core with one leg a split, whose widget the buyer
// pays; a REFUND gives held money back. Whether either is done, only the chain or the provider says.
import { createRoute, z } from '@hono/zod-openapi';
import { v7 as uuidv7 } from 'uuid';
import { accessTokenOf } from '../callers.ts';
import { type Sql, type Transaction, transact } from '../core/database/db.ts';
import { CoreError } from '../core/errors.ts';
import { loadOperations } from '../core/payments/operations.ts';
import { authorizePayment, loadPayment } from '../core/payments/payments.ts';
import { findMerchant, nodesOf } from '../core/platform/merchants.ts';
import { allotNumber, findByNumber } from '../core/platform/numbers.ts';
import type { Integration } from '../core/platform/platform.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, json } from '../resource.ts';
import { paymentMethodName, renderTransactions, transactionResponse, transactionType } from './order.ts';
import { closePayment, refuseMoved } from './orders.ts';
import { requestPayment, requestRefund } from './paying.ts';
import {
  findOrder,
  getTransaction,
  insertTransaction,
  type Key,
  listTransactions,
  lockOrder,
  updateOrder,
  updateTransaction,
} from './records.ts';
import {
  amount,
  currencyCode,
  day,
  executionDate,
  merchantId,
  number32,
  pageCountAnswer,
  pageCountOf,
  pageOf,
  pageQuery,
  pathNumber,
  solutionCode,
} from './shapes.ts';

const createTransactionRequest = z
  .strictObject({
    solutionCode,
    merchantGlobalOrderId: merchantId,
    merchantTransactionId: merchantId,
    type: transactionType,
    executionDate,
    amount: amount.openapi({ description: 'Of a PAYMENT: that of the order. Of a REFUND: at most what is held' }),
    currencyCode,
    paymentMethodName,
    dueDate: day.optional(),
    sellerId: number32.optional().openapi({
      // Not in the example of a body, which is a PAYMENT's.
      example: undefined,
      description:
        'Of a REFUND: whose part of the order goes back; an addition, needed for a part of an order with several sellers',
    }),
  })
  .openapi('CreateTransaction');

const createdResponse = transactionResponse
  .extend({
    accessToken: z.string().nullable().openapi({
      description:
        'Of a PAYMENT: opens the checkout widget of its payment; an addition. Null for a token without the scope access_tokens:read, and of a REFUND',
      example: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMTk4In0.c2lnbmF0dXJl',
    }),
  })
  .openapi('TransactionCreated');

const patchTransactionRequest = z.strictObject({ solutionCode, dueDate: day.optional() }).openapi('PatchTransaction');

const transactionParams = z.object({ transactionId: pathNumber });

/** Mounts the routes of transactions. */
export function transactionRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Transactions'], security: [{ oauth2: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'not_found'] as const;

  async function show(on: Sql | Transaction, key: Key) {
    const [transaction] = await renderTransactions(on, [await getTransaction(on, key)]);
    if (!transaction) throw new Error('The transaction was not shown.');
    return transaction;
  }

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/transactions',
      summary: 'Ask for the payment of an order, or refund it',
      description:
        'A PAYMENT needs a split order and freezes its split; its answer opens the checkout widget. It is paid when the chain or the provider says so, never when the caller does. A REFUND sends what the escrow holds back to the buyer; `paymentMethodName` is that of the PAYMENT.',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createTransactionRequest) },
      responses: {
        201: json(createdResponse, 'The transaction has been created'),
        ...problems(...refusals, 'conflict', 'illegal_transition', ...keyRefusals),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      const request = c.req.valid('json');
      const withToken = async <Shown extends { type: string; paymentId: string }>(
        on: Sql | Transaction,
        shown: Shown,
      ): Promise<Shown & { accessToken: string | null }> => {
        if (shown.type === 'REFUND') return { ...shown, accessToken: null };
        const record = await loadPayment(on, await authorizePayment(on, integration, shown.paymentId));
        return { ...shown, accessToken: accessTokenOf(services.tokens, integration, record) };
      };
      return await once(
        c,
        services,
        201,
        async (on) => withToken(on, await show(on, await register(on, services, integration, request))),
        withToken,
      );
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/transactions/{transactionId}',
      summary: 'Get a transaction',
      middleware: authenticated,
      request: { params: transactionParams },
      responses: { 200: json(transactionResponse, 'The transaction'), ...problems(...refusals) },
    }),
    async (c) => {
      const { transactionId } = c.req.valid('param');
      const key = await findByNumber(sql, c.get('integration').nodeId, 'transaction', transactionId);
      return c.json(await show(sql, key), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/transactions',
      summary: "List the merchant's transactions, newest first",
      middleware: authenticated,
      request: { query: z.object(pageQuery) },
      responses: {
        200: json(
          z.object({ pageCount: pageCountAnswer, transactions: z.array(transactionResponse) }),
          'A page of transactions',
        ),
        ...problems(...refusals),
      },
    }),
    async (c) => {
      const page = pageOf(c.req.valid('query'));
      const { rows, total } = await listTransactions(sql, await nodesOf(sql, c.get('integration')), page);
      return c.json({ pageCount: pageCountOf(total, page), transactions: await renderTransactions(sql, rows) }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/transactions/{transactionId}',
      summary: "Change a transaction's due date",
      description: "The merchant's own note: `expiresAt` says until when the buyer can pay, and never changes.",
      middleware: [authenticated, jsonBody()] as const,
      request: { params: transactionParams, body: body(patchTransactionRequest) },
      responses: { 200: json(transactionResponse, 'The transaction has been updated'), ...problems(...refusals) },
    }),
    async (c) => {
      const { solutionCode: code, dueDate } = c.req.valid('json');
      const nodeId = await findMerchant(sql, c.get('integration'), code);
      const key = await findByNumber(sql, nodeId, 'transaction', c.req.valid('param').transactionId);
      const shown = await transact(sql, async (tx) => {
        const { orderId } = await getTransaction(tx, key);
        if (dueDate !== undefined) {
          await updateTransaction(tx, key, { dueDate });
          await updateOrder(tx, { nodeId: key.nodeId, id: orderId });
        }
        return await show(tx, key);
      });
      return c.json(shown, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: '/transactions/{transactionId}',
      summary: 'Delete a transaction of which no money has moved',
      description:
        'Cancels the payment of a PAYMENT; the order may then be split anew and have another one. If a buyer pays meanwhile and the chain takes that first, the transaction comes back. A REFUND can be deleted when it has failed.',
      middleware: authenticated,
      request: { params: transactionParams },
      responses: {
        204: { description: 'The transaction has been deleted' },
        ...problems(...refusals, 'illegal_transition', 'rate_limited'),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      const { transactionId } = c.req.valid('param');
      const key = await findByNumber(sql, integration.nodeId, 'transaction', transactionId);
      await transact(sql, (tx) => deleteTransaction(tx, integration, key));
      return c.body(null, 204);
    },
  );
  return router;
}

async function register(
  on: Sql | Transaction,
  services: Services,
  integration: Integration,
  request: z.output<typeof createTransactionRequest>,
): Promise<Key> {
  return await transact(on, async (tx) => {
    const nodeId = await findMerchant(tx, integration, request.solutionCode);
    const { order, paying } = await lockOrder(tx, await findOrder(tx, nodeId, request.merchantGlobalOrderId));
    const asked =
      request.type === 'PAYMENT'
        ? await requestPayment(tx, services, integration, { order, paying, request })
        : await requestRefund(tx, integration, { order, paying, request });
    const key = { nodeId, id: uuidv7() };
    await insertTransaction(tx, {
      ...key,
      ...asked,
      orderId: order.id,
      merchantTransactionId: request.merchantTransactionId,
      type: request.type,
      executionDate: new Date(request.executionDate),
      paymentMethodName: request.paymentMethodName,
      dueDate: request.dueDate === undefined ? null : new Date(request.dueDate),
    });
    await allotNumber(tx, 'transaction', key);
    await updateOrder(tx, order, { paymentId: asked.paymentId });
    return key;
  });
}

async function deleteTransaction(tx: Transaction, integration: Integration, key: Key): Promise<void> {
  const seen = await getTransaction(tx, key);
  const { order, paying } = await lockOrder(tx, { nodeId: key.nodeId, id: seen.orderId });
  const { type, paymentId, operationIds } = await getTransaction(tx, key);
  if (type === 'REFUND') {
    const operations = await loadOperations(tx, key.nodeId, operationIds);
    if (operations.some(({ status }) => status !== 'failed')) {
      throw new CoreError('illegal_transition', 'The refund was asked of the chain or the provider already.');
    }
  } else if (paying?.payment.id === paymentId) {
    refuseMoved(paying);
    await closePayment(tx, integration, paying);
    await updateOrder(tx, order, { paymentId: null });
  }
  await updateTransaction(tx, key, { deletedAt: new Date() });
}
