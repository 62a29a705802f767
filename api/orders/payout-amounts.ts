// The payoutSellerAmount resource (spec/002-orders.json): a seller is paid an amount of whatever is held for him, the oldest first.
import { createRoute, z } from '@hono/zod-openapi';
import { type Sql, type Transaction, transact } from '../core/database/db.ts';
import { FieldFaults } from '../core/errors.ts';
import { findMoney } from '../core/platform/merchants.ts';
import type { Integration } from '../core/platform/platform.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, json } from '../resource.ts';
import { effectiveUnits, failureOf, failureReason, paymentOf, payoutPayment, payoutSurroundings } from './payout.ts';
import { listPayouts, type PayoutRecord, requireFreePayout } from './payout-records.ts';
import { findPayout, merchantOfSeller, promisePayout, removePayout, sellerOf } from './payouts.ts';
import {
  amount,
  amountAnswer,
  currencyCode,
  executionDate,
  majorOf,
  merchantId,
  momentAnswer,
  number32Answer,
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

const createRequest = z
  .strictObject({
    solutionCode,
    reasonLabel,
    executionDate: executionDate.optional(),
    merchantPayoutSellerAmountId: merchantId,
    payout: z.strictObject({
      askedAmount: amount.openapi({ description: 'What is to arrive, the marketplace’s fee left out' }),
      currencyCode,
    }),
  })
  .openapi('CreatePayoutSellerAmount');

const payoutResponse = z
  .object({
    payoutSellerAmountId: number32Answer.openapi({ example: 4 }),
    solutionCode,
    reasonLabel,
    executionDate: momentAnswer,
    payout: z.object({
      askedAmount: amountAnswer,
      payoutAmount: amountAnswer.openapi({
        description: 'What is to arrive, and once executed what arrived: less when it was refunded meanwhile',
      }),
      payoutAvailableAmount: amountAnswer.openapi({
        description: 'What could then still be paid out to the seller (inferred)',
        example: 0,
      }),
      currencyCode,
    }),
    payoutPayment,
    merchantPayoutSellerAmountId: merchantId,
    failureReason,
  })
  .openapi('PayoutSellerAmount');

const payoutParams = z.object({ ...sellerParams, payoutSellerAmountId: pathNumber });
const noun = 'payout_seller_amount';

/** Mounts the routes of payouts by amount. */
export function payoutAmountRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Payouts'], security: [{ oauth2: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'not_found'] as const;
  const path = '/sellers/{sellerId}/payout-seller-amounts';

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path,
      summary: 'Pay a seller an amount of what is held for him',
      description: 'Of the oldest orders and transfers first, to the unit. More than can be paid out is refused.',
      middleware: [authenticated, jsonBody()] as const,
      request: { params: z.object(sellerParams), headers: keyHeader, body: body(createRequest) },
      responses: {
        201: json(payoutResponse, 'The payoutSellerAmount has been created'),
        ...problems(...refusals, 'conflict', ...keyRefusals),
      },
    }),
    async (c) => {
      const request = c.req.valid('json');
      const { sellerId } = c.req.valid('param');
      return await once(c, services, 201, async (on) => {
        const [shown] = await render(on, [await payAmount(on, c.get('integration'), sellerId, request)]);
        if (!shown) throw new Error('The payout was not shown.');
        return shown;
      });
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path,
      summary: "List a seller's payouts by amount, newest first",
      middleware: authenticated,
      request: { params: z.object(sellerParams), query: z.object(pageQuery) },
      responses: {
        200: json(
          z.object({ pageCount: pageCountAnswer, payoutSellerAmounts: z.array(payoutResponse) }),
          'A page of payoutSellerAmounts',
        ),
        ...problems(...refusals),
      },
    }),
    async (c) => {
      const page = pageOf(c.req.valid('query'));
      const seller = await sellerOf(sql, c.get('integration'), c.req.valid('param').sellerId);
      const filter = { nodeIds: [seller.nodeId], noun, partyId: seller.id } as const;
      const { records, total } = await listPayouts(sql, filter, page);
      return c.json({ pageCount: pageCountOf(total, page), payoutSellerAmounts: await render(sql, records) }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: `${path}/{payoutSellerAmountId}`,
      summary: "Get a seller's payout by amount",
      middleware: authenticated,
      request: { params: payoutParams },
      responses: { 200: json(payoutResponse, 'The payoutSellerAmount'), ...problems(...refusals) },
    }),
    async (c) => {
      const { sellerId, payoutSellerAmountId: number } = c.req.valid('param');
      const [shown] = await render(sql, [await findPayout(sql, c.get('integration'), { noun, number, sellerId })]);
      if (!shown) throw new Error('The payout was not shown.');
      return c.json(shown, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: `${path}/{payoutSellerAmountId}`,
      summary: 'Delete a payout by amount that is PENDING and not under way',
      middleware: authenticated,
      request: { params: payoutParams },
      responses: {
        204: { description: 'The payoutSellerAmount has been deleted' },
        ...problems(...refusals, 'illegal_transition'),
      },
    }),
    async (c) => {
      const { sellerId, payoutSellerAmountId: number } = c.req.valid('param');
      await removePayout(sql, c.get('integration'), { noun, number, sellerId });
      return c.body(null, 204);
    },
  );
  return router;
}

async function payAmount(
  on: Sql | Transaction,
  integration: Integration,
  sellerId: number,
  { payout, ...request }: z.output<typeof createRequest>,
): Promise<PayoutRecord> {
  return await transact(on, async (tx) => {
    const seller = await merchantOfSeller(tx, integration, sellerId, request.solutionCode);
    const name = { nodeId: seller.nodeId, noun, merchantPayoutId: request.merchantPayoutSellerAmountId } as const;
    await requireFreePayout(tx, name);
    const faults = new FieldFaults();
    const code = payout.currencyCode;
    const currency = await findMoney(tx, seller.nodeId, { code, pointer: '/payout/currencyCode' }, faults);
    const pointer = '/payout/askedAmount';
    const netUnits = currency ? unitsOf({ text: payout.askedAmount, pointer }, currency, faults) : 0n;
    faults.throwIfAny();
    return await promisePayout(tx, integration, {
      ...name,
      solutionCode: request.solutionCode,
      currencyCode: code,
      partyId: seller.id,
      currencyId: currency?.id ?? '',
      label: request.reasonLabel,
      executionDate: request.executionDate,
      items: [{ pointer, netUnits, legIds: null, orderId: null, transferId: null, paymentId: null }],
    });
  });
}

async function render(
  sql: Sql | Transaction,
  records: readonly PayoutRecord[],
): Promise<z.input<typeof payoutResponse>[]> {
  const { currencyOf, numberOf } = await payoutSurroundings(sql, records);
  return await Promise.all(
    records.map(async (record) => {
      const { row, payout, items } = record;
      const currency = await currencyOf(record);
      return {
        payoutSellerAmountId: numberOf(record),
        solutionCode: row.solutionCode,
        reasonLabel: payout.label ?? '',
        executionDate: payout.executeAt.toISOString(),
        payout: {
          askedAmount: majorOf(payout.amountUnits, currency),
          payoutAmount: majorOf(effectiveUnits(payout.parts), currency),
          payoutAvailableAmount: majorOf(items[0]?.leftUnits ?? 0n, currency),
          currencyCode: row.currencyCode,
        },
        payoutPayment: paymentOf(record, currency),
        merchantPayoutSellerAmountId: row.merchantPayoutId,
        failureReason: failureOf(record),
      };
    }),
  );
}
