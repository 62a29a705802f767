// The order resource (spec/002-orders.json): create, change the amount, list, delete. An order is a cart; what is asked of its buyer,
// and paid, are its transactions.
import { createRoute, z } from '@hono/zod-openapi';
import { v7 as uuidv7 } from 'uuid';
import { actorOf } from '../callers.ts';
import { type Sql, type Transaction, transact } from '../core/database/db.ts';
import { CoreError, FieldFaults } from '../core/errors.ts';
import { cancelPayment, type LockedPayment } from '../core/payments/actions.ts';
import { findMerchant, findMoney, nodesOf } from '../core/platform/merchants.ts';
import { allotNumber, findByNumber } from '../core/platform/numbers.ts';
import { findCurrency, type Integration } from '../core/platform/platform.ts';
import type { ChainStatus, DealRow, PaymentStatus } from '../core/schema.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services, wholeNumber } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, json, label } from '../resource.ts';
import { orderResponse, renderOrders } from './order.ts';
import {
  insertOrder,
  type Key,
  listOrders,
  lockOrder,
  type OrderItem,
  replaceSplits,
  transactionsOf,
  updateOrder,
  updateTransaction,
} from './records.ts';
import {
  amount,
  currencyCode,
  day,
  merchantId,
  number32Answer,
  pageCountAnswer,
  pageCountOf,
  pageOf,
  pageQuery,
  pathNumber,
  solutionCode,
  unitsOf,
} from './shapes.ts';

const itemRequest = z.strictObject({
  gtin: label.openapi({ example: '7512345678915' }),
  label: label.openapi({ example: 'Tea cup' }),
  quantity: wholeNumber(0, 1_000_000_000).openapi({ example: 4 }),
  price: amount.openapi({ example: 16 }),
  currencyCode,
  amount: amount.openapi({ example: 64 }),
});

const createOrderRequest = z
  .strictObject({
    solutionCode,
    merchantGlobalOrderId: merchantId,
    amount: amount.openapi({ description: 'What the buyer is to pay', example: 64 }),
    currencyCode,
    orderType: z.enum(['PURCHASE', 'REFUND']).default('PURCHASE').openapi({
      description: '`REFUND` is inferred: such an order is kept, and takes no payment',
    }),
    merchantBuyerId: merchantId,
    items: z
      .array(itemRequest)
      .max(200)
      .optional()
      .openapi({ description: 'Kept and shown again; their amounts need not sum to the order’s, which may hold more' }),
  })
  .openapi('CreateOrder');

const patchOrderRequest = z
  .strictObject({ solutionCode, amount: amount.optional().openapi({ example: 64 }) })
  .openapi('PatchOrder');

const orderParams = z.object({ orderId: pathNumber });

// A payment of these will bring no money, so that an order may have another one.
const OVER: readonly PaymentStatus[] = ['cancelled', 'expired', 'failed'];

/** @throws illegal_transition once an order's payment has frozen its terms. */
export function refuseFrozen(paying: LockedPayment | null, what: string): void {
  if (!paying || OVER.includes(paying.payment.status)) return;
  throw new CoreError(
    'illegal_transition',
    `${what} cannot change any more: a PAYMENT of the order is ${paying.payment.status}. Delete that transaction first.`,
  );
}

const MOVED: readonly ChainStatus[] = ['confirming', 'funded', 'disputed', 'settled'];

/** @throws illegal_transition once money has come in for a payment. */
export function refuseMoved({ payment, deals }: LockedPayment): void {
  const moved = (deal: DealRow) => deal.seenTransaction !== null || MOVED.includes(deal.chainStatus);
  if (!deals.some(moved)) return;
  throw new CoreError(
    'illegal_transition',
    `Money has moved: the payment is ${payment.status}. Register a REFUND to give it back.`,
  );
}

