// The payoutSeller resource (spec/002-orders.json): what a seller is paid of orders and transfers that are named. A payout releases the
// seller's leg of each order, as much as makes the requested amount arrive in his wallet to the unit.
import { createRoute, z } from '@hono/zod-openapi';
import { actorOf } from '../callers.ts';
import { systemClock } from '../core/clock.ts';
import { type Sql, type Transaction, transact } from '../core/database/db.ts';
import { CoreError, FieldFaults } from '../core/errors.ts';
import { findDeals } from '../core/payments/deals.ts';
import { loadPayment } from '../core/payments/payments.ts';
import { createPayout, deletePayout, type PayoutItem } from '../core/payouts/payouts.ts';
import { findMerchant } from '../core/platform/merchants.ts';
import { allotNumber, findByNumber } from '../core/platform/numbers.ts';
import type { Integration } from '../core/platform/platform.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, json } from '../resource.ts';
import { payoutResponse, renderPayouts } from './payout.ts';
import {
  findTransfer,
  getPayout,
  insertPayout,
  listPayouts,
  markPayoutDeleted,
  type PayoutItemRow,
  type PayoutNoun,
  type PayoutRecord,
  requireFreePayout,
} from './payout-records.ts';
import { findOrder, type Key, ordersOf, updateOrder } from './records.ts';
import {
  amount,
  currencyCode,
  executionDate,
  merchantId,
  pageCountAnswer,
  pageCountOf,
  pageOf,
  pageQuery,
  pathNumber,
  reasonLabel,
  sellerParams,
  solutionCode,
  unitsOf,
} from './shapes.ts';
import { isExecuted } from './transfer.ts';

// As many legs as one payout releases; each is a transaction, or an entry of one, on chain.
const MAX_ITEMS = 100;

const createPayoutRequest = z
  .strictObject({
    solutionCode,
    reasonLabel,
    executionDate: executionDate.optional(),
    merchantPayoutSellerId: merchantId,
    currencyCode,
    transfers: z
      .array(z.strictObject({ merchantTransferId: merchantId }))
      .max(MAX_ITEMS)
      .default([])
      .openapi({
        description: 'Transfers to this seller, each paid out whole',
      }),
    payoutOrders: z
      .array(z.strictObject({ merchantGlobalOrderId: merchantId, payoutRequestedAmount: amount }))
      .max(MAX_ITEMS)
      .default([])
      .openapi({ description: 'What is to arrive of each order, the marketplace’s fee left out' }),
  })
  .openapi('CreatePayoutSeller');

const payoutParams = z.object({ ...sellerParams, payoutSellerId: pathNumber });

/** Mounts the routes of payouts of orders and transfers that are named. */
export function payoutRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Payouts'], security: [{ oauth2: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'not_found'] as const;
  const path = '/sellers/{sellerId}/payout-sellers';
  const show = async (record: PayoutRecord) => only(await renderPayouts(sql, [record]));

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path,
      summary: 'Pay a seller of orders and transfers that are named',
      description:
        'Promised at once, so that no other payout promises the same money, and carried out on its execution date. Two of one order are carried out one after the other.',
      middleware: [authenticated, jsonBody()] as const,
      request: { params: z.object(sellerParams), headers: keyHeader, body: body(createPayoutRequest) },
      responses: {
        201: json(payoutResponse, 'The payoutSeller has been created'),
        ...problems(...refusals, 'conflict', 'illegal_transition', ...keyRefusals),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      const request = c.req.valid('json');
      const { sellerId } = c.req.valid('param');
      return await once(c, services, 201, async (on) => {
        const record = await payOrders(on, integration, sellerId, request);
        return only(await renderPayouts(on, [record]));
      });
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path,
      summary: "List a seller's payouts, newest first",
      middleware: authenticated,
      request: { params: z.object(sellerParams), query: z.object(pageQuery) },
      responses: {
        200: json(
          z.object({ pageCount: pageCountAnswer, payoutSellers: z.array(payoutResponse) }),
          'A page of payoutSellers',
        ),
        ...problems(...refusals),
      },
    }),
    async (c) => {
      const page = pageOf(c.req.valid('query'));
      const seller = await sellerOf(sql, c.get('integration'), c.req.valid('param').sellerId);
      const filter = { nodeIds: [seller.nodeId], noun: 'payout_seller', partyId: seller.id } as const;
      const { records, total } = await listPayouts(sql, filter, page);
      return c.json({ pageCount: pageCountOf(total, page), payoutSellers: await renderPayouts(sql, records) }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: `${path}/{payoutSellerId}`,
      summary: "Get a seller's payout",
      middleware: authenticated,
      request: { params: payoutParams },
      responses: { 200: json(payoutResponse, 'The payoutSeller'), ...problems(...refusals) },
    }),
    async (c) => {
      const { sellerId, payoutSellerId } = c.req.valid('param');
      const named = { noun: 'payout_seller', number: payoutSellerId, sellerId } as const;
      return c.json(await show(await findPayout(sql, c.get('integration'), named)), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: `${path}/{payoutSellerId}`,
      summary: 'Delete a payout that is PENDING and not under way',
      description:
        'Once its execution date has come, the release is on its way to the chain and nothing takes it back.',
      middleware: authenticated,
      request: { params: payoutParams },
      responses: {
        204: { description: 'The payoutSeller has been deleted' },
        ...problems(...refusals, 'illegal_transition'),
      },
    }),
    async (c) => {
      const { sellerId, payoutSellerId } = c.req.valid('param');
      const named = { noun: 'payout_seller', number: payoutSellerId, sellerId } as const;
      await removePayout(sql, c.get('integration'), named);
      return c.body(null, 204);
    },
  );
  return router;
}

