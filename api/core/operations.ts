// Owns operations: a request to change one deal on chain, from queued to done or failed. At most one is in flight for a
// payment; asking again for the same one answers with it.
import { v7 as uuidv7 } from 'uuid';
import type { Hex } from 'viem';
import { columns, type Sql, type Transaction } from './db.ts';
import { type Actor, writeLog } from './log.ts';
import { enqueue } from './queue.ts';
import type { DealRow, OperationRow, OperationVerb } from './schema.ts';
import type { TermsJson } from './terms.ts';

// graphile-worker's exponential backoff reaches about three days with 25 attempts.
const SUBMIT_ATTEMPTS = 25;

/** What an operation acts on. */
export type OperationTarget = {
  nodeId: string;
  paymentId: string;
  /** Null for a stray. */
  legId: string | null;
  networkId: string;
  verb: OperationVerb;
  dealId: Hex;
  terms: TermsJson;
  /** Of releasePart and refundPart, in base units. */
  amountUnits: bigint | null;
  stray: boolean;
};

/** Adds an operation, its log row and its queued work. */
export async function requestOperation(tx: Transaction, target: OperationTarget, actor: Actor): Promise<OperationRow> {
  const operation = await insertOperation(tx, { ...target, terms: tx.json(target.terms), status: 'queued' }, actor);
  await enqueue(
    tx,
    'submit_operation',
    { nodeId: operation.nodeId, operationId: operation.id },
    { key: operation.id, maxAttempts: SUBMIT_ATTEMPTS },
  );
  await writeLog(tx, target, {
    eventType: `operation.${target.verb}.requested`,
    message: target.stray
      ? `A deal that funds no payment goes back to its payer: ${target.dealId}.`
      : `${target.verb} of deal ${target.dealId} is queued.`,
    actor,
  });
  return operation;
}

/** Adds an operation that is done already because there is nothing to send. */
export async function recordOperation(
  tx: Transaction,
  target: Pick<OperationTarget, 'nodeId' | 'paymentId' | 'legId' | 'networkId' | 'verb'>,
  actor: Actor,
): Promise<OperationRow> {
  return await insertOperation(
    tx,
    { ...target, dealId: null, terms: null, amountUnits: null, stray: false, status: 'done' },
    actor,
  );
}

async function insertOperation(
  tx: Transaction,
  row: Omit<OperationRow, 'id' | 'error' | 'actorId' | 'terms'> & { terms: Parameters<typeof columns>[0][string] },
  actor: Actor,
): Promise<OperationRow> {
  const [operation] = await tx<OperationRow[]>`
    insert into operation ${tx(columns({ ...row, id: uuidv7(), actorId: actor.id ?? null }))} returning *`;
  if (!operation) throw new Error('The operation was not stored.');
  return operation;
}

/** The newest operation on a leg. */
export async function latestOperation(
  sql: Sql | Transaction,
  { nodeId, id }: Pick<DealRow, 'nodeId' | 'id'>,
): Promise<OperationRow | undefined> {
  const [operation] = await sql<OperationRow[]>`
    select * from operation where node_id = ${nodeId} and leg_id = ${id} order by id desc limit 1`;
  return operation;
}

/** Whether the operation still waits for the chain's answer. */
export function inFlight(operation: OperationRow | undefined): boolean {
  return operation?.status === 'queued' || operation?.status === 'submitted';
}

/** One operation; `lock` holds its row until the transaction ends. */
export async function findOperation(
  sql: Sql | Transaction,
  { nodeId, operationId }: { nodeId: string; operationId: string },
  { lock = false } = {},
): Promise<OperationRow | undefined> {
  const [operation] = await sql<OperationRow[]>`
    select * from operation where node_id = ${nodeId} and id = ${operationId} ${lock ? sql`for update` : sql``}`;
  return operation;
}

/** Moves an operation on; `error` says why it failed. */
export async function updateOperation(
  tx: Transaction,
  { nodeId, id }: OperationRow,
  { status, error = null }: { status: OperationRow['status']; error?: string | null },
): Promise<void> {
  await tx`
    update operation set status = ${status}, error = ${error}, updated_at = now()
    where node_id = ${nodeId} and id = ${id}`;
}
