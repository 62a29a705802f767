// Owns the rows of attempts: each one charge or one refund at a provider, asked for until the provider has answered. Calls no
// provider and moves no money.
import { v7 as uuidv7 } from 'uuid';
import { columns, insertRows, type Sql, type Transaction } from '../database/db.ts';
import type { AttemptRow, AttemptStatus, PaymentRow } from '../schema.ts';

/** Whose attempt is meant. */
export type AttemptKey = { nodeId: string; attemptId: string };

/** A charge's states in which nothing comes of it any more, unless a transfer is late. */
export const OVER: readonly AttemptStatus[] = ['captured', 'declined', 'refused', 'bounced', 'voided'];

/** Adds the first charge of each of several new payments. */
export async function addFirstCharges(
  tx: Transaction,
  charges: readonly { payment: PaymentRow; provider: string }[],
): Promise<void> {
  const rows = charges.map(({ payment, provider }) => ({
    ...chargeOf(payment, provider, 1),
    nextStepAt: new Date(),
  }));
  await insertRows(tx, 'rail_attempt', rows);
}

/** Adds the next charge of a payment. */
export async function addCharge(tx: Transaction, payment: PaymentRow, provider: string, number: number): Promise<void> {
  await insertRows(tx, 'rail_attempt', [{ ...chargeOf(payment, provider, number), nextStepAt: new Date() }]);
}

function chargeOf(payment: PaymentRow, provider: string, number: number) {
  const { nodeId, id: paymentId, paidPriceUnits: amountUnits } = payment;
  return {
    nodeId,
    id: uuidv7(),
    paymentId,
    execution: 'charge',
    number,
    provider,
    amountUnits,
    status: 'creating',
    sequence: 0n,
    receivedUnits: 0n,
    fundedUnits: 0n,
    excessUnits: 0n,
    ofExcess: false,
    tries: 0,
    createdAt: new Date(),
    updatedAt: new Date(),
  };
}

/** A refund of a charge, for an operation. */
export type RefundTarget = Pick<AttemptRow, 'legId' | 'ofExcess' | 'amountUnits'> & {
  charge: AttemptRow;
  operationId: string | null;
};

/** Adds a refund; the payment's row must be locked. */
export async function addRefund(tx: Transaction, { charge, ...target }: RefundTarget): Promise<void> {
  const { nodeId, paymentId, provider, id: chargeId } = charge;
  const number = (await findAttempts(tx, charge, 'refund')).length + 1;
  const row = { ...target, nodeId, id: uuidv7(), paymentId, provider, chargeId, number };
  await tx`
    insert into rail_attempt ${tx(columns({ ...row, execution: 'refund', status: 'requested', nextStepAt: new Date() }))}`;
}

/** What of a charge is too much and not being given back already, in base units. */
export function owedUnits(charge: AttemptRow, refunds: readonly AttemptRow[]): bigint {
  const given = refunds.filter(
    ({ chargeId, ofExcess, status }) => chargeId === charge.id && ofExcess && status !== 'refused',
  );
  return given.reduce((owed, { amountUnits }) => owed - amountUnits, charge.excessUnits);
}

// A buyer tries a card or two; each attempt is a charge at a provider.
const MAX_CHARGES_OF_PAYER = 10;

/** Whether the next attempt may be opened: the payment has failed, is in time, and nothing comes of its last charge any more. */
export function mayRetry(
  { status, expiresAt }: Pick<PaymentRow, 'status' | 'expiresAt'>,
  charges: readonly AttemptRow[],
  now: Date,
  { byPayer }: { byPayer: boolean },
): boolean {
  const last = charges.at(-1);
  if (status !== 'failed' || expiresAt <= now || !last || !OVER.includes(last.status)) return false;
  return !byPayer || charges.length < MAX_CHARGES_OF_PAYER;
}

