// Owns operations: a request to change one deal on chain, from queued, or awaiting somebody's signature, to done or failed. At
// most one that we send is in flight for a leg; asking again for the same one answers with it.
import { v7 as uuidv7 } from 'uuid';
import type { Address, Hex } from 'viem';
import type { TermsJson } from '../chain/terms.ts';
import { columns, type Sql, type Transaction } from '../database/db.ts';
import { enqueue } from '../database/queue.ts';
import { type Actor, writeLog } from '../log.ts';
import type { SeenEvent } from '../proof.ts';
import type {
  DealRow,
  NetworkRow,
  OperationArguments,
  OperationRow,
  OperationVerb,
  Refusal,
  RelayedSignature,
} from '../schema.ts';

// graphile-worker's exponential backoff reaches about three days with 25 attempts.
const SUBMIT_ATTEMPTS = 25;

/** What an operation acts on. */
export type OperationTarget = {
  nodeId: string;
  /** Null for a stray whose number no payment has. */
  paymentId: string | null;
  /** Null for a stray. */
  legId: string | null;
  /** Null: of a payment on a rail, without a chain. */
  networkId: string | null;
  verb: OperationVerb;
  dealId: Hex;
  /** Of `dealId`; first in a list that also holds other forms of the same offer. */
  terms: TermsJson | TermsJson[];
  /** Of verbs that take an amount, in base units. */
  amountUnits: bigint | null;
  arguments?: OperationArguments;
  /** Of the relayed deposits. */
  relay?: RelayedSignature;
  stray: boolean;
  /** Whose signature it needs; left out: the operator's. */
  signer?: Address;
  /** Unix seconds, the last in which the call can succeed. */
  signBy?: bigint;
  /** The block of the newest chain fact known of the deal. */
  sinceBlock?: bigint | null;
};

/** Adds an operation that we send, its log row and its queued work. */
export async function requestOperation(tx: Transaction, target: OperationTarget, actor: Actor): Promise<OperationRow> {
  const operation = await insertOperation(tx, target, 'queued', actor);
  await enqueueOperation(tx, operation);
  const message = target.stray
    ? `A deal that funds no payment goes back to its payer: ${target.dealId}.`
    : `${target.verb} of deal ${target.dealId} is queued.`;
  await logOperation(tx, operation, 'requested', message, actor);
  return operation;
}

/**
 * Adds a withdrawal of an account's whole credit in a token, and its queued work. Anybody may call it, so it goes out in the name of
 * the network's operator; of its terms there is that name alone.
 */
export async function requestWithdrawal(
  tx: Transaction,
  { nodeId, network, token, account }: { nodeId: string; network: NetworkRow; token: Address; account: Address },
  actor: Actor,
): Promise<OperationRow> {
  const operation = await insertOperation(
    tx,
    {
      ...{ nodeId, paymentId: null, legId: null, networkId: network.id, verb: 'withdraw', amountUnits: null },
      ...{ dealId: null, terms: { operator: network.operatorAddress }, arguments: { token, account }, stray: false },
    },
    'queued',
    actor,
  );
  await enqueueOperation(tx, operation);
  return operation;
}

/** Hands an operation to the workers; one that holds its signer's key sends it. */
export async function enqueueOperation(tx: Transaction, { nodeId, id }: OperationRow): Promise<void> {
  await enqueue(tx, 'submit_operation', { nodeId, operationId: id }, { key: id, maxAttempts: SUBMIT_ATTEMPTS });
}

/** Adds an operation that waits for its signer's wallet, and its log row. */
export async function awaitSignature(
  tx: Transaction,
  target: OperationTarget & { signer: Address },
  actor: Actor,
): Promise<OperationRow> {
  const operation = await insertOperation(tx, target, 'awaiting_signature', actor);
  const message = `${target.verb} of deal ${target.dealId} awaits the signature of ${target.signer}.`;
  await logOperation(tx, operation, 'requested', message, actor);
  return operation;
}

