// The payoutMerchant resource (spec/002-orders.json): the marketplace is paid what sellers transferred to it and the fees that it has
// earned. The escrow pays a credit of fees out whole, to its owner, whoever asks; so more may arrive than was asked for.
import { createRoute, z } from '@hono/zod-openapi';
import { type Sql, type Transaction, transact } from '../core/database/db.ts';
import { FieldFaults } from '../core/errors.ts';
import { findMerchant, findMoney, nodesOf } from '../core/platform/merchants.ts';
import type { Integration } from '../core/platform/platform.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, json } from '../resource.ts';
import { effectiveUnits, failureOf, failureReason, paymentStatus, payoutSurroundings, STATUS } from './payout.ts';
import { listPayouts, type PayoutRecord, requireFreePayout } from './payout-records.ts';
import { findPayout, promisePayout, removePayout } from './payouts.ts';
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
  solutionCode,
  unitsOf,
} from './shapes.ts';

const createRequest = z
  .strictObject({
    merchantPayoutMerchantId: merchantId,
    solutionCode,
    reasonLabel: reasonLabel.optional(),
    executionDate: executionDate.optional(),
    amount: amount.openapi({ description: 'At most the SETTLEMENT account’s balance' }),
    currencyCode,
  })
  .openapi('CreatePayoutMerchant');

const payoutResponse = z
  .object({
    payoutMerchantId: number32Answer.openapi({ example: 4 }),
    merchantPayoutMerchantId: merchantId,
    solutionCode,
    reasonLabel: reasonLabel.optional(),
    executionDate: momentAnswer,
    amount: amountAnswer.openapi({ description: 'What was asked for' }),
    currencyCode,
    status: paymentStatus,
    effectiveAmount: amountAnswer.openapi({
      description:
        'What is to arrive, and once executed what arrived; an addition. More than was asked for when fees are withdrawn: the escrow pays a credit out whole',
    }),
    failureReason,
  })
  .openapi('PayoutMerchant');

const payoutParams = z.object({ payoutMerchantId: pathNumber });
const noun = 'payout_merchant';

/** Mounts the routes of the merchant's payouts. */
export function payoutMerchantRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Payouts'], security: [{ oauth2: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'not_found'] as const;

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/payout-merchants',
      summary: 'Pay the marketplace',
      description:
        'What was transferred to it first, to the unit, then its fees, whole. Transfers arrive at the node’s wallet, fees at its fee recipient.',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createRequest) },
      responses: {
        201: json(payoutResponse, 'The payoutMerchant has been created'),
        ...problems(...refusals, 'conflict', ...keyRefusals),
      },
    }),
    async (c) => {
      const request = c.req.valid('json');
      return await once(c, services, 201, async (on) => {
        const [shown] = await render(on, [await payMerchant(on, c.get('integration'), request)]);
        if (!shown) throw new Error('The payout was not shown.');
        return shown;
      });
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/payout-merchants',
      summary: "List the marketplace's payouts, newest first",
      middleware: authenticated,
      request: { query: z.object(pageQuery) },
      responses: {
        200: json(
          z.object({ pageCount: pageCountAnswer, payoutMerchants: z.array(payoutResponse) }),
          'A page of payoutMerchants',
        ),
        ...problems(...refusals),
      },
    }),
    async (c) => {
      const page = pageOf(c.req.valid('query'));
      const nodeIds = await nodesOf(sql, c.get('integration'));
      const { records, total } = await listPayouts(sql, { nodeIds, noun }, page);
      return c.json({ pageCount: pageCountOf(total, page), payoutMerchants: await render(sql, records) }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/payout-merchants/{payoutMerchantId}',
      summary: 'Get a payout of the marketplace',
      middleware: authenticated,
      request: { params: payoutParams },
      responses: { 200: json(payoutResponse, 'The payoutMerchant'), ...problems(...refusals) },
    }),
    async (c) => {
      const number = c.req.valid('param').payoutMerchantId;
      const [shown] = await render(sql, [await findPayout(sql, c.get('integration'), { noun, number })]);
      if (!shown) throw new Error('The payout was not shown.');
      return c.json(shown, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: '/payout-merchants/{payoutMerchantId}',
      summary: 'Delete a payout of the marketplace that is PENDING and not under way',
      middleware: authenticated,
      request: { params: payoutParams },
      responses: {
        204: { description: 'The payoutMerchant has been deleted' },
        ...problems(...refusals, 'illegal_transition'),
      },
    }),
    async (c) => {
      await removePayout(sql, c.get('integration'), { noun, number: c.req.valid('param').payoutMerchantId });
      return c.body(null, 204);
    },
  );
  return router;
}

async function payMerchant(
  on: Sql | Transaction,
  integration: Integration,
  request: z.output<typeof createRequest>,
): Promise<PayoutRecord> {
  return await transact(on, async (tx) => {
    const nodeId = await findMerchant(tx, integration, request.solutionCode);
    const name = { nodeId, noun, merchantPayoutId: request.merchantPayoutMerchantId } as const;
    await requireFreePayout(tx, name);
    const faults = new FieldFaults();
    const currency = await findMoney(tx, nodeId, { code: request.currencyCode, pointer: '/currencyCode' }, faults);
    const pointer = '/amount';
    const netUnits = currency ? unitsOf({ text: request.amount, pointer }, currency, faults) : 0n;
    faults.throwIfAny();
    return await promisePayout(tx, integration, {
      ...name,
      solutionCode: request.solutionCode,
      currencyCode: request.currencyCode,
      partyId: null,
      currencyId: currency?.id ?? '',
      label: request.reasonLabel ?? null,
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
      const { row, payout } = record;
      const currency = await currencyOf(record);
      return {
        payoutMerchantId: numberOf(record),
        merchantPayoutMerchantId: row.merchantPayoutId,
        solutionCode: row.solutionCode,
        ...(payout.label !== null && { reasonLabel: payout.label }),
        executionDate: payout.executeAt.toISOString(),
        amount: majorOf(payout.amountUnits, currency),
        currencyCode: row.currencyCode,
        status: STATUS[payout.status],
        effectiveAmount: majorOf(effectiveUnits(payout.parts), currency),
        failureReason: failureOf(record),
      };
    }),
  );
}
