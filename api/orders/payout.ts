// Owns how payouts are shown: rows of this surface joined with what the core says of their parts.
import { z } from '@hono/zod-openapi';
import type { Sql, Transaction } from '../core/database/db.ts';
import { numbersOf } from '../core/platform/numbers.ts';
import { findCurrencies, findCurrency } from '../core/platform/platform.ts';
import type { CurrencyRow } from '../core/schema.ts';
import { type PayoutItemRow, type PayoutRecord, payoutsOfOrders, transfersOf } from './payout-records.ts';
import { type Key, ordersOf } from './records.ts';
import {
  amountAnswer,
  currencyCode,
  majorOf,
  merchantId,
  momentAnswer,
  number32Answer,
  reasonLabel,
  solutionCode,
} from './shapes.ts';

/** How a payout stands. */
export const paymentStatus = z.enum(['PENDING', 'EXECUTED', 'REJECTED']).openapi({
  description:
    '`PENDING` until the chain, or the provider, has all of it; `EXECUTED`: what is effective was paid; `REJECTED`: nothing was (all but `PENDING` are inferred)',
});

/** What is paid by a payout as a whole. */
export const payoutPayment = z.object({
  paymentStatus,
  paymentAmount: amountAnswer.openapi({ description: 'The sum of what is effective', example: 85 }),
  currencyCode,
});

/** Why a part of a payout was not paid. */
export const failureReason = z.string().nullable().openapi({
  description: 'Why something of it was not paid; an addition',
  example: 'A payment that is refunded cannot be released.',
});

const payoutFields = {
  payoutSellerId: number32Answer,
  merchantPayoutSellerId: merchantId,
  reasonLabel,
  executionDate: momentAnswer,
  transfers: z.array(z.object({ merchantTransferId: merchantId, payoutAmount: amountAnswer, currencyCode })),
  payoutOrders: z.array(
    z.object({
      merchantGlobalOrderId: merchantId,
      payoutRequestedAmount: amountAnswer,
      payoutEffectiveAmount: amountAnswer.openapi({
        description: 'What is to arrive, and once executed what arrived: less when it was refunded meanwhile',
      }),
      payoutResidualAmount: amountAnswer.openapi({
        description: 'What of the seller’s part of the order was then still to be paid out (inferred)',
        example: 0,
      }),
      currencyCode,
    }),
  ),
  payoutPayment,
  failureReason,
};

/** A payout as orders show it. */
export const payoutOfOrder = z.object(payoutFields);

/** A payout as every read of its own returns it. */
export const payoutResponse = z.object({ ...payoutFields, solutionCode }).openapi('PayoutSeller');

type PayoutBody = z.input<typeof payoutResponse>;

/** How a payout stands, in this dialect. */
export function paymentOf({ payout, row }: PayoutRecord, currency: CurrencyRow): z.input<typeof payoutPayment> {
  return {
    paymentStatus: STATUS[payout.status],
    paymentAmount: majorOf(effectiveUnits(payout.parts), currency),
    currencyCode: row.currencyCode,
  };
}

/** The dialect's words for how a payout stands. */
export const STATUS = { pending: 'PENDING', executed: 'EXECUTED', rejected: 'REJECTED' } as const;

type Parts = PayoutRecord['payout']['parts'];

/** What arrives of parts: what was paid, and what is still to be. */
export function effectiveUnits(parts: Parts): bigint {
  return parts.reduce((sum, { state, paidUnits, netUnits }) => {
    if (state === 'rejected') return sum;
    return sum + (paidUnits ?? netUnits);
  }, 0n);
}

/** Why something of a payout was not paid. */
export function failureOf({ payout }: PayoutRecord): string | null {
  return payout.parts.find(({ failure }) => failure !== null)?.failure ?? null;
}

/** The currencies and numbers of payouts. */
export async function payoutSurroundings(sql: Sql | Transaction, records: readonly PayoutRecord[]) {
  const [first] = records;
  const [currencies, numbers] = await Promise.all([
    findCurrencies(
      sql,
      records.map(({ payout }) => payout.currencyId),
    ),
    first
      ? numbersOf(
          sql,
          first.row.noun,
          records.map(({ row }) => row),
        )
      : new Map<string, number>(),
  ]);
  return {
    currencyOf: async ({ payout }: PayoutRecord): Promise<CurrencyRow> =>
      currencies.find(({ id }) => id === payout.currencyId) ?? (await findCurrency(sql, payout.currencyId)),
    numberOf: ({ row }: PayoutRecord): number => numbers.get(row.id) ?? 0,
  };
}

/** Shows payouts of orders and transfers. */
export async function renderPayouts(sql: Sql | Transaction, records: readonly PayoutRecord[]): Promise<PayoutBody[]> {
  const items = records.flatMap((record) => record.items.map((item) => ({ nodeId: record.row.nodeId, ...item })));
  const [{ currencyOf, numberOf }, orders, transfers] = await Promise.all([
    payoutSurroundings(sql, records),
    ordersOf(
      sql,
      items.flatMap(({ nodeId, orderId: id }) => (id === null ? [] : [{ nodeId, id }])),
    ),
    transfersOf(
      sql,
      items.map(({ nodeId }) => nodeId),
      items.flatMap(({ transferId }) => transferId ?? []),
    ),
  ]);
  return await Promise.all(
    records.map(async (record) => {
      const { row, payout } = record;
      const currency = await currencyOf(record);
      const effective = (item: PayoutItemRow) =>
        majorOf(effectiveUnits(payout.parts.filter(({ paymentId }) => paymentId === item.paymentId)), currency);
      return {
        payoutSellerId: numberOf(record),
        merchantPayoutSellerId: row.merchantPayoutId,
        solutionCode: row.solutionCode,
        reasonLabel: payout.label ?? '',
        executionDate: payout.executeAt.toISOString(),
        transfers: record.items.flatMap((item) => {
          const transfer = transfers.find(({ id }) => id === item.transferId);
          if (!transfer) return [];
          const { merchantTransferId } = transfer;
          return [{ merchantTransferId, payoutAmount: effective(item), currencyCode: row.currencyCode }];
        }),
        payoutOrders: record.items.flatMap((item) => {
          const order = orders.find(({ id }) => id === item.orderId);
          if (!order) return [];
          return [
            {
              merchantGlobalOrderId: order.merchantOrderId,
              payoutRequestedAmount: majorOf(item.requestedUnits, currency),
              payoutEffectiveAmount: effective(item),
              payoutResidualAmount: majorOf(item.leftUnits, currency),
              currencyCode: row.currencyCode,
            },
          ];
        }),
        payoutPayment: paymentOf(record, currency),
        failureReason: failureOf(record),
      };
    }),
  );
}

/** The payouts that take of orders, as those show them, by the order's id. */
export async function payoutSellersOfOrders(
  sql: Sql | Transaction,
  orders: readonly Key[],
): Promise<Map<string, z.input<typeof payoutOfOrder>[]>> {
  const records = await payoutsOfOrders(sql, orders);
  const shown = await renderPayouts(sql, records);
  return new Map(
    orders.map(({ id }) => [
      id,
      records.flatMap(({ items }, index) => {
        const { solutionCode: _, ...fields } = shown[index] as PayoutBody;
        return items.some(({ orderId }) => orderId === id) ? [fields] : [];
      }),
    ]),
  );
}