function only<T>([one]: T[]): T {
  if (one === undefined) throw new Error('The payout was not shown.');
  return one;
}

/** The seller whom a path names. @throws not_found, too when he is another merchant's */
export async function sellerOf(sql: Sql | Transaction, { nodeId }: Integration, sellerId: number): Promise<Key> {
  return await findByNumber(sql, nodeId, 'seller', sellerId);
}

/** The merchant's node that a request names, and its seller whom the path names. @throws not_found */
export async function merchantOfSeller(
  tx: Transaction,
  integration: Integration,
  sellerId: number,
  code: string,
): Promise<Key> {
  const nodeId = await findMerchant(tx, integration, code);
  const seller = await sellerOf(tx, integration, sellerId);
  if (seller.nodeId !== nodeId) throw new CoreError('not_found', 'The seller does not exist.');
  return seller;
}

/** A payout by its number, and of a seller's by its seller's. */
type Named = { noun: PayoutNoun; number: number; sellerId?: number };

/** @throws not_found, too when it is another seller's or merchant's */
export async function findPayout(
  sql: Sql | Transaction,
  integration: Integration,
  { noun, number, sellerId }: Named,
): Promise<PayoutRecord> {
  const seller = sellerId === undefined ? null : await sellerOf(sql, integration, sellerId);
  const key = await findByNumber(sql, integration.nodeId, noun, number);
  return await getPayout(sql, key, { noun, partyId: seller?.id ?? null });
}

/** Takes a payout back. @throws not_found · illegal_transition unless it is PENDING and nothing was asked of the chain */
export async function removePayout(sql: Sql, integration: Integration, named: Named): Promise<void> {
  await transact(sql, async (tx) => {
    const { row } = await findPayout(tx, integration, named);
    await deletePayout(tx, { nodeId: row.nodeId, payoutId: row.id });
    await markPayoutDeleted(tx, row);
  });
}

/** What is asked of a payout, with what this surface notes of each item. */
export type AskedItem = PayoutItem & Pick<PayoutItemRow, 'orderId' | 'transferId' | 'paymentId'>;

/** Promises a payout and notes what the merchant calls it. @throws conflict: more than there is, or the name is taken */
export async function promisePayout(
  tx: Transaction,
  integration: Integration,
  asked: {
    nodeId: string;
    noun: PayoutNoun;
    merchantPayoutId: string;
    solutionCode: string;
    currencyCode: string;
    partyId: string | null;
    currencyId: string;
    label: string | null;
    executionDate: string | undefined;
    items: readonly AskedItem[];
  },
): Promise<PayoutRecord> {
  const { currencyId, label, items, executionDate: date, ...row } = asked;
  const { nodeId, noun, partyId } = row;
  const executeAt = date === undefined ? systemClock.now() : new Date(date);
  const request = { nodeId, partyId, currencyId, label, executeAt, items };
  const { id, leftUnits } = await createPayout(tx, request, actorOf(integration));
  await insertPayout(
    tx,
    { ...row, id },
    items.map(({ orderId, transferId, paymentId, netUnits }, index) => ({
      ...{ orderId, transferId, paymentId, requestedUnits: netUnits, leftUnits: leftUnits[index] ?? 0n },
    })),
  );
  await allotNumber(tx, noun, { nodeId, id });
  return await getPayout(tx, { nodeId, id }, { noun, partyId });
}

