// Owns the rows of this surface that name transfers and payouts: which of the merchant's names stands for which payment or payout of the
// core, and what was asked of it. How either stands is the core's.
import { columns, insertRows, type Sql, type Transaction } from '../core/database/db.ts';
import { CoreError } from '../core/errors.ts';
import { findPayouts, type Payout } from '../core/payouts/payouts.ts';
import type { Noun } from '../core/platform/numbers.ts';
import { type Key, taken } from './records.ts';
import type { Page } from './shapes.ts';

export type AccountingEntry = 'TRANSFER_TO_MARKETPLACE' | 'TRANSFER_TO_SELLER';

export type TransferRow = {
  nodeId: string;
  id: string;
  merchantTransferId: string;
  solutionCode: string;
  partyId: string;
  accountingEntry: AccountingEntry;
  reasonCode: string;
  reasonLabel: string;
  executionDate: Date;
  amountUnits: bigint;
  currencyCode: string;
  currencyId: string;
  paymentId: string;
};

/** What a payout is called in the tables of numbers, and the field of its merchant's id. */
export type PayoutNoun = Extract<Noun, `payout_${string}`>;

export type PayoutRow = {
  nodeId: string;
  id: string;
  noun: PayoutNoun;
  merchantPayoutId: string;
  solutionCode: string;
  currencyCode: string;
  partyId: string | null;
};

/** What was asked, and what was then left of where it comes from, in base units. */
export type PayoutItemRow = {
  orderId: string | null;
  transferId: string | null;
  paymentId: string | null;
  requestedUnits: bigint;
  leftUnits: bigint;
};

/** A payout of this surface with what the core says of it. */
export type PayoutRecord = { row: PayoutRow; items: PayoutItemRow[]; payout: Payout };

/** Adds a transfer. @throws conflict when the merchant has one of this name, deleted ones among them */
export async function insertTransfer(tx: Transaction, row: TransferRow): Promise<void> {
  const added = await tx`
    insert into orders_transfer ${tx(columns(row))} on conflict (node_id, merchant_transfer_id) do nothing returning id`;
  if (added.length === 0) throw taken('merchantTransferId');
}

/** @throws conflict when the merchant has a transfer of this name */
export async function requireFreeTransfer(tx: Transaction, nodeId: string, name: string): Promise<void> {
  const known = await tx`select 1 from orders_transfer where node_id = ${nodeId} and merchant_transfer_id = ${name}`;
  if (known.length > 0) throw taken('merchantTransferId');
}

/** One transfer. @throws not_found */
export async function getTransfer(sql: Sql | Transaction, { nodeId, id }: Key): Promise<TransferRow> {
  const [row] = await sql<TransferRow[]>`
    select * from orders_transfer where node_id = ${nodeId} and id = ${id} and deleted_at is null`;
  if (!row) throw new CoreError('not_found', 'The transfer does not exist.');
  return row;
}

/** The transfer that a merchant calls so. */
export async function findTransfer(
  sql: Sql | Transaction,
  nodeId: string,
  merchantTransferId: string,
): Promise<TransferRow | undefined> {
  const [row] = await sql<TransferRow[]>`
    select * from orders_transfer
    where node_id = ${nodeId} and merchant_transfer_id = ${merchantTransferId} and deleted_at is null`;
  return row;
}

/** The transfers with these ids. */
export async function transfersOf(sql: Sql | Transaction, nodeIds: string[], ids: string[]): Promise<TransferRow[]> {
  if (ids.length === 0) return [];
  return await sql<TransferRow[]>`
    select * from orders_transfer where node_id = any(${nodeIds}::uuid[]) and id = any(${ids}::uuid[])`;
}

