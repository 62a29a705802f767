// Owns how orders and transactions are shown: rows of this surface joined with what the core says of their payments.
import { z } from '@hono/zod-openapi';
import type { Sql, Transaction } from '../core/database/db.ts';
import { heldUnits } from '../core/payments/actions.ts';
import { loadOperations, type OperationRecord } from '../core/payments/operations.ts';
import { loadPayments, type PaymentRecord } from '../core/payments/payments.ts';
import { numbersOf } from '../core/platform/numbers.ts';
import { findCurrencies } from '../core/platform/platform.ts';
import type { ChainStatus, CurrencyRow } from '../core/schema.ts';
import { jsonNumber } from '../http.ts';
import { payoutOfOrder, payoutSellersOfOrders } from './payout.ts';
import {
  type Key,
  type OrderRow,
  ordersOf,
  type SplitRow,
  splitsOf,
  type TransactionRow,
  transactionsOf,
} from './records.ts';
import {
  amountAnswer,
  currencyCode,
  day,
  majorOf,
  merchantId,
  momentAnswer,
  number32Answer,
  solutionCode,
} from './shapes.ts';

/** How a buyer pays. */
export const paymentMethodName = z.enum(['PAYXPERT_SG', 'WEB3', 'CARD', 'BANK_TRANSFER']).openapi({
  description:
    '`WEB3`: into the escrow on chain · `CARD`, `BANK_TRANSFER`: through a provider · `PAYXPERT_SG`: as the merchant’s currency is, a token by `WEB3`, fiat money by `CARD` (the last three names are inferred)',
});

/** What a transaction does. */
export const transactionType = z.enum(['PAYMENT', 'REFUND']).openapi({
  description: '`REFUND` is inferred. A chargeback is reported by its provider, never registered',
});

const itemAnswer = z.object({
  gtin: z.string().openapi({ example: '7512345678915' }),
  label: z.string().openapi({ example: 'Tea cup' }),
  quantity: z.int().openapi({ example: 4 }),
  price: amountAnswer.openapi({ example: 15.55 }),
  currencyCode,
  amount: amountAnswer.openapi({ example: 62.2 }),
});

const transactionFields = {
  transactionId: number32Answer,
  type: transactionType,
  executionDate: momentAnswer,
  amount: amountAnswer,
  currencyCode,
  merchantTransactionId: merchantId,
  paymentMethodName,
  isPaid: z.boolean().openapi({
    description:
      'Of a PAYMENT: all of it is in the escrow, as the chain or the provider says. Of a REFUND: all of it is back',
    example: true,
  }),
  dueDate: day.optional(),
  paidAmount: amountAnswer.openapi({ description: 'What of the amount that is so of' }),
};

/** A transaction as every read of its own returns it. */
export const transactionResponse = z
  .object({
    ...transactionFields,
    solutionCode,
    merchantGlobalOrderId: merchantId,
    orderId: number32Answer,
    paymentId: z.uuid().openapi({ description: 'Of `/api/v1/payments`; an addition to the dialect' }),
    paymentStatus: z.string().openapi({ description: 'Of that payment; an addition', example: 'awaiting_deposit' }),
    expiresAt: momentAnswer.openapi({ description: 'Until when that payment can be paid; an addition' }),
  })
  .openapi('Transaction');

const splitAnswer = z.object({
  sellerId: number32Answer,
  amount: amountAnswer,
  amountType: z.literal('SELLER_PAYMENT'),
  fee: amountAnswer.openapi({ example: 6.5 }),
  feeType: z.literal('MKTP_FEES'),
  currencyCode,
  model: z.enum(['1P', '3P']).openapi({ example: '3P' }),
  splitProducerFeeAmount: amountAnswer.openapi({ description: 'What of the fee its seller bears: all', example: 6.5 }),
  isCashed: z
    .boolean()
    .openapi({ description: 'Something of it was released to the seller (inferred)', example: true }),
});

/** An order as every read returns it. */
export const orderResponse = z
  .object({
    orderId: number32Answer,
    solutionCode,
    merchantGlobalOrderId: merchantId,
    amount: amountAnswer,
    currencyCode,
    orderType: z.enum(['PURCHASE', 'REFUND']),
    merchantBuyerId: merchantId,
    registrationTimestamp: momentAnswer,
    lastUpdateTimestamp: momentAnswer,
    items: z.array(itemAnswer),
    transactions: z.array(z.object(transactionFields)),
    orderSplits: z
      .array(z.object({ splits: z.array(splitAnswer) }))
      .openapi({ description: 'The split that holds, if there is one' }),
    payoutSellers: z.array(payoutOfOrder).openapi({ description: 'What was, or is to be, paid out of it' }),
  })
  .openapi('Order');

