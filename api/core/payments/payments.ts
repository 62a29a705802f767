// Owns payments as they are read: one with everything that shows it, found by who may see it, and a node's in pages. How one
// comes to be is in creation.ts; what happens to it afterwards in actions.ts (asked for) and settle.ts (seen on chain).
import type { Sql, Transaction } from '../database/db.ts';
import { Together } from '../database/together.ts';
import { CoreError } from '../errors.ts';
import { findMembers, type SealedMember } from '../people/members.ts';
import { findCurrencies, findNetworks, type Integration, mayActOn } from '../platform/platform.ts';
import type {
  AttemptRow,
  CurrencyRow,
  DealRow,
  NetworkRow,
  PaymentGroup,
  PaymentMethod,
  PaymentRow,
  PaymentStatus,
  RefundRequestRow,
  SplitProposalRow,
} from '../schema.ts';

/** A payment with what is needed to show it. */
export type PaymentRecord = {
  payment: PaymentRow;
  /** Its legs, at least one. */
  deals: DealRow[];
  currency: CurrencyRow;
  /** Null: on a rail, without a chain. */
  network: NetworkRow | null;
  /** The network's newest block as the last settle step saw it; null before any. */
  head: bigint | null;
  /** Still sealed: most who load a payment need not know whom it is for. */
  member: SealedMember | null;
  /** On a rail: its charges and refunds, oldest first. */
  attempts: AttemptRow[];
  /** What its buyer asked back, newest first. */
  refundRequests: RefundRequestRow[];
  /** Splits that one of its parties has signed, whether they still hold or not. */
  proposals: SplitProposalRow[];
};

/** Nothing was held, so nothing can have been asked back. */
const NEVER_HELD: readonly PaymentStatus[] = ['pending', 'awaiting_deposit', 'expired', 'failed', 'cancelled'];

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

/** The network of a payment on chain. */
export function networkOf({ payment, network }: Pick<PaymentRecord, 'payment' | 'network'>): NetworkRow {
  if (!network) throw new Error(`Payment ${payment.id} stands on no chain.`);
  return network;
}

/** Payments with what is needed to show them, by their ids; those that do not exist are left out. */
export async function loadPayments(
  sql: Sql | Transaction,
  keys: readonly PaymentKey[],
): Promise<Map<string, PaymentRecord>> {
  if (keys.length === 0) return new Map();
  const nodeIds = [...new Set(keys.map(({ nodeId }) => nodeId))];
  const ids = keys.map(({ paymentId }) => paymentId);
  const rows = await sql<PaymentRow[]>`
    select * from payment where node_id = any(${nodeIds}::uuid[]) and id = any(${ids}::uuid[])`;
  return new Map((await loadRecords(sql, rows)).map((record) => [record.payment.id, record]));
}

