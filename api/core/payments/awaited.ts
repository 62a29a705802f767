// Owns what becomes of operations that somebody else's wallet sends: the chain's events answer them, a deadline or another event
// makes them impossible, and a worker that holds the signer's key takes them over.

import { disputeOpener, type MirroredEvent, type SafeBlock } from '../chain/mirror.ts';
import { unexplained } from '../chain/refusals.ts';
import { type Sql, type Transaction, transact } from '../database/db.ts';
import type { ChainStatus, DealRow, NetworkRow, OperationRow, OperationVerb } from '../schema.ts';
import { awaitingOperations, findOperation, logOperation, updateOperation } from './operations.ts';

// One pass ends this many at most; the next pass ends the others.
const BATCH_SIZE = 200;

/** The status on chain without which a verb can only revert. */
const NEEDS: Partial<Record<OperationVerb, ChainStatus>> = {
  openDispute: 'funded',
  withdrawDispute: 'disputed',
  resolve: 'disputed',
  returnPayment: 'settled',
};

// Before these a reorg may have taken the deposit back, and it will come again.
const DECIDED: readonly ChainStatus[] = ['funded', 'disputed', 'settled', 'closed'];

/** Ends the operations of a leg that its confirmed events have answered or made impossible; `deal` is as those left it. */
export async function answerAwaiting(
  tx: Transaction,
  network: NetworkRow,
  deal: DealRow,
  events: readonly MirroredEvent[],
): Promise<void> {
  for (const operation of await awaitingOperations(tx, deal)) {
    const answer = await findAnswer(tx, network, deal, operation, events);
    if (answer) {
      await updateOperation(tx, operation, { status: 'done', transactionHash: answer.transactionHash });
      await logOperation(tx, operation, 'done', `${operation.verb} was signed and confirmed.`, { type: 'chain' });
    } else if (DECIDED.includes(deal.chainStatus) && deal.chainStatus !== NEEDS[operation.verb]) {
      await fail(tx, operation, `The deal was ${deal.chainStatus} before this was signed.`);
    }
  }
}

async function findAnswer(
  tx: Transaction,
  network: NetworkRow,
  deal: DealRow,
  operation: OperationRow,
  events: readonly MirroredEvent[],
): Promise<MirroredEvent | undefined> {
  // What a deal's newer events say is not asked of older ones: a deal may be disputed twice.
  const { sinceBlock } = operation;
  const answer = events.find(
    (event, index) =>
      (sinceBlock === null || event.blockNumber > sinceBlock) && answers(operation, event, events[index - 1]),
  );
  if (!answer || operation.verb !== 'openDispute' || deal.chainStatus !== 'disputed') return answer;
  const opener = await disputeOpener(tx, network, operation.dealId ?? '0x');
  return operation.signer === deal[opener ?? 'payer'] ? answer : undefined;
}

function answers(operation: OperationRow, event: MirroredEvent, before: MirroredEvent | undefined): boolean {
  switch (operation.verb) {
    case 'openDispute':
      return event.name === 'DisputeOpened' && event.evidence === operation.arguments?.evidence;
    case 'withdrawDispute':
      return event.name === 'DisputeWithdrawn';
    case 'resolve':
      return event.name === 'Resolved' && event.releasedUnits - (before?.releasedUnits ?? 0n) === operation.amountUnits;
    case 'returnPayment':
      return (
        event.name === 'PaymentReturned' &&
        event.refundedUnits - (before?.refundedUnits ?? 0n) === operation.amountUnits
      );
    default:
      return false;
  }
}

/** Ends operations whose last second went by on chain without a signature. */
export async function expireAwaiting(sql: Sql, network: NetworkRow, safe: SafeBlock): Promise<void> {
  const late = await sql<Pick<OperationRow, 'nodeId' | 'id'>[]>`
    select node_id, id from operation
    where network_id = ${network.id} and status = 'awaiting_signature' and sign_by < ${safe.timestamp.toString()}
    limit ${BATCH_SIZE}`;
  for (const { nodeId, id } of late) {
    await transact(sql, async (tx) => {
      const operation = await findOperation(tx, { nodeId, operationId: id }, { lock: true });
      if (operation?.status !== 'awaiting_signature') return;
      await fail(tx, operation, 'Nobody signed it before its last second.');
    });
  }
}

async function fail(tx: Transaction, operation: OperationRow, message: string): Promise<void> {
  await updateOperation(tx, operation, { status: 'failed', error: unexplained(message) });
  await logOperation(tx, operation, 'failed', `${operation.verb} failed. ${message}`, { type: 'chain' });
}

/** Makes an operation that awaits a signature one of ours when `holdsKey` says so of its signer. Answers whether it is to be sent. */
export async function takeOver(
  sql: Sql,
  { nodeId, id: operationId }: OperationRow,
  holdsKey: (address: string) => boolean,
): Promise<boolean> {
  return await transact(sql, async (tx) => {
    const operation = await findOperation(tx, { nodeId, operationId }, { lock: true });
    if (operation?.status !== 'awaiting_signature') return operation !== undefined;
    if (operation.signer === null || !holdsKey(operation.signer)) return false;
    await updateOperation(tx, operation, { status: 'queued' });
    return true;
  });
}
