// Owns how transfers are shown: rows of this surface joined with what the core says of the payments that their debtors sign.
import { z } from '@hono/zod-openapi';
import type { Sql, Transaction } from '../core/database/db.ts';
import { loadPayment, loadPayments, type PaymentRecord } from '../core/payments/payments.ts';
import { numbersOf } from '../core/platform/numbers.ts';
import { findCurrencies } from '../core/platform/platform.ts';
import type { ChainStatus } from '../core/schema.ts';
import type { TransferRow } from './payout-records.ts';
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

/** Which way the money goes. */
export const accountingEntry = z.enum(['TRANSFER_TO_MARKETPLACE', 'TRANSFER_TO_SELLER']).openapi({
  description: 'Who is paid: `TRANSFER_TO_MARKETPLACE` by the seller, `TRANSFER_TO_SELLER` by the marketplace',
  example: 'TRANSFER_TO_MARKETPLACE',
});

/** What it is for. */
export const reasonCode = z.enum(['SUBSCRIPTION', 'FEE', 'COMMERCIAL_GESTURE', 'OTHER']).openapi({
  description: 'For reports; all but `SUBSCRIPTION` are inferred',
  example: 'SUBSCRIPTION',
});

/** A transfer as every read returns it. */
export const transferResponse = z
  .object({
    transferId: number32Answer,
    sellerId: number32Answer,
    merchantTransferId: merchantId.openapi({ example: '9887975454' }),
    solutionCode,
    accountingEntry,
    reasonCode,
    reasonLabel,
    executionDate: momentAnswer,
    amount: amountAnswer.openapi({ example: 65.15 }),
    currencyCode,
    status: z.enum(['PENDING', 'EXECUTED', 'REJECTED', 'CANCELLED']).openapi({
      description:
        '`PENDING` until the debtor’s deposit is confirmed; `EXECUTED`: it is in the account of who is paid; `REJECTED`: the time to pay is over; `CANCELLED`: closed, or given back (all but `PENDING` are inferred)',
    }),
    paymentId: z.uuid().openapi({ description: 'Of `/api/v1/payments`, which the debtor signs; an addition' }),
    paymentStatus: z.string().openapi({ description: 'Of that payment; an addition', example: 'awaiting_deposit' }),
    expiresAt: momentAnswer.openapi({ description: 'Until when it can be paid; an addition' }),
  })
  .openapi('Transfer');

/** A transfer as it is shown. */
export type TransferBody = z.input<typeof transferResponse>;

const DEPOSITED: readonly ChainStatus[] = ['funded', 'disputed', 'settled'];

/** How a transfer stands, by the payment that its debtor signs. */
export function statusOf({ payment, deals }: Pick<PaymentRecord, 'payment' | 'deals'>): TransferBody['status'] {
  if (['cancelled', 'refunded'].includes(payment.status)) return 'CANCELLED';
  if (['expired', 'failed'].includes(payment.status)) return 'REJECTED';
  return deals.every(({ chainStatus }) => DEPOSITED.includes(chainStatus)) ? 'EXECUTED' : 'PENDING';
}

/** Whether a transfer's money is there to be paid out. */
export async function isExecuted(sql: Sql | Transaction, { nodeId, paymentId }: TransferRow): Promise<boolean> {
  return statusOf(await loadPayment(sql, { nodeId, paymentId })) === 'EXECUTED';
}

/** Shows transfers. */
export async function renderTransfers(sql: Sql | Transaction, rows: readonly TransferRow[]): Promise<TransferBody[]> {
  const [numbers, sellers, currencies, payments] = await Promise.all([
    numbersOf(sql, 'transfer', rows),
    numbersOf(
      sql,
      'seller',
      rows.map(({ nodeId, partyId: id }) => ({ nodeId, id })),
    ),
    findCurrencies(
      sql,
      rows.map(({ currencyId }) => currencyId),
    ),
    loadPayments(sql, rows),
  ]);
  return rows.map((row) => {
    const record = payments.get(row.paymentId);
    const currency = currencies.find(({ id }) => id === row.currencyId);
    if (!record || !currency) throw new Error(`Transfer ${row.id} refers to a row that is missing.`);
    return {
      transferId: numbers.get(row.id) ?? 0,
      sellerId: sellers.get(row.partyId) ?? 0,
      merchantTransferId: row.merchantTransferId,
      solutionCode: row.solutionCode,
      accountingEntry: row.accountingEntry,
      reasonCode: reasonCode.parse(row.reasonCode),
      reasonLabel: row.reasonLabel,
      executionDate: row.executionDate.toISOString(),
      amount: majorOf(row.amountUnits, currency),
      currencyCode: row.currencyCode,
      status: statusOf(record),
      paymentId: record.payment.id,
      paymentStatus: record.payment.status,
      expiresAt: record.payment.expiresAt.toISOString(),
    };
  });
}