/** Adds an operation with nothing to send to a chain: done already, or `submitted` to a rail's provider. */
export async function recordOperation(
  tx: Transaction,
  target: Pick<OperationTarget, 'nodeId' | 'paymentId' | 'legId' | 'networkId' | 'verb'> & {
    amountUnits?: bigint | null;
  },
  actor: Actor,
  status: 'done' | 'submitted' = 'done',
): Promise<OperationRow> {
  return await insertOperation(
    tx,
    { amountUnits: null, ...target, dealId: null, terms: null, stray: false },
    status,
    actor,
  );
}

async function insertOperation(
  tx: Transaction,
  {
    terms,
    arguments: more,
    relay,
    ...target
  }: Omit<OperationTarget, 'dealId' | 'terms'> & {
    dealId: Hex | null;
    terms: OperationTarget['terms'] | { operator: Address } | null;
  },
  status: OperationRow['status'],
  actor: Actor,
): Promise<OperationRow> {
  const row = { ...target, id: uuidv7(), status, actorId: actor.id ?? null };
  const json = {
    terms: terms && tx.json(terms),
    arguments: more ? tx.json(more) : null,
    relay: relay ? tx.json(relay) : null,
  };
  const [operation] = await tx<OperationRow[]>`insert into operation ${tx(columns({ ...row, ...json }))} returning *`;
  if (!operation) throw new Error('The operation was not stored.');
  return operation;
}

/** Writes what became of an operation into its payment's log, if it has a payment. */
export async function logOperation(
  tx: Transaction,
  { nodeId, paymentId, networkId, verb }: Pick<OperationRow, 'nodeId' | 'paymentId' | 'networkId' | 'verb'>,
  what: 'requested' | 'awaiting_signature' | 'done' | 'failed',
  message: string,
  actor: Actor,
): Promise<void> {
  if (paymentId === null) return;
  // An operation on chain has ended when it is as deep as its network asks.
  const finality = what === 'done' && networkId !== null ? 'safe' : 'final';
  await writeLog(tx, { nodeId, paymentId }, { eventType: `operation.${verb}.${what}`, message, actor, finality });
}

/** The newest operation on a leg that the operator signs. */
export async function latestOperation(
  sql: Sql | Transaction,
  { nodeId, id }: Pick<DealRow, 'nodeId' | 'id'>,
): Promise<OperationRow | undefined> {
  const [operation] = await sql<OperationRow[]>`
    select * from operation where node_id = ${nodeId} and leg_id = ${id} and (signer is null or status in ('queued', 'submitted'))
    order by id desc limit 1`;
  return operation;
}

