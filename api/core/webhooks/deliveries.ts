// Owns deliveries as a resource: each event on its way to an endpoint, with every attempt, and what can be asked of them: to
// send one again, all since a date, or a test. Sending itself is in dispatch.ts.
import { v7 as uuidv7 } from 'uuid';
import { columns, type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { authorizeNode, type Integration, mayActOn } from '../platform/platform.ts';
import { getEndpoint } from './endpoints.ts';
import { typeMatches } from './events.ts';

export type DeliveryStatus = 'waiting' | 'delivered' | 'failed' | 'cancelled';

/** One event on its way to one endpoint. */
export type DeliveryRow = {
  nodeId: string;
  id: string;
  endpointId: string;
  /** A payment's notify_url; null: the endpoint's. */
  url: string | null;
  cause: 'event' | 'resend' | 'replay' | 'test';
  eventId: string;
  eventType: string;
  eventNodeId: string | null;
  paymentId: string | null;
  position: bigint | null;
  status: DeliveryStatus;
  attempts: number;
  createdAt: Date;
  firstAttemptAt: Date | null;
  nextAttemptAt: Date;
  finishedAt: Date | null;
};

/** One request that was made for a delivery, and what came back. */
export type AttemptRow = {
  number: number;
  startedAt: Date;
  latencyMs: number;
  /** Null: no answer; `error` says why. */
  statusCode: number | null;
  error: string | null;
  /** The first 4 kB. */
  answer: string | null;
};

/** One delivery. @throws not_found when its node is not the integration's or below it. */
export async function getDelivery(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
): Promise<DeliveryRow & { log: AttemptRow[] }> {
  const [row] = await sql<DeliveryRow[]>`select * from webhook_delivery where id = ${id}`;
  if (!row || !(await mayActOn(sql, integration, row.nodeId))) {
    throw new CoreError('not_found', 'The delivery does not exist.');
  }
  const log = await sql<AttemptRow[]>`
    select number, started_at, latency_ms, status_code, error, answer from webhook_attempt
    where node_id = ${row.nodeId} and delivery_id = ${id} order by number`;
  return { ...row, log };
}

/** Which deliveries to list. */
export type DeliveryFilter = {
  nodeId: string;
  endpointId?: string | undefined;
  paymentId?: string | undefined;
  status?: DeliveryStatus | undefined;
};

/** A page of a node's deliveries, newest first, and how many there are. @throws not_found when the node is not the caller's. */
export async function listDeliveries(
  sql: Sql,
  integration: Integration,
  { nodeId, endpointId, paymentId, status }: DeliveryFilter,
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: DeliveryRow[]; total: number }> {
  await authorizeNode(sql, integration, nodeId);
  const where = sql`
    node_id = ${nodeId} ${endpointId ? sql`and endpoint_id = ${endpointId}` : sql``}
    ${paymentId ? sql`and payment_id = ${paymentId}` : sql``} ${status ? sql`and status = ${status}` : sql``}`;
  const rows = await sql<DeliveryRow[]>`
    select * from webhook_delivery where ${where} order by id desc limit ${perPage} offset ${(page - 1) * perPage}`;
  const [count] = await sql<{ total: number }[]>`
    select count(*)::int as total from webhook_delivery where ${where}`;
  return { rows, total: count?.total ?? 0 };
}

/**
 * Sends a delivery's event again: a delivery that waits is tried at once, for one that has ended a new one is made.
 * @throws not_found · illegal_transition: the endpoint is archived or disabled.
 */
export async function resend(sql: Sql | Transaction, integration: Integration, id: string): Promise<DeliveryRow> {
  return await transact(sql, async (tx) => {
    const known = await getDelivery(tx, integration, id);
    await makeReady(tx, known);
    const [waiting] = await tx<DeliveryRow[]>`
      update webhook_delivery set next_attempt_at = now()
      where node_id = ${known.nodeId} and endpoint_id = ${known.endpointId} and event_id = ${known.eventId}
        and status = 'waiting'
      returning *`;
    if (waiting) return waiting;
    const { nodeId, endpointId, url, eventId, eventType, eventNodeId, paymentId, position } = known;
    const cause = known.cause === 'test' ? 'test' : 'resend';
    const event = { eventId, eventType, eventNodeId, paymentId, position };
    return await insertDelivery(tx, { nodeId, endpointId, url, cause, ...event });
  });
}

/** Lets the endpoint be tried at once, whatever its breaker says. @throws illegal_transition when nothing is sent to it. */
async function makeReady(tx: Transaction, { nodeId, endpointId }: Pick<DeliveryRow, 'nodeId' | 'endpointId'>) {
  const [idle] = await tx<{ archived: boolean }[]>`
    select archived_at is not null as archived from webhook_endpoint
    where node_id = ${nodeId} and id = ${endpointId} and (archived_at is not null or disabled_at is not null)`;
  if (idle?.archived) throw new CoreError('illegal_transition', 'The webhook endpoint is archived; restore it first.');
  if (idle) throw new CoreError('illegal_transition', 'The webhook endpoint is disabled; enable it first.');
  await tx`
    update webhook_endpoint set open_until = now() where node_id = ${nodeId} and id = ${endpointId} and open_until > now()`;
}

type NewDelivery = Omit<
  DeliveryRow,
  'id' | 'status' | 'attempts' | 'createdAt' | 'firstAttemptAt' | 'nextAttemptAt' | 'finishedAt'
>;

async function insertDelivery(tx: Transaction, delivery: NewDelivery): Promise<DeliveryRow> {
  const [row] = await tx<DeliveryRow[]>`
    insert into webhook_delivery ${tx(columns({ ...delivery, id: uuidv7(), status: 'waiting', nextAttemptAt: new Date() }))}
    returning *`;
  if (!row) throw new Error('The delivery was not stored.');
  return row;
}

/** Sends an event of type `webhook.test` to an endpoint, whatever its filter. @throws not_found · illegal_transition */
export async function sendTest(
  sql: Sql | Transaction,
  integration: Integration,
  endpointId: string,
): Promise<DeliveryRow> {
  return await transact(sql, async (tx) => {
    const { nodeId } = await getEndpoint(tx, integration, endpointId);
    await makeReady(tx, { nodeId, endpointId });
    const event = { eventId: uuidv7(), eventType: 'webhook.test', eventNodeId: null, paymentId: null, position: null };
    return await insertDelivery(tx, { nodeId, endpointId, url: null, cause: 'test', ...event });
  });
}

// One statement writes them all; more than this would hold its transaction for long (100,000 rows: 5 to 8 s on two busy cores).
const MAX_REPLAYED = 100_000;

/**
 * Sends an endpoint every event from a time on, until another if given, that its filter lets through and that does not wait
 * for it anyway; answers how many. @throws not_found · illegal_transition · invalid_request: they are too many.
 */
export async function replay(
  sql: Sql | Transaction,
  integration: Integration,
  endpointId: string,
  { from, until }: { from: Date; until: Date | null },
): Promise<number> {
  return await transact(sql, async (tx) => {
    const { nodeId } = await getEndpoint(tx, integration, endpointId);
    await makeReady(tx, { nodeId, endpointId });
    const queued = await tx`
      insert into webhook_delivery (
        node_id, id, endpoint_id, cause, event_id, event_type, event_node_id, payment_id, position, status, next_attempt_at
      )
      select e.node_id, uuidv7_of(clock_timestamp()), e.id, 'replay', l.id, l.event_type, l.node_id, l.payment_id, l.position, 'waiting', now()
      from webhook_endpoint e join node n on e.node_id = any(n.path) join payment_log l on l.node_id = n.id
      where e.node_id = ${nodeId} and e.id = ${endpointId} and l.position is not null
        and l.created_at >= ${from} ${until ? tx`and l.created_at < ${until}` : tx``}
        and (e.events = '{}' or ${typeMatches(tx, tx`l.event_type`, tx`e.events`)})
        and not exists (
          select 1 from webhook_delivery d where d.endpoint_id = e.id and d.event_id = l.id and d.status = 'waiting'
        )
      limit ${MAX_REPLAYED + 1}`;
    if (queued.count > MAX_REPLAYED) {
      throw new CoreError('invalid_request', `There are more than ${MAX_REPLAYED} events; replay them in parts.`, [
        { pointer: '/until', message: `must be earlier: there are more than ${MAX_REPLAYED} events` },
      ]);
    }
    return queued.count;
  });
}

/** Makes room for the attempts of the months to come; without it an attempt a year from now could not be written down. */
export async function addAttemptPartitions(sql: Sql): Promise<void> {
  await sql`select add_webhook_attempt_partitions()`;
}