type OrderBody = z.input<typeof orderResponse>;
type TransactionBody = z.input<typeof transactionResponse>;

/** What the rows of some orders and transactions refer to. */
type Surroundings = {
  numbers: Map<string, number>;
  currencies: readonly CurrencyRow[];
  payments: Map<string, PaymentRecord>;
  operations: Map<string, OperationRecord>;
};

async function surroundingsOf(
  sql: Sql | Transaction,
  orders: readonly OrderRow[],
  transactions: readonly TransactionRow[],
): Promise<Surroundings> {
  const paymentKeys = [
    ...orders.flatMap(({ nodeId, paymentId }) => (paymentId === null ? [] : [{ nodeId, paymentId }])),
    ...transactions.map(({ nodeId, paymentId }) => ({ nodeId, paymentId })),
  ];
  const [orderNumbers, transactionNumbers, currencies, payments, operations] = await Promise.all([
    numbersOf(sql, 'order', orders),
    numbersOf(sql, 'transaction', transactions),
    findCurrencies(
      sql,
      orders.map(({ currencyId }) => currencyId),
    ),
    loadPayments(sql, paymentKeys),
    operationsOf(sql, transactions),
  ]);
  return { numbers: new Map([...orderNumbers, ...transactionNumbers]), currencies, payments, operations };
}

async function operationsOf(
  sql: Sql | Transaction,
  transactions: readonly TransactionRow[],
): Promise<Map<string, OperationRecord>> {
  const found = new Map<string, OperationRecord>();
  for (const nodeId of new Set(transactions.map((row) => row.nodeId))) {
    const ids = transactions.filter((row) => row.nodeId === nodeId).flatMap(({ operationIds }) => operationIds);
    if (ids.length === 0) continue;
    for (const operation of await loadOperations(sql, nodeId, ids)) found.set(operation.id, operation);
  }
  return found;
}

/** Shows orders with everything that belongs to them. */
export async function renderOrders(sql: Sql | Transaction, orders: readonly OrderRow[]): Promise<OrderBody[]> {
  const [splits, transactions] = await Promise.all([splitsOf(sql, orders), transactionsOf(sql, orders)]);
  const parties = splits.map(({ nodeId, partyId }) => ({ nodeId, id: partyId }));
  const [around, sellers, payouts] = await Promise.all([
    surroundingsOf(sql, orders, transactions),
    numbersOf(sql, 'seller', parties),
    payoutSellersOfOrders(sql, orders),
  ]);
  return orders.map((order) => {
    const currency = currencyOf(order, around);
    const paying = order.paymentId === null ? undefined : around.payments.get(order.paymentId);
    const own = splits.filter(({ orderId }) => orderId === order.id);
    return {
      orderId: numberOf(order, around.numbers),
      solutionCode: order.solutionCode,
      merchantGlobalOrderId: order.merchantOrderId,
      amount: majorOf(order.amountUnits, currency),
      currencyCode: order.currencyCode,
      orderType: order.orderType,
      merchantBuyerId: order.merchantBuyerId,
      registrationTimestamp: order.createdAt.toISOString(),
      lastUpdateTimestamp: order.updatedAt.toISOString(),
      items: (order.items ?? []).map((item) => ({
        ...item,
        price: jsonNumber(item.price),
        amount: jsonNumber(item.amount),
      })),
      transactions: transactions
        .filter(({ orderId }) => orderId === order.id)
        .map((transaction) => renderFields(transaction, order, around)),
      orderSplits:
        own.length === 0
          ? []
          : [{ splits: own.map((split) => renderSplit(split, { order, currency, paying, sellers })) }],
      payoutSellers: payouts.get(order.id) ?? [],
    };
  });
}