/** The operations on a leg that wait for a signature, oldest first; `lock` holds their rows until the transaction ends. */
export async function awaitingOperations(
  tx: Transaction,
  { nodeId, id }: Pick<DealRow, 'nodeId' | 'id'>,
): Promise<OperationRow[]> {
  return await tx<OperationRow[]>`
    select * from operation where node_id = ${nodeId} and leg_id = ${id} and status = 'awaiting_signature'
    order by id for update`;
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

/** Moves an operation on; `error` says why it failed, `transactionHash` what was sent or seen for it, kept when left out. */
export async function updateOperation(
  tx: Transaction,
  { nodeId, id }: Pick<OperationRow, 'nodeId' | 'id'>,
  {
    status,
    error = null,
    transactionHash = null,
  }: { status: OperationRow['status']; error?: Refusal | null; transactionHash?: Hex | null },
): Promise<void> {
  await tx`
    update operation set status = ${status}, error = ${error && tx.json(error)},
      transaction_hash = coalesce(${transactionHash}, transaction_hash), updated_at = now()
    where node_id = ${nodeId} and id = ${id}`;
}

/** An operation with what is needed to show it. */
export type OperationRecord = OperationRow & {
  /** 0, 1, …; null for a stray. */
  leg: number | null;
  /** Null without a network. */
  diamondAddress: Address | null;
  /** Of the payment's currency; null without a payment. */
  decimals: number | null;
  /** What its transaction did to its deal, once that is mirrored; null of a withdrawal, which is of no deal. */
  event: SeenEvent | null;
};

/** The node that an operation belongs to, if there is such an operation. */
export async function operationNode(sql: Sql | Transaction, operationId: string): Promise<string | undefined> {
  const [row] = await sql<{ nodeId: string }[]>`select node_id from operation where id = ${operationId}`;
  return row?.nodeId;
}

/** Operations of a node by id, in the order of the ids. */
export async function loadOperations(
  sql: Sql | Transaction,
  nodeId: string,
  ids: readonly string[],
): Promise<OperationRecord[]> {
  const rows = await sql<UnseenRecord[]>`
    ${selectRecords(sql)} where o.node_id = ${nodeId} and o.id in ${sql([...ids])}`;
  const records = await withEvents(sql, rows);
  return ids.flatMap((id) => records.find((record) => record.id === id) ?? []);
}

/** A page of a payment's operations, newest first, and how many there are. */
export async function listOperations(
  sql: Sql | Transaction,
  { nodeId, paymentId }: { nodeId: string; paymentId: string },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: OperationRecord[]; total: number }> {
  const [rows, [count]] = await Promise.all([
    sql<UnseenRecord[]>`
      ${selectRecords(sql)} where o.node_id = ${nodeId} and o.payment_id = ${paymentId}
      order by o.id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`
      select count(*)::int as total from operation where node_id = ${nodeId} and payment_id = ${paymentId}`,
  ]);
  return { rows: await withEvents(sql, rows), total: count?.total ?? 0 };
}

type UnseenRecord = Omit<OperationRecord, 'event'>;

/** The event of each operation that was mined. A statement of its own: before the indexer has shown its views there are none. */
async function withEvents(sql: Sql | Transaction, rows: readonly UnseenRecord[]): Promise<OperationRecord[]> {
  const ids = rows.filter(({ transactionHash, dealId }) => transactionHash && dealId).map(({ id }) => id);
  const [views] = ids.length === 0 ? [] : await sql`select 1 where to_regclass('chain.deal_event') is not null`;
  const events = views
    ? await sql<(SeenEvent & { id: string })[]>`
    select o.id, c.eip155_id as chain_id, n.diamond_address as diamond, h.head, e.deal, e.block, e.transaction, e.log_index
    from operation o join network n on n.id = o.network_id join chain c on c.id = n.chain_id
    left join network_head h on h.network_id = n.id
    cross join lateral (
      select deal_id as deal, block_number as block, transaction_hash as transaction, log_index from chain.deal_event
      where chain_id = c.eip155_id and diamond = n.diamond_address and deal_id = o.deal_id
        and transaction_hash = o.transaction_hash
      union all
      select id, block, transaction, log_index from chain.closed_deal
      where chain_id = c.eip155_id and diamond = n.diamond_address and id = o.deal_id and transaction = o.transaction_hash
      order by block, log_index limit 1
    ) e
    where o.node_id = ${rows[0]?.nodeId ?? ''} and o.id = any(${ids}::uuid[])`
    : [];
  return rows.map((row) => {
    const { id: _id, ...event } = events.find(({ id }) => id === row.id) ?? { id: null };
    return { ...row, event: 'block' in event ? event : null };
  });
}

function selectRecords(sql: Sql | Transaction) {
  return sql`
    select o.*, d.leg, n.diamond_address, c.decimals from operation o
    left join network n on n.id = o.network_id
    left join deal d on d.node_id = o.node_id and d.id = o.leg_id
    left join payment p on p.node_id = o.node_id and p.id = o.payment_id
    left join currency c on c.id = p.currency_id`;
}
