// Owns the rows that only the orders surface knows: orders, their splits and their transactions. What money does is the core's; a row
// here says which payment it is about.
import { columns, insertRows, type Sql, type Transaction } from '../core/database/db.ts';
import { CoreError } from '../core/errors.ts';
import { type LockedPayment, lockPayment } from '../core/payments/actions.ts';
import type { Page } from './shapes.ts';

/** One line of an order; amounts as decimal text. */
export type OrderItem = {
  gtin: string;
  label: string;
  quantity: number;
  price: string;
  currencyCode: string;
  amount: string;
};

export type OrderRow = {
  nodeId: string;
  id: string;
  merchantOrderId: string;
  solutionCode: string;
  amountUnits: bigint;
  currencyCode: string;
  /** What the node meant by the code when the order came. */
  currencyId: string;
  orderType: 'PURCHASE' | 'REFUND';
  merchantBuyerId: string;
  items: OrderItem[] | null;
  /** The payment that counts. */
  paymentId: string | null;
  createdAt: Date;
  updatedAt: Date;
  deletedAt: Date | null;
};

/** What one seller gets: the leg of the order's payment at `position`. */
export type SplitRow = {
  nodeId: string;
  orderId: string;
  position: number;
  partyId: string;
  amountUnits: bigint;
  feeUnits: bigint;
  model: '1P' | '3P';
};

export type TransactionRow = {
  nodeId: string;
  id: string;
  orderId: string;
  merchantTransactionId: string;
  type: 'PAYMENT' | 'REFUND';
  executionDate: Date;
  /** In the order's currency. */
  amountUnits: bigint;
  paymentMethodName: string;
  dueDate: Date | null;
  paymentId: string;
  operationIds: string[];
  createdAt: Date;
  updatedAt: Date;
  deletedAt: Date | null;
};

/** A row of this surface, by its node and its id. */
export type Key = { nodeId: string; id: string };

/** Adds an order. @throws conflict when the merchant has one of this name, deleted ones among them. */
export async function insertOrder(
  tx: Transaction,
  { items, ...order }: Omit<OrderRow, 'paymentId' | 'createdAt' | 'updatedAt' | 'deletedAt'>,
): Promise<void> {
  const row = { ...order, items: items && tx.json(items) };
  const added = await tx`
    insert into orders_order ${tx(columns(row))} on conflict (node_id, merchant_order_id) do nothing returning id`;
  if (added.length === 0) throw taken('merchantGlobalOrderId');
}

/** That a merchant's own id is not free. */
export function taken(field: string): CoreError {
  return new CoreError('conflict', `The ${field} is taken.`, [
    { pointer: `/${field}`, message: 'is taken by another one of this merchant, maybe deleted' },
  ]);
}

/** The order that a merchant calls so. @throws not_found */
export async function findOrder(sql: Sql | Transaction, nodeId: string, merchantOrderId: string): Promise<Key> {
  const [row] = await sql<Key[]>`
    select node_id, id from orders_order
    where node_id = ${nodeId} and merchant_order_id = ${merchantOrderId} and deleted_at is null`;
  if (!row) throw noOrder();
  return row;
}

function noOrder(): CoreError {
  return new CoreError('not_found', 'The order does not exist.');
}

/** An order and the payment that counts, both locked until the transaction ends. @throws not_found */
export async function lockOrder(
  tx: Transaction,
  { nodeId, id }: Key,
): Promise<{ order: OrderRow; paying: LockedPayment | null }> {
  for (;;) {
    // The payment first, as whoever changes its status does, whose trigger then wants the order.
    const [seen] = await tx<Pick<OrderRow, 'paymentId'>[]>`
      select payment_id from orders_order where node_id = ${nodeId} and id = ${id}`;
    const paying = seen?.paymentId ? await lockPayment(tx, { nodeId, paymentId: seen.paymentId }) : null;
    const [order] = await tx<OrderRow[]>`
      select * from orders_order where node_id = ${nodeId} and id = ${id} and deleted_at is null for update`;
    if (!order) throw noOrder();
    if (order.paymentId === seen?.paymentId) return { order, paying };
  }
}

/** Writes what changed of an order, nothing of it needed: the order is then updated now. */
export async function updateOrder(
  tx: Transaction,
  { nodeId, id }: Key,
  changed: Partial<Pick<OrderRow, 'amountUnits' | 'paymentId' | 'deletedAt'>> = {},
): Promise<void> {
  await tx`
    update orders_order set ${tx(columns({ ...changed, updatedAt: new Date() }))}
    where node_id = ${nodeId} and id = ${id}`;
}