/** Mounts the routes of orders. */
export function orderRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Orders'], security: [{ oauth2: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'not_found'] as const;

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/orders',
      summary: 'Create an order',
      description: 'An order demand from the merchant, by its merchantGlobalOrderId.',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createOrderRequest) },
      responses: {
        201: json(z.object({ orderId: number32Answer }).openapi('OrderCreated'), 'The order has been created'),
        ...problems(...refusals, 'conflict', ...keyRefusals),
      },
    }),
    async (c) => {
      const request = c.req.valid('json');
      return await once(c, services, 201, async (on) => ({
        orderId: await createOrder(on, c.get('integration'), request),
      }));
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/orders',
      summary: "List the merchant's orders, newest first",
      middleware: authenticated,
      request: {
        query: z.object({
          ...pageQuery,
          lastUpdateDate: day
            .optional()
            .openapi({ description: 'Only those last updated on that day, in UTC', example: '2023-02-13' }),
        }),
      },
      responses: {
        200: json(z.object({ pageCount: pageCountAnswer, orders: z.array(orderResponse) }), 'A page of orders'),
        ...problems(...refusals),
      },
    }),
    async (c) => {
      const { lastUpdateDate, ...query } = c.req.valid('query');
      const page = pageOf(query);
      const nodeIds = await nodesOf(sql, c.get('integration'));
      const { rows, total } = await listOrders(sql, nodeIds, { day: lastUpdateDate }, page);
      return c.json({ pageCount: pageCountOf(total, page), orders: await renderOrders(sql, rows) }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/orders/{orderId}',
      summary: "Change an order's amount",
      description:
        'Until a PAYMENT is registered. Another amount voids the split, which has to be applied anew (inferred: the document says nothing of it).',
      middleware: [authenticated, jsonBody()] as const,
      request: { params: orderParams, body: body(patchOrderRequest) },
      responses: {
        200: json(orderResponse, 'The order has been updated'),
        ...problems(...refusals, 'illegal_transition'),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      const { amount: text, solutionCode: code } = c.req.valid('json');
      const nodeId = await findMerchant(sql, integration, code);
      const key = await findByNumber(sql, nodeId, 'order', c.req.valid('param').orderId);
      const [order] = await transact(sql, async (tx) => await renderOrders(tx, [await changeAmount(tx, key, text)]));
      if (!order) throw new Error('The order was not shown.');
      return c.json(order, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: '/orders/{orderId}',
      summary: 'Delete an order of which no money has moved',
      description:
        'A payment that waits for its buyer is cancelled; the merchantGlobalOrderId stays taken. If a buyer pays meanwhile and the chain takes that first, the order comes back.',
      middleware: authenticated,
      request: { params: orderParams },
      responses: { 204: { description: 'The order has been deleted' }, ...problems(...refusals, 'illegal_transition') },
    }),
    async (c) => {
      const integration = c.get('integration');
      const key = await findByNumber(sql, integration.nodeId, 'order', c.req.valid('param').orderId);
      await transact(sql, (tx) => deleteOrder(tx, integration, key));
      return c.body(null, 204);
    },
  );
  return router;
}

async function createOrder(
  on: Sql | Transaction,
  integration: Integration,
  request: z.output<typeof createOrderRequest>,
): Promise<number> {
  return await transact(on, async (tx) => {
    const nodeId = await findMerchant(tx, integration, request.solutionCode);
    const faults = new FieldFaults();
    const code = request.currencyCode;
    const currency = await findMoney(tx, nodeId, { code, pointer: '/currencyCode' }, faults);
    // Without a currency there is no more to say of amounts.
    if (!currency) faults.throwIfAny();
    if (currency?.archivedAt) faults.add('/currencyCode', 'is of an archived currency');
    const decimals = currency?.decimals ?? 0;
    const amountUnits = unitsOf({ text: request.amount, pointer: '/amount' }, { decimals }, faults);
    const items = request.items?.map((item, index): OrderItem => {
      if (item.currencyCode !== code) faults.add(`/items/${index}/currencyCode`, `is not the order's, ${code}`);
      for (const field of ['price', 'amount'] as const) {
        unitsOf({ text: item[field], pointer: `/items/${index}/${field}`, zero: true }, { decimals }, faults);
      }
      return item;
    });
    faults.throwIfAny();
    const key = { nodeId, id: uuidv7() };
    await insertOrder(tx, {
      ...key,
      merchantOrderId: request.merchantGlobalOrderId,
      solutionCode: request.solutionCode,
      amountUnits,
      currencyCode: code,
      currencyId: currency?.id ?? '',
      orderType: request.orderType,
      merchantBuyerId: request.merchantBuyerId,
      items: items ?? null,
    });
    return await allotNumber(tx, 'order', key);
  });
}

async function changeAmount(tx: Transaction, key: Key, text: string | undefined) {
  const { order, paying } = await lockOrder(tx, key);
  if (text === undefined) return order;
  const faults = new FieldFaults();
  const amountUnits = unitsOf({ text, pointer: '/amount' }, await findCurrency(tx, order.currencyId), faults);
  faults.throwIfAny();
  if (amountUnits === order.amountUnits) return order;
  refuseFrozen(paying, 'The amount');
  await replaceSplits(tx, key, []);
  await updateOrder(tx, key, { amountUnits });
  return (await lockOrder(tx, key)).order;
}

async function deleteOrder(tx: Transaction, integration: Integration, key: Key): Promise<void> {
  const { paying } = await lockOrder(tx, key);
  if (paying) {
    refuseMoved(paying);
    await closePayment(tx, integration, paying);
  }
  const deletedAt = new Date();
  for (const transaction of await transactionsOf(tx, [key])) await updateTransaction(tx, transaction, { deletedAt });
  await updateOrder(tx, key, { deletedAt });
}

/** Cancels a payment that nobody has paid, unless it is over. */
export async function closePayment(
  tx: Transaction,
  integration: Integration,
  { payment }: LockedPayment,
): Promise<void> {
  if (OVER.includes(payment.status)) return;
  await cancelPayment(tx, { nodeId: payment.nodeId, paymentId: payment.id }, actorOf(integration));
}
