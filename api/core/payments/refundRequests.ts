/**
 * Owns what a buyer asks back of a payment: one open request a leg, withdrawn by the buyer, declined by the integration, or answered
 * by a refund. It moves no money, and how it stands is read from the leg.
 */
import { v7 as uuidv7 } from 'uuid';
import { systemClock } from '../clock.ts';
import { columns, type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import { type Actor, writeLog } from '../log.ts';
import { formatUnits } from '../money.ts';
import { type Integration, mayActOn } from '../platform/platform.ts';
import type { DealRow, RefundRequestRow, RefundRequestStatus } from '../schema.ts';
import { legStatus } from '../status.ts';
import { heldUnits, type LegChoice, lockPayment, requireLeg } from './actions.ts';
import type { PaymentKey } from './payments.ts';

/** What is asked back; without an amount everything that the leg holds. */
export type RefundRequest = LegChoice & { amountUnits?: bigint | undefined; reason?: string | undefined };

const BY_BUYER: Actor = { type: 'payer' };

// Each is an event to the integration's receivers; who was declined so often is to speak with the seller.
const MAX_PER_LEG = 10;

/**
 * Asks a refund of what a leg holds; the same again answers with the open one.
 * @throws illegal_transition unless the leg is funded or partially released · conflict: another request for it is open ·
 * invalid_request · rate_limited: asked too often · not_found: no such leg.
 */
export async function requestRefund(sql: Sql, key: PaymentKey, request: RefundRequest): Promise<RefundRequestRow> {
  return await transact(sql, async (tx) => {
    const { deals } = await lockPayment(tx, key);
    const deal = await chosenLeg(tx, deals, request);
    const amountUnits = amountOf(deal, request);
    const reason = request.reason ?? null;
    const before = await ofLeg(tx, deal);
    const open = before.find(({ status }) => status === 'open');
    if (open && open.amountUnits === amountUnits && open.reason === reason) return open;
    if (open) throw new CoreError('conflict', 'A refund was asked for already; withdraw that request first.');
    if (before.length >= MAX_PER_LEG) {
      throw new CoreError('rate_limited', `A refund was asked for ${MAX_PER_LEG} times; talk to the seller.`);
    }
    const id = uuidv7();
    const row = { ...key, id, legId: deal.id, amountUnits, refundedBeforeUnits: deal.refundedUnits, reason };
    await tx`insert into refund_request ${tx(columns({ ...row, createdAt: systemClock.now() }))}`;
    const made = await find(tx, key, id);
    const amount = `${formatUnits(amountUnits, made.decimals)} ${made.currency}`;
    const message = `The buyer asks for a refund of ${amount}${deals.length > 1 ? ` of leg ${deal.leg}` : ''}.`;
    await note(tx, key, { eventType: 'payment.refund_requested', message, actor: BY_BUYER });
    return made;
  });
}

/** Takes a request back; one that was taken back already stays so. @throws not_found · illegal_transition: it has ended */
export async function withdrawRefundRequest(sql: Sql, key: PaymentKey, id: string): Promise<RefundRequestRow> {
  return await transact(sql, async (tx) => {
    await lockPayment(tx, key);
    const request = await find(tx, key, id);
    if (request.status === 'withdrawn') return request;
    requireOpen(request);
    await tx`
      update refund_request set withdrawn_at = ${systemClock.now()} where node_id = ${key.nodeId} and id = ${id}`;
    const message = 'The buyer took the request for a refund back.';
    await note(tx, key, { eventType: 'payment.refund_request_withdrawn', message, actor: BY_BUYER });
    return await find(tx, key, id);
  });
}

/** Declines a request with a reason, which its buyer reads. @throws illegal_transition: it has ended */
export async function declineRefundRequest(
  sql: Sql | Transaction,
  { nodeId, paymentId, id }: PaymentKey & { id: string },
  actor: Actor,
  reason: string,
): Promise<RefundRequestRow> {
  const key = { nodeId, paymentId };
  return await transact(sql, async (tx) => {
    await lockPayment(tx, key);
    const request = await find(tx, key, id);
    if (request.status === 'declined' && request.declineReason === reason) return request;
    requireOpen(request);
    await tx`
      update refund_request
      set ${tx(columns({ declinedAt: systemClock.now(), declineReason: reason, actorId: actor.id ?? null }))}
      where node_id = ${nodeId} and id = ${id}`;
    await note(tx, key, {
      eventType: 'payment.refund_request_declined',
      message: 'The request for a refund was declined.',
      actor,
    });
    return await find(tx, key, id);
  });
}

/** A request that the integration may answer. @throws not_found */
export async function authorizeRefundRequest(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
): Promise<RefundRequestRow> {
  const [row] = await sql<RefundRequestRow[]>`select * from refund_request_standing where id = ${id}`;
  if (row && (await mayActOn(sql, integration, row.nodeId))) return row;
  throw new CoreError('not_found', 'The refund request does not exist.');
}

/** Which requests to list: of this node and all below it. */
export type RefundRequestFilter = {
  nodeId: string;
  paymentId?: string | undefined;
  status?: RefundRequestStatus | undefined;
};

/** A page of requests, newest first, and how many there are. */
export async function listRefundRequests(
  sql: Sql,
  { nodeId, paymentId, status }: RefundRequestFilter,
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: RefundRequestRow[]; total: number }> {
  const listed = sql`
    from refund_request_standing r join node n on n.id = r.node_id
    where ${nodeId}::uuid = any(n.path)
      ${paymentId ? sql`and r.payment_id = ${paymentId}` : sql``} ${status ? sql`and r.status = ${status}` : sql``}`;
  const [rows, [count]] = await Promise.all([
    sql<RefundRequestRow[]>`
      select r.* ${listed} order by r.created_at desc, r.id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total ${listed}`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

async function chosenLeg(tx: Transaction, deals: readonly DealRow[], { leg }: LegChoice): Promise<DealRow> {
  const deal = leg === undefined ? deals[0] : deals.find((candidate) => candidate.leg === leg);
  if (!deal) throw new CoreError('not_found', `The payment has no leg ${leg}.`);
  const faults = new FieldFaults();
  await requireLeg(tx, deal, leg, 'is required: the payment has several', faults);
  faults.throwIfAny();
  const status = legStatus(deal);
  if (status === 'disputed') {
    throw new CoreError('illegal_transition', 'A dispute is open: its arbiter decides what goes back.');
  }
  if (status === 'cancel_requested') throw new CoreError('illegal_transition', 'The refund is under way already.');
  if (status !== 'funded' && status !== 'partially_released') {
    throw new CoreError('illegal_transition', `Of a payment that is ${status} nothing can be asked back.`);
  }
  return deal;
}

function amountOf(deal: DealRow, { amountUnits }: RefundRequest): bigint {
  const held = heldUnits(deal);
  if (amountUnits === undefined) return held;
  const faults = new FieldFaults();
  if (amountUnits === 0n) faults.add('/amount_units', 'must be greater than 0');
  if (amountUnits > held) faults.add('/amount_units', `is more than the ${held} base units that are held`);
  faults.throwIfAny();
  return amountUnits;
}

async function ofLeg(tx: Transaction, { nodeId, id }: DealRow): Promise<RefundRequestRow[]> {
  return await tx<RefundRequestRow[]>`
    select * from refund_request_standing where node_id = ${nodeId} and leg_id = ${id} order by created_at desc`;
}

async function find(tx: Transaction, { nodeId, paymentId }: PaymentKey, id: string): Promise<RefundRequestRow> {
  const [row] = await tx<RefundRequestRow[]>`
    select * from refund_request_standing where node_id = ${nodeId} and id = ${id} and payment_id = ${paymentId}`;
  if (!row) throw new CoreError('not_found', 'The refund request does not exist.');
  return row;
}

function requireOpen({ status }: RefundRequestRow): void {
  if (status === 'open') return;
  throw new CoreError('illegal_transition', `The request has ended: it is ${status}.`);
}

/** Its row of the log is the event that integrations are told of; the reason stays with the request. */
async function note(tx: Transaction, key: PaymentKey, entry: Parameters<typeof writeLog>[2]): Promise<void> {
  await tx`update payment set updated_at = now() where node_id = ${key.nodeId} and id = ${key.paymentId}`;
  await writeLog(tx, key, entry);
}
