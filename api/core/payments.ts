// Owns payments as they are read: one with everything that shows it, found by who may see it, and a node's in pages. How one
// comes to be is in creation.ts; what happens to it afterwards in actions.ts (asked for) and settle.ts (seen on chain).
import type { Sql, Transaction } from './db.ts';
import { CoreError } from './errors.ts';
import { findMembers, type SealedMember } from './members.ts';
import { findCurrencies, findNetworks, type Integration, mayActOn } from './platform.ts';
import type { CurrencyRow, DealRow, NetworkRow, PaymentGroup, PaymentRow } from './schema.ts';

/** A payment with what is needed to show it. */
export type PaymentRecord = {
  payment: PaymentRow;
  /** Its legs, at least one. */
  deals: DealRow[];
  currency: CurrencyRow;
  network: NetworkRow;
  /** Still sealed: most who load a payment need not know whom it is for. */
  member: SealedMember | null;
};

/** Who asks, and for which payment. */
export type PaymentKey = { nodeId: string; paymentId: string };

/** A payment that is known to exist, with its deal, currency, network and member. */
export async function loadPayment(sql: Sql | Transaction, { nodeId, paymentId }: PaymentKey): Promise<PaymentRecord> {
  const [record] = await loadRecords(
    sql,
    await sql<PaymentRow[]>`select * from payment where node_id = ${nodeId} and id = ${paymentId}`,
  );
  if (!record) throw new CoreError('not_found', 'The payment does not exist.');
  return record;
}

async function loadRecords(sql: Sql | Transaction, payments: PaymentRow[]): Promise<PaymentRecord[]> {
  if (payments.length === 0) return [];
  const nodeIds = [...new Set(payments.map((payment) => payment.nodeId))];
  const ids = payments.map((payment) => payment.id);
  const memberIds = payments.flatMap((payment) => payment.memberId ?? []);
  const [deals, currencies, networks, members] = await Promise.all([
    sql<DealRow[]>`
      select * from deal
      where node_id = any(${nodeIds}::uuid[]) and payment_id = any(${ids}::uuid[]) order by leg`,
    findCurrencies(
      sql,
      payments.map((payment) => payment.currencyId),
    ),
    findNetworks(
      sql,
      payments.map((payment) => payment.networkId),
    ),
    findMembers(sql, nodeIds, memberIds),
  ]);
  return payments.map((payment) => ({
    payment,
    deals: deals.filter((deal) => deal.paymentId === payment.id),
    currency: found(currencies, (currency) => currency.id === payment.currencyId),
    network: found(networks, (network) => network.id === payment.networkId),
    member: members.find((member) => member.id === payment.memberId) ?? null,
  }));
}

function found<Row>(rows: Row[], matches: (row: Row) => boolean): Row {
  const row = rows.find(matches);
  if (!row) throw new Error('A payment refers to a row that is missing.');
  return row;
}

/**
 * The key of a payment that the integration may act on.
 * @throws not_found, or `foreign` (by default not_found too) when the payment belongs to a node that is not below its own.
 */
export async function authorizePayment(
  sql: Sql | Transaction,
  integration: Integration,
  paymentId: string,
  { foreign = 'not_found' }: { foreign?: 'not_found' | 'forbidden' } = {},
): Promise<PaymentKey> {
  const [row] = await sql<{ nodeId: string }[]>`select node_id from payment where id = ${paymentId}`;
  if (!row) throw new CoreError('not_found', 'The payment does not exist.');
  if (!(await mayActOn(sql, integration, row.nodeId))) {
    if (foreign === 'not_found') throw new CoreError('not_found', 'The payment does not exist.');
    throw new CoreError('forbidden', "The integration has no rights on the payment's node.");
  }
  return { nodeId: row.nodeId, paymentId };
}

/** Which payments of a node to list. */
export type PaymentFilter = {
  nodeId: string;
  walletId?: string | undefined;
  networkId?: string | undefined;
  paymentGroup?: PaymentGroup | undefined;
};

/** A page of a node's payments, newest first, and how many there are. @throws not_found when the node is not the caller's. */
export async function listPayments(
  sql: Sql | Transaction,
  integration: Integration,
  filter: PaymentFilter,
  { page, perPage }: { page: number; perPage: number },
): Promise<{ records: PaymentRecord[]; total: number }> {
  if (!(await mayActOn(sql, integration, filter.nodeId))) throw new CoreError('not_found', 'The node does not exist.');
  const where = sql`
    node_id = ${filter.nodeId}
    ${filter.walletId ? sql`and wallet_id = ${filter.walletId}` : sql``}
    ${filter.networkId ? sql`and network_id = ${filter.networkId}` : sql``}
    ${filter.paymentGroup ? sql`and payment_group = ${filter.paymentGroup}` : sql``}`;
  const [payments, [count]] = await Promise.all([
    sql<PaymentRow[]>`
      select * from payment where ${where}
      order by created_at desc, id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from payment where ${where}`,
  ]);
  return { records: await loadRecords(sql, payments), total: count?.total ?? 0 };
}