async function loadRecords(sql: Sql | Transaction, payments: PaymentRow[]): Promise<PaymentRecord[]> {
  if (payments.length === 0) return [];
  const nodeIds = [...new Set(payments.map((payment) => payment.nodeId))];
  const ids = payments.map((payment) => payment.id);
  const memberIds = payments.flatMap((payment) => payment.memberId ?? []);
  const networkIds = payments.flatMap((payment) => payment.networkId ?? []);
  const onRails = payments.filter(({ paymentMethod }) => paymentMethod !== 'web3').map(({ id }) => id);
  const held = payments.filter(({ status }) => !NEVER_HELD.includes(status)).map(({ id }) => id);
  const [deals, currencies, networks, heads, members, attempts, refundRequests, proposals] = await Promise.all([
    sql<DealRow[]>`
      select * from deal
      where node_id = any(${nodeIds}::uuid[]) and payment_id = any(${ids}::uuid[]) order by leg`,
    findCurrencies(
      sql,
      payments.map((payment) => payment.currencyId),
    ),
    findNetworks(sql, networkIds),
    sql<{ networkId: string; head: bigint }[]>`
      select network_id, head from network_head where network_id = any(${networkIds}::uuid[])`,
    findMembers(sql, nodeIds, memberIds),
    onRails.length === 0
      ? []
      : sql<AttemptRow[]>`
          select * from rail_attempt
          where node_id = any(${nodeIds}::uuid[]) and payment_id = any(${onRails}::uuid[]) order by created_at, number`,
    held.length === 0
      ? []
      : sql<RefundRequestRow[]>`
          select * from refund_request_standing
          where node_id = any(${nodeIds}::uuid[]) and payment_id = any(${held}::uuid[]) order by created_at desc, id desc`,
    held.length === 0
      ? []
      : sql<SplitProposalRow[]>`
          select * from split_proposal
          where node_id = any(${nodeIds}::uuid[]) and payment_id = any(${held}::uuid[]) order by created_at`,
  ]);
  return payments.map((payment) => ({
    payment,
    deals: deals.filter((deal) => deal.paymentId === payment.id),
    currency: found(currencies, (currency) => currency.id === payment.currencyId),
    network: payment.networkId === null ? null : found(networks, (network) => network.id === payment.networkId),
    head: heads.find(({ networkId }) => networkId === payment.networkId)?.head ?? null,
    member: members.find((member) => member.id === payment.memberId) ?? null,
    attempts: attempts.filter((attempt) => attempt.paymentId === payment.id),
    refundRequests: refundRequests.filter((request) => request.paymentId === payment.id),
    proposals: proposals.filter((proposal) => proposal.paymentId === payment.id),
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
  const [row] = await sql<{ nodeId: string; allowed: boolean }[]>`
    select p.node_id, ${integration.nodeId} = any(n.path) as allowed
    from payment p join node n on n.id = p.node_id where p.id = ${paymentId}`;
  if (!row) throw new CoreError('not_found', 'The payment does not exist.');
  if (!row.allowed) {
    if (foreign === 'not_found') throw new CoreError('not_found', 'The payment does not exist.');
    throw new CoreError('forbidden', "The integration has no rights on the payment's node.");
  }
  return { nodeId: row.nodeId, paymentId };
}

/**
 * Finds payments that integrations may see, those of concurrent requests together; each throws not_found when there is none, or
 * when it is not the caller's.
 */
export function paymentFinder(sql: Sql): (integration: Integration, paymentId: string) => Promise<PaymentRecord> {
  const finder = new Together<{ nodeId: string; paymentId: string }, PaymentRecord>(
    async (asked) => {
      const ids = [...new Set(asked.map(({ paymentId }) => paymentId))];
      const rows = await sql<(PaymentRow & { path: string[] })[]>`
        select p.*, n.path from payment p join node n on n.id = p.node_id where p.id = any(${ids}::uuid[])`;
      const records = new Map((await loadRecords(sql, rows)).map((record) => [record.payment.id, record]));
      const paths = new Map(rows.map(({ id, path }) => [id, path]));
      return asked.map(({ nodeId, paymentId }) => {
        const record = paths.get(paymentId)?.includes(nodeId) && records.get(paymentId);
        return record || new CoreError('not_found', 'The payment does not exist.');
      });
    },
    { atOnce: 3 },
  );
  return (integration, paymentId) => finder.add({ nodeId: integration.nodeId, paymentId });
}

/** Which payments of a node to list; times are bounds, the first inclusive, the second not. */
export type PaymentFilter = {
  nodeId: string;
  walletId?: string | undefined;
  networkId?: string | undefined;
  externalId?: string | undefined;
  status?: PaymentStatus | undefined;
  paymentMethod?: PaymentMethod | undefined;
  paymentGroup?: PaymentGroup | undefined;
  createdFrom?: Date | undefined;
  createdTo?: Date | undefined;
};

/** A page by its number, or what comes after a payment of the list. */
export type PaymentPage = { page: number; perPage: number; after?: string | undefined };

/** A filtered list is counted no further: so many take 3 ms, where a million takes 140. The whole list's number is kept. */
export const MOST_COUNTED = 10_000;

/**
 * A page of a node's payments, newest first, and how many there are: exactly, or for a filter {@link MOST_COUNTED} at most.
 * @throws not_found when the node is not the caller's; invalid_request when `after` is no payment of it.
 */
export async function listPayments(
  sql: Sql,
  integration: Integration,
  filter: PaymentFilter,
  page: PaymentPage,
): Promise<{ records: PaymentRecord[]; total: number }> {
  const { nodeId } = filter;
  const [allowed, payments, total] = await Promise.all([
    mayActOn(sql, integration, nodeId),
    readPage(sql, filter, page),
    countPayments(sql, filter),
  ]);
  if (!allowed) throw new CoreError('not_found', 'The node does not exist.');
  if (page.after !== undefined && payments.length === 0) await requirePayment(sql, nodeId, page.after);
  return { records: await loadRecords(sql, payments), total };
}

/** Skips along the index and reads only the rows that it returns; after a payment it skips nothing, however deep. */
async function readPage(sql: Sql, filter: PaymentFilter, { page, perPage, after }: PaymentPage): Promise<PaymentRow[]> {
  const rest =
    after === undefined
      ? sql``
      : sql`and (created_at, id) < (select created_at, id from payment where node_id = ${filter.nodeId} and id = ${after})`;
  return await sql<PaymentRow[]>`
    with listed as materialized (
      select node_id, id from payment where ${conditions(sql, filter)} ${rest}
      order by created_at desc, id desc limit ${perPage} offset ${(page - 1) * perPage})
    select p.* from listed join payment p using (node_id, id) order by p.created_at desc, p.id desc`;
}

async function countPayments(sql: Sql, filter: PaymentFilter): Promise<number> {
  const { nodeId, ...narrowing } = filter;
  const filtered = Object.values(narrowing).some((value) => value !== undefined);
  const [row] = await (filtered
    ? sql<{ total: number }[]>`
        select count(*)::int as total from (
          select 1 from payment where ${conditions(sql, filter)} limit ${MOST_COUNTED}) listed`
    : sql<{ total: number }[]>`
        select coalesce(sum(payments), 0)::int as total from payment_count where node_id = ${nodeId}`);
  return row?.total ?? 0;
}

function conditions(sql: Sql, filter: PaymentFilter) {
  const { nodeId, walletId, networkId, externalId, status, paymentMethod, paymentGroup, createdFrom, createdTo } =
    filter;
  return sql`
    node_id = ${nodeId}
    ${walletId ? sql`and wallet_id = ${walletId}` : sql``}
    ${networkId ? sql`and network_id = ${networkId}` : sql``}
    ${externalId ? sql`and external_id = ${externalId}` : sql``}
    ${status ? sql`and status = ${status}` : sql``}
    ${paymentMethod ? sql`and payment_method = ${paymentMethod}` : sql``}
    ${paymentGroup ? sql`and payment_group = ${paymentGroup}` : sql``}
    ${createdFrom ? sql`and created_at >= ${createdFrom}` : sql``}
    ${createdTo ? sql`and created_at < ${createdTo}` : sql``}`;
}

async function requirePayment(sql: Sql, nodeId: string, id: string): Promise<void> {
  const [row] = await sql`select 1 from payment where node_id = ${nodeId} and id = ${id}`;
  if (row) return;
  throw new CoreError('invalid_request', 'Not valid: after.', [
    { pointer: '/after', message: 'is not a payment of the node' },
  ]);
}
