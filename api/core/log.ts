// Owns the log of a payment: one row a change, written in the transaction that makes the change.
import { v7 as uuidv7 } from 'uuid';
import { insertRows, type Sql, type Transaction } from './database/db.ts';
import type { ActorType, ChainFact, Finality, LogRow, MoneyDifference, PaymentStatus } from './schema.ts';

/** Who did something: `actorId` is the integration's id where one did. */
export type Actor = { type: ActorType; id?: string };

/** What happened to a payment. */
export type LogEntry = {
  eventType: string;
  message: string;
  actor: Actor;
  chainFact?: ChainFact | undefined;
  /** The payment's status after it; left out where it is no change of status. */
  status?: PaymentStatus | undefined;
  /** Left out: final. */
  finality?: Finality | undefined;
  /** The id of the row that this one takes back. */
  reverts?: string | undefined;
  /** What came less or more than was asked for. */
  difference?: MoneyDifference | undefined;
};

/** Adds one row to a payment's log; it is an event from then on (events.ts). */
export async function writeLog(
  tx: Transaction,
  { nodeId, paymentId }: { nodeId: string; paymentId: string },
  entry: LogEntry,
): Promise<void> {
  await writeLogs(tx, [{ nodeId, paymentId, entry }]);
}

/** Adds one row to the log of each of several payments. */
export async function writeLogs(
  tx: Transaction,
  logs: readonly { nodeId: string; paymentId: string; entry: LogEntry }[],
): Promise<void> {
  const rows = logs.map(({ nodeId, paymentId, entry: { actor, ...entry } }) => ({
    nodeId,
    paymentId,
    id: uuidv7(),
    eventType: entry.eventType,
    message: entry.message,
    actorType: actor.type,
    actorId: actor.id ?? null,
    chainFact: entry.chainFact ?? null,
    status: entry.status ?? null,
    finality: entry.finality ?? 'final',
    reverts: entry.reverts ?? null,
    difference: entry.difference ?? null,
  }));
  await insertRows(tx, 'payment_log', rows);
}

/** A page of a payment's log, newest first, and how many rows there are. */
export async function listLogs(
  sql: Sql,
  { nodeId, paymentId }: { nodeId: string; paymentId: string },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: LogRow[]; total: number }> {
  const rows = await sql<LogRow[]>`
    select id, event_type, message, actor_type, actor_id, chain_fact, difference, created_at from payment_log
    where node_id = ${nodeId} and payment_id = ${paymentId}
    order by id desc limit ${perPage} offset ${(page - 1) * perPage}`;
  const [count] = await sql<{ total: number }[]>`
    select count(*)::int as total from payment_log where node_id = ${nodeId} and payment_id = ${paymentId}`;
  return { rows, total: count?.total ?? 0 };
}