/** How a payment on a rail stands with its provider, in base units. */
export type RailStanding = {
  /** The newest charge. */
  charge: AttemptRow;
  missingUnits: bigint;
  /** Too much, and not being given back. */
  excessUnits: bigint;
  /** Was too much, and has gone back. */
  returnedUnits: bigint;
};

/** What a payment's attempts come to; null without any. */
export function standingOf(attempts: readonly AttemptRow[]): RailStanding | null {
  const charges = attempts.filter(({ execution }) => execution === 'charge');
  const refunds = attempts.filter(({ execution }) => execution === 'refund');
  const charge = charges.at(-1);
  if (!charge) return null;
  const returned = refunds.filter(({ ofExcess, status }) => ofExcess && status === 'done');
  return {
    charge,
    missingUnits: missingUnits(charge),
    excessUnits: charges.reduce((sum, one) => sum + owedUnits(one, refunds), 0n),
    returnedUnits: returned.reduce((sum, { amountUnits }) => sum + amountUnits, 0n),
  };
}

/** What a charge that has brought something, and may bring the rest, lacks. */
export function missingUnits({ status, receivedUnits, fundedUnits, amountUnits }: AttemptRow): bigint {
  if (receivedUnits === 0n || fundedUnits > 0n || OVER.includes(status)) return 0n;
  return receivedUnits < amountUnits ? amountUnits - receivedUnits : 0n;
}

/** The charges or refunds of a payment, oldest first; `lock` holds their rows until the transaction ends. */
export async function findAttempts(
  sql: Sql | Transaction,
  { nodeId, paymentId }: { nodeId: string; paymentId: string },
  execution: AttemptRow['execution'],
  { lock = false } = {},
): Promise<AttemptRow[]> {
  return await sql<AttemptRow[]>`
    select * from rail_attempt
    where node_id = ${nodeId} and payment_id = ${paymentId} and execution = ${execution}
    order by number ${lock ? sql`for update` : sql``}`;
}

/** One attempt, its row held until the transaction ends. */
export async function lockAttempt(tx: Transaction, { nodeId, attemptId }: AttemptKey): Promise<AttemptRow | undefined> {
  const [attempt] = await tx<AttemptRow[]>`
    select * from rail_attempt where node_id = ${nodeId} and id = ${attemptId} for update`;
  return attempt;
}

/** The charge that a provider knows by this reference, or by our id. */
export async function findCharge(
  sql: Sql | Transaction,
  { provider, reference, attemptId }: { provider: string; reference: string; attemptId: string },
): Promise<AttemptRow | undefined> {
  const [attempt] = await sql<AttemptRow[]>`
    select * from rail_attempt
    where provider = ${provider} and execution = 'charge' and id::text = ${attemptId}
      and (provider_reference is null or provider_reference = ${reference})`;
  return attempt;
}

/** Writes what changed of an attempt. */
export async function updateAttempt(
  tx: Sql | Transaction,
  { nodeId, id }: Pick<AttemptRow, 'nodeId' | 'id'>,
  { transfer, ...changes }: Partial<Omit<AttemptRow, 'nodeId' | 'id' | 'updatedAt'>>,
): Promise<void> {
  const json = transfer === undefined ? {} : { transfer: transfer && tx.json(transfer) };
  await tx`
    update rail_attempt set ${tx(columns({ ...changes, ...json, updatedAt: new Date() }))}
    where node_id = ${nodeId} and id = ${id}`;
}

// A process that dies in the middle of a step leaves it to whoever looks after this time.
const LEASE_SECONDS = 60;

/** Takes attempts whose next step is due, each by one process only. */
export async function takeDue(sql: Sql, limit: number): Promise<AttemptRow[]> {
  return await sql<AttemptRow[]>`
    update rail_attempt set tries = tries + 1, next_step_at = now() + make_interval(secs => ${LEASE_SECONDS})
    where (node_id, id) in (
      select node_id, id from rail_attempt where next_step_at <= now()
      order by next_step_at limit ${limit} for update skip locked)
    returning *`;
}