function renderSplit(
  split: SplitRow,
  {
    order,
    currency,
    paying,
    sellers,
  }: { order: OrderRow; currency: CurrencyRow; paying: PaymentRecord | undefined; sellers: Map<string, number> },
): z.input<typeof splitAnswer> {
  const fee = majorOf(split.feeUnits, currency);
  return {
    sellerId: numberOf({ id: split.partyId }, sellers),
    amount: majorOf(split.amountUnits, currency),
    amountType: 'SELLER_PAYMENT',
    fee,
    feeType: 'MKTP_FEES',
    currencyCode: order.currencyCode,
    model: split.model,
    splitProducerFeeAmount: fee,
    isCashed: (paying?.deals.find(({ leg }) => leg === split.position)?.releasedUnits ?? 0n) > 0n,
  };
}

/** Shows transactions, each with the order that it is of. */
export async function renderTransactions(
  sql: Sql | Transaction,
  transactions: readonly TransactionRow[],
): Promise<TransactionBody[]> {
  const keys = transactions.map(({ nodeId, orderId }): Key => ({ nodeId, id: orderId }));
  const orders = new Map((await ordersOf(sql, keys)).map((order) => [order.id, order]));
  const around = await surroundingsOf(sql, [...orders.values()], transactions);
  return transactions.map((transaction) => {
    const order = orders.get(transaction.orderId);
    const record = around.payments.get(transaction.paymentId);
    if (!order || !record) throw new Error(`Transaction ${transaction.id} refers to a row that is missing.`);
    return {
      ...renderFields(transaction, order, around),
      solutionCode: order.solutionCode,
      merchantGlobalOrderId: order.merchantOrderId,
      orderId: numberOf(order, around.numbers),
      paymentId: record.payment.id,
      paymentStatus: record.payment.status,
      expiresAt: record.payment.expiresAt.toISOString(),
    };
  });
}

function renderFields(transaction: TransactionRow, order: OrderRow, around: Surroundings) {
  const currency = currencyOf(order, around);
  const amount = majorOf(transaction.amountUnits, currency);
  const { isPaid, paidAmount } =
    transaction.type === 'PAYMENT'
      ? paidOf(around.payments.get(transaction.paymentId))
      : refundedOf(transaction, amount, around);
  return {
    transactionId: numberOf(transaction, around.numbers),
    type: transaction.type,
    executionDate: transaction.executionDate.toISOString(),
    amount,
    currencyCode: order.currencyCode,
    merchantTransactionId: transaction.merchantTransactionId,
    paymentMethodName: transaction.paymentMethodName as z.input<typeof paymentMethodName>,
    isPaid,
    ...(transaction.dueDate && { dueDate: transaction.dueDate.toISOString().slice(0, 10) }),
    paidAmount,
  };
}

const DEPOSITED: readonly ChainStatus[] = ['funded', 'disputed', 'settled'];

/** What of a payment the chain, N confirmations deep, or its provider says was paid; what became of it since counts no less. */
function paidOf(record: PaymentRecord | undefined): { isPaid: boolean; paidAmount: number } {
  if (!record) return { isPaid: false, paidAmount: 0 };
  const units = record.deals
    .filter(({ chainStatus }) => DEPOSITED.includes(chainStatus))
    .reduce((sum, { amountUnits }) => sum + amountUnits, 0n);
  return { isPaid: units >= record.payment.paidPriceUnits, paidAmount: majorOf(units, record.currency) };
}

/** A refund counts once its operations are done, and the leg shows it: from then on what is left can be refunded, too. */
function refundedOf(
  { operationIds, paymentId }: TransactionRow,
  amount: number,
  { operations, payments }: Surroundings,
): { isPaid: boolean; paidAmount: number } {
  const legs = payments.get(paymentId)?.deals ?? [];
  const counts = (id: string) => {
    const operation = operations.get(id);
    const leg = legs.find((deal) => deal.id === operation?.legId);
    if (operation?.status !== 'done' || !leg) return false;
    return operation.amountUnits === null ? heldUnits(leg) === 0n : leg.refundedUnits >= operation.amountUnits;
  };
  const isPaid = operationIds.length > 0 && operationIds.every(counts);
  return { isPaid, paidAmount: isPaid ? amount : 0 };
}

function currencyOf(order: OrderRow, { currencies }: Surroundings): CurrencyRow {
  const currency = currencies.find(({ id }) => id === order.currencyId);
  if (!currency) throw new Error(`Order ${order.id} refers to a currency that is missing.`);
  return currency;
}

function numberOf({ id }: { id: string }, numbers: Map<string, number>): number {
  const number = numbers.get(id);
  if (number === undefined) throw new Error(`${id} has no 32-bit id.`);
  return number;
}