/** A page of the transfers of some nodes, newest first. */
export async function listTransfers(
  sql: Sql,
  nodeIds: readonly string[],
  { page, perPage }: Page,
): Promise<{ rows: TransferRow[]; total: number }> {
  const where = sql`node_id = any(${[...nodeIds]}::uuid[]) and deleted_at is null`;
  const [rows, [count]] = await Promise.all([
    sql<TransferRow[]>`
      select * from orders_transfer where ${where} order by id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from orders_transfer where ${where}`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

/** Marks a transfer as deleted; its name stays taken. */
export async function markTransferDeleted(tx: Transaction, { nodeId, id }: Key): Promise<void> {
  await tx`update orders_transfer set deleted_at = now() where node_id = ${nodeId} and id = ${id}`;
}

const FIELD_OF: Record<PayoutNoun, string> = {
  payout_seller: 'merchantPayoutSellerId',
  payout_seller_amount: 'merchantPayoutSellerAmountId',
  payout_merchant: 'merchantPayoutMerchantId',
};

/** @throws conflict when the merchant has a payout of this kind and name, deleted ones among them */
export async function requireFreePayout(
  tx: Transaction,
  { nodeId, noun, merchantPayoutId }: Pick<PayoutRow, 'nodeId' | 'noun' | 'merchantPayoutId'>,
): Promise<void> {
  // Two requests of one name wait for each other, so that the second one learns of the name and not of the balance.
  await tx`select pg_advisory_xact_lock(hashtextextended(${`${noun} ${nodeId} ${merchantPayoutId}`}, 0))`;
  const known = await tx`
    select 1 from orders_payout where node_id = ${nodeId} and noun = ${noun} and merchant_payout_id = ${merchantPayoutId}`;
  if (known.length > 0) throw taken(FIELD_OF[noun]);
}

/** Adds what this surface knows of a payout that the core has promised. */
export async function insertPayout(tx: Transaction, row: PayoutRow, items: readonly PayoutItemRow[]): Promise<void> {
  await tx`insert into orders_payout ${tx(columns(row))}`;
  await insertRows(
    tx,
    'orders_payout_item',
    items.map((item, position) => ({ ...item, nodeId: row.nodeId, payoutId: row.id, position })),
  );
}

/** Marks a payout as deleted; its name stays taken. */
export async function markPayoutDeleted(tx: Transaction, { nodeId, id }: Key): Promise<void> {
  await tx`update orders_payout set deleted_at = now() where node_id = ${nodeId} and id = ${id}`;
}

/** A page of payouts, newest first: of some nodes, or of one seller. */
export async function listPayouts(
  sql: Sql,
  { nodeIds, noun, partyId = null }: { nodeIds: readonly string[]; noun: PayoutNoun; partyId?: string | null },
  { page, perPage }: Page,
): Promise<{ records: PayoutRecord[]; total: number }> {
  const where = sql`
    node_id = any(${[...nodeIds]}::uuid[]) and noun = ${noun} and party_id is not distinct from ${partyId}::uuid
    and deleted_at is null`;
  const [rows, [count]] = await Promise.all([
    sql<PayoutRow[]>`
      select * from orders_payout where ${where} order by id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from orders_payout where ${where}`,
  ]);
  return { records: await recordsOf(sql, rows), total: count?.total ?? 0 };
}

/** One payout; with a seller only when it is his. @throws not_found */
export async function getPayout(
  sql: Sql | Transaction,
  { nodeId, id }: Key,
  { noun, partyId = null }: { noun: PayoutNoun; partyId?: string | null },
): Promise<PayoutRecord> {
  const rows = await sql<PayoutRow[]>`
    select * from orders_payout
    where node_id = ${nodeId} and id = ${id} and noun = ${noun} and party_id is not distinct from ${partyId}::uuid
      and deleted_at is null`;
  const [record] = await recordsOf(sql, rows);
  if (!record) throw new CoreError('not_found', `The ${noun.replaceAll('_', ' ')} does not exist.`);
  return record;
}

/** The payouts that take of these orders, oldest first. */
export async function payoutsOfOrders(sql: Sql | Transaction, orders: readonly Key[]): Promise<PayoutRecord[]> {
  if (orders.length === 0) return [];
  const [nodeIds, ids] = [orders.map(({ nodeId }) => nodeId), orders.map(({ id }) => id)];
  const rows = await sql<PayoutRow[]>`
    select p.* from orders_payout p
    where p.deleted_at is null and exists (
      select 1 from orders_payout_item i
      join unnest(${nodeIds}::uuid[], ${ids}::uuid[]) as asked(node_id, order_id) using (node_id, order_id)
      where i.node_id = p.node_id and i.payout_id = p.id)
    order by p.id`;
  return await recordsOf(sql, rows);
}

async function recordsOf(sql: Sql | Transaction, rows: readonly PayoutRow[]): Promise<PayoutRecord[]> {
  if (rows.length === 0) return [];
  const items = await sql<(PayoutItemRow & { payoutId: string })[]>`
    select * from orders_payout_item
    where node_id = any(${rows.map(({ nodeId }) => nodeId)}::uuid[]) and payout_id = any(${rows.map(({ id }) => id)}::uuid[])
    order by position`;
  const payouts: Payout[] = [];
  for (const nodeId of new Set(rows.map((row) => row.nodeId))) {
    const ids = rows.filter((row) => row.nodeId === nodeId).map(({ id }) => id);
    payouts.push(...(await findPayouts(sql, { nodeId, ids })));
  }
  return rows.flatMap((row) => {
    const payout = payouts.find(({ id }) => id === row.id);
    return payout ? [{ row, items: items.filter(({ payoutId }) => payoutId === row.id), payout }] : [];
  });
}

/** What a payment of the core is here: an order's, or a transfer's; neither when it was made elsewhere. */
export type PaymentName = { merchantOrderId?: string; accountingEntry?: AccountingEntry; reasonLabel?: string };

/** What payments of a node are, by their ids. */
export async function paymentNames(
  sql: Sql,
  nodeId: string,
  paymentIds: readonly string[],
): Promise<Map<string, PaymentName>> {
  if (paymentIds.length === 0) return new Map();
  const ids = [...new Set(paymentIds)];
  const [orders, transfers] = await Promise.all([
    sql<{ paymentId: string; merchantOrderId: string }[]>`
      select t.payment_id, o.merchant_order_id from orders_transaction t
      join orders_order o on o.node_id = t.node_id and o.id = t.order_id
      where t.node_id = ${nodeId} and t.type = 'PAYMENT' and t.payment_id = any(${ids}::uuid[])`,
    sql<({ paymentId: string } & Required<Omit<PaymentName, 'merchantOrderId'>>)[]>`
      select payment_id, accounting_entry, reason_label from orders_transfer
      where node_id = ${nodeId} and payment_id = any(${ids}::uuid[])`,
  ]);
  return new Map([...orders, ...transfers].map(({ paymentId, ...name }) => [paymentId, name]));
}