/** A page of the orders of some nodes, newest first; `day` (YYYY-MM-DD, UTC): those last updated on it. */
export async function listOrders(
  sql: Sql,
  nodeIds: readonly string[],
  { day }: { day: string | undefined },
  { page, perPage }: Page,
): Promise<{ rows: OrderRow[]; total: number }> {
  const begin = sql`(${day ?? null}::date)::timestamp at time zone 'UTC'`;
  const on = day === undefined ? sql`` : sql`and updated_at >= ${begin} and updated_at < ${begin} + interval '1 day'`;
  // Node by node, newest first: each along its index, however many orders it has.
  const own = sql`unnest(${[...nodeIds]}::uuid[]) as own(node_id)`;
  const [rows, [count]] = await Promise.all([
    sql<OrderRow[]>`
      select o.* from ${own} cross join lateral (
        select * from orders_order where node_id = own.node_id and deleted_at is null ${on}
        order by id desc limit ${page * perPage}) o
      order by o.id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`
      select count(*)::int as total from ${own} join orders_order using (node_id) where deleted_at is null ${on}`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

/** The orders with these ids. */
export async function ordersOf(sql: Sql | Transaction, keys: readonly Key[]): Promise<OrderRow[]> {
  return keys.length === 0
    ? []
    : await sql<OrderRow[]>`
        select * from orders_order where (node_id, id) in ${keyList(sql, keys)}`;
}

/** The splits of orders, in their order. */
export async function splitsOf(sql: Sql | Transaction, orders: readonly Key[]): Promise<SplitRow[]> {
  return orders.length === 0
    ? []
    : await sql<SplitRow[]>`
        select * from orders_split where (node_id, order_id) in ${keyList(sql, orders)} order by position`;
}

/** Puts these splits in the place of those that an order has. */
export async function replaceSplits(
  tx: Transaction,
  { nodeId, id }: Key,
  splits: readonly Omit<SplitRow, 'nodeId' | 'orderId' | 'position'>[],
): Promise<void> {
  await tx`delete from orders_split where node_id = ${nodeId} and order_id = ${id}`;
  const rows = splits.map((split, position) => ({ ...split, nodeId, orderId: id, position }));
  await insertRows(tx, 'orders_split', rows);
}

/** Adds a transaction. @throws conflict when the merchant has one of this name. */
export async function insertTransaction(
  tx: Transaction,
  { operationIds, ...row }: Omit<TransactionRow, 'createdAt' | 'updatedAt' | 'deletedAt'>,
): Promise<void> {
  const fields = columns(row);
  const added = await tx`
    insert into orders_transaction ${tx({ ...fields, operationIds })}
    on conflict (node_id, merchant_transaction_id) do nothing returning id`;
  if (added.length === 0) throw taken('merchantTransactionId');
}

/** One transaction. @throws not_found */
export async function getTransaction(sql: Sql | Transaction, { nodeId, id }: Key): Promise<TransactionRow> {
  const [row] = await sql<TransactionRow[]>`
    select * from orders_transaction where node_id = ${nodeId} and id = ${id} and deleted_at is null`;
  if (!row) throw new CoreError('not_found', 'The transaction does not exist.');
  return row;
}

/** Writes what changed of a transaction. */
export async function updateTransaction(
  tx: Transaction,
  { nodeId, id }: Key,
  changed: Partial<Pick<TransactionRow, 'deletedAt'>> & { dueDate?: string },
): Promise<void> {
  await tx`
    update orders_transaction set ${tx({ ...changed, updatedAt: new Date() })}
    where node_id = ${nodeId} and id = ${id}`;
}

/** The transactions of orders, oldest first. */
export async function transactionsOf(sql: Sql | Transaction, orders: readonly Key[]): Promise<TransactionRow[]> {
  return orders.length === 0
    ? []
    : await sql<TransactionRow[]>`
        select * from orders_transaction
        where (node_id, order_id) in ${keyList(sql, orders)} and deleted_at is null order by id`;
}

/** A page of the transactions of some nodes, newest first. */
export async function listTransactions(
  sql: Sql,
  nodeIds: readonly string[],
  { page, perPage }: Page,
): Promise<{ rows: TransactionRow[]; total: number }> {
  const own = sql`unnest(${[...nodeIds]}::uuid[]) as own(node_id)`;
  const [rows, [count]] = await Promise.all([
    sql<TransactionRow[]>`
      select t.* from ${own} cross join lateral (
        select * from orders_transaction where node_id = own.node_id and deleted_at is null
        order by id desc limit ${page * perPage}) t
      order by t.id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`
      select count(*)::int as total from ${own} join orders_transaction using (node_id) where deleted_at is null`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

function keyList(sql: Sql | Transaction, keys: readonly Key[]) {
  const nodeIds = keys.map(({ nodeId }) => nodeId);
  return sql`(select * from unnest(${nodeIds}::uuid[], ${keys.map(({ id }) => id)}::uuid[]))`;
}