async function payOrders(
  on: Sql | Transaction,
  integration: Integration,
  sellerId: number,
  request: z.output<typeof createPayoutRequest>,
): Promise<PayoutRecord> {
  return await transact(on, async (tx) => {
    const seller = await merchantOfSeller(tx, integration, sellerId, request.solutionCode);
    const name = {
      nodeId: seller.nodeId,
      noun: 'payout_seller',
      merchantPayoutId: request.merchantPayoutSellerId,
    } as const;
    await requireFreePayout(tx, name);
    const faults = new FieldFaults();
    const found = [
      ...(await transferItems(tx, seller, request, faults)),
      ...(await orderItems(tx, seller, request, faults)),
    ];
    if (request.transfers.length + request.payoutOrders.length === 0) {
      faults.add('/payoutOrders', 'or transfers must name something to pay out');
    }
    const currencyIds = new Set(found.map(({ currencyId }) => currencyId));
    if (currencyIds.size > 1)
      faults.add('/payoutOrders', 'are not all held in the same money: some were paid by card or transfer');
    faults.throwIfAny();
    const [currencyId = ''] = currencyIds;
    const record = await promisePayout(tx, integration, {
      ...name,
      solutionCode: request.solutionCode,
      currencyCode: request.currencyCode,
      partyId: seller.id,
      currencyId,
      label: request.reasonLabel,
      executionDate: request.executionDate,
      items: found.map(({ item }) => item),
    });
    for (const { orderId } of record.items) if (orderId) await updateOrder(tx, { nodeId: seller.nodeId, id: orderId });
    return record;
  });
}

type Found = { item: AskedItem; currencyId: string };
type PayoutRequest = z.output<typeof createPayoutRequest>;

/** Transfers to the seller whose money is there. @throws illegal_transition when one was not paid */
async function transferItems(
  tx: Transaction,
  seller: Key,
  { transfers, currencyCode: code }: PayoutRequest,
  faults: FieldFaults,
): Promise<Found[]> {
  const found: Found[] = [];
  for (const [index, { merchantTransferId }] of transfers.entries()) {
    const pointer = `/transfers/${index}/merchantTransferId`;
    const transfer = await findTransfer(tx, seller.nodeId, merchantTransferId);
    if (!transfer || transfer.partyId !== seller.id || transfer.accountingEntry !== 'TRANSFER_TO_SELLER') {
      faults.add(pointer, 'is not a transfer to this seller');
      continue;
    }
    if (transfer.currencyCode !== code)
      faults.add('/currencyCode', `is not that of a transfer, ${transfer.currencyCode}`);
    if (found.some(({ item }) => item.transferId === transfer.id)) faults.add(pointer, 'is named twice');
    if (!(await isExecuted(tx, transfer))) {
      throw new CoreError('illegal_transition', `The transfer ${merchantTransferId} is not EXECUTED.`);
    }
    const legs = await findDeals(tx, { nodeId: seller.nodeId, paymentId: transfer.paymentId });
    const item = { pointer, netUnits: transfer.amountUnits, legIds: legs.map(({ id }) => id) };
    const noted = { orderId: null, transferId: transfer.id, paymentId: transfer.paymentId };
    found.push({ item: { ...item, ...noted }, currencyId: transfer.currencyId });
  }
  return found;
}

/** Orders that the seller has a leg of. @throws illegal_transition when one has no payment */
async function orderItems(
  tx: Transaction,
  seller: Key,
  { payoutOrders, currencyCode: code }: PayoutRequest,
  faults: FieldFaults,
): Promise<Found[]> {
  const found: Found[] = [];
  for (const [index, { merchantGlobalOrderId, payoutRequestedAmount }] of payoutOrders.entries()) {
    const at = (field: string) => `/payoutOrders/${index}/${field}`;
    const [order] = await ordersOf(tx, [await findOrder(tx, seller.nodeId, merchantGlobalOrderId)]);
    if (!order) throw new Error(`Order ${merchantGlobalOrderId} is gone.`);
    if (order.currencyCode !== code) faults.add('/currencyCode', `is not that of an order, ${order.currencyCode}`);
    if (found.some(({ item }) => item.orderId === order.id)) faults.add(at('merchantGlobalOrderId'), 'is named twice');
    if (order.paymentId === null) {
      throw new CoreError('illegal_transition', `The order ${merchantGlobalOrderId} has no PAYMENT.`);
    }
    const { payment, deals, currency } = await loadPayment(tx, { nodeId: seller.nodeId, paymentId: order.paymentId });
    const legs = deals.filter(({ partyId }) => partyId === seller.id);
    if (legs.length === 0) faults.add(at('merchantGlobalOrderId'), 'has no split for this seller');
    const pointer = at('payoutRequestedAmount');
    const netUnits = unitsOf({ text: payoutRequestedAmount, pointer }, currency, faults);
    const item = { pointer, netUnits, legIds: legs.map(({ id }) => id) };
    const noted = { orderId: order.id, transferId: null, paymentId: payment.id };
    found.push({ item: { ...item, ...noted }, currencyId: payment.currencyId });
  }
  return found;
}
