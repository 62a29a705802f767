// The order split (spec/002-orders.json): who gets how much of an order, and what of it is the marketplace's fee. Each line becomes one
// leg of the order's payment: one deal on chain, released, refunded and disputed by itself.
import { createRoute, z } from '@hono/zod-openapi';
import { type Sql, type Transaction, transact } from '../core/database/db.ts';
import { CoreError, FieldFaults } from '../core/errors.ts';
import { formatUnits } from '../core/money.ts';
import { payoutAddresses } from '../core/people/parties.ts';
import { findMerchant } from '../core/platform/merchants.ts';
import { findByNumber } from '../core/platform/numbers.ts';
import { findCurrency, findNodes, type Integration } from '../core/platform/platform.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, json } from '../resource.ts';
import { refuseFrozen } from './orders.ts';
import { findOrder, lockOrder, replaceSplits, type SplitRow, updateOrder } from './records.ts';
import { amount, currencyCode, merchantId, number32, solutionCode, unitsOf } from './shapes.ts';

// One signature pays them all; so many cost about 1.5 million gas.
const MAX_SPLITS = 32;

const splitRequest = z
  .strictObject({
    solutionCode,
    merchantGlobalOrderId: merchantId,
    splits: z
      .array(
        z.strictObject({
          sellerId: number32.openapi({ description: '`seller_id` of one of the merchant’s parties' }),
          amount: amount.openapi({ description: 'Of the order, fee included' }),
          amountType: z.literal('SELLER_PAYMENT'),
          fee: amount.openapi({ description: 'What of the amount is the marketplace’s', example: 6.5 }),
          feeType: z.literal('MKTP_FEES'),
          currencyCode,
          model: z.enum(['1P', '3P']).openapi({ description: '`1P` is inferred', example: '3P' }),
        }),
      )
      .min(1)
      .max(MAX_SPLITS),
  })
  .openapi('OrderSplit');

/** Mounts the route of order splits. */
export function splitRoutes(services: Services) {
  return createRouter().openapi(
    createRoute({
      method: 'post',
      path: '/order-splits',
      operationId: 'splitOrder',
      summary: 'Split an order among its sellers',
      description:
        'The amounts sum to the order’s (inferred). A second split takes the place of the first, until a PAYMENT is registered: the escrow’s terms name every seller.',
      tags: ['Orders'],
      security: [{ oauth2: [] }],
      middleware: [requireIntegration(services), jsonBody()] as const,
      request: { headers: keyHeader, body: body(splitRequest) },
      responses: {
        200: json(z.object({}).openapi('OrderSplitApplied'), 'The split has been applied'),
        ...problems('invalid_request', 'unauthenticated', 'not_found', 'illegal_transition', ...keyRefusals),
      },
    }),
    async (c) => {
      const request = c.req.valid('json');
      return await once(c, services, 200, async (on) => {
        await splitOrder(on, services, c.get('integration'), request);
        return {};
      });
    },
  );
}

async function splitOrder(
  on: Sql | Transaction,
  { vault }: Services,
  integration: Integration,
  request: z.output<typeof splitRequest>,
): Promise<void> {
  await transact(on, async (tx) => {
    const nodeId = await findMerchant(tx, integration, request.solutionCode);
    const { order, paying } = await lockOrder(tx, await findOrder(tx, nodeId, request.merchantGlobalOrderId));
    refuseFrozen(paying, 'The split');
    const currency = await findCurrency(tx, order.currencyId);
    const faults = new FieldFaults();
    const splits: Omit<SplitRow, 'nodeId' | 'orderId' | 'position'>[] = [];
    for (const [index, split] of request.splits.entries()) {
      const at = (field: string) => `/splits/${index}/${field}`;
      if (split.currencyCode !== order.currencyCode) {
        faults.add(at('currencyCode'), `is not the order's, ${order.currencyCode}`);
      }
      const amountUnits = unitsOf({ text: split.amount, pointer: at('amount') }, currency, faults);
      const feeUnits = unitsOf({ text: split.fee, pointer: at('fee'), zero: true }, currency, faults);
      if (feeUnits > amountUnits) faults.add(at('fee'), "is more than the split's amount");
      const partyId = await findSeller(tx, nodeId, split.sellerId);
      if (partyId === null) faults.add(at('sellerId'), 'is not a seller of the merchant');
      else if (splits.some((other) => other.partyId === partyId)) faults.add(at('sellerId'), 'has a split already');
      splits.push({ partyId: partyId ?? '', amountUnits, feeUnits, model: split.model });
    }
    const sum = splits.reduce((total, { amountUnits }) => total + amountUnits, 0n);
    const major = (units: bigint) => formatUnits(units, currency.decimals);
    if (sum !== order.amountUnits) {
      faults.add('/splits', `sum to ${major(sum)}, but the order's amount is ${major(order.amountUnits)}`);
    }
    faults.throwIfAny();
    if (currency.type === 'token') await checkPayable(tx, vault, nodeId, splits);
    await replaceSplits(tx, order, splits);
    await updateOrder(tx, order);
  });
}

/** The party that a merchant's seller is; null: the merchant has no such seller. */
export async function findSeller(tx: Transaction, nodeId: string, sellerId: number): Promise<string | null> {
  try {
    const seller = await findByNumber(tx, nodeId, 'seller', sellerId);
    return seller.nodeId === nodeId ? seller.id : null;
  } catch (error) {
    if (error instanceof CoreError && error.code === 'not_found') return null;
    throw error;
  }
}

/** What the escrow needs to pay a split: where to pay its seller, and its fee. @throws invalid_request */
async function checkPayable(
  tx: Transaction,
  vault: Services['vault'],
  nodeId: string,
  splits: readonly Pick<SplitRow, 'partyId' | 'feeUnits'>[],
): Promise<void> {
  const faults = new FieldFaults();
  const [node] = await findNodes(tx, [nodeId]);
  const addresses = await payoutAddresses(
    tx,
    vault,
    nodeId,
    splits.map(({ partyId }) => partyId),
  );
  for (const [index, { partyId, feeUnits }] of splits.entries()) {
    if (!addresses.has(partyId)) {
      faults.add(
        `/splits/${index}/sellerId`,
        'has no wallet to be paid at: add it to its party as a payout instrument',
      );
    }
    if (feeUnits > 0n && !node?.policy.feeRecipient) {
      faults.add(`/splits/${index}/fee`, "needs a fee_recipient in the deal policy of the merchant's node");
    }
  }
  faults.throwIfAny();
}
