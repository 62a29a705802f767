// Owns the list of events: the rows of payments' logs, each given a place after its commit, and with it one delivery for each
// endpoint that asked for it. Places are given by one transaction at a time, so nothing ever appears below one that was read.
import { v7 as uuidv7 } from 'uuid';
import { columns, type Sql, type Transaction } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { formatUnits, jsonNumber } from '../money.ts';
import { authorizeNode, type Integration } from '../platform/platform.ts';
import { type Proof, proofOfFact } from '../proof.ts';
import type { ChainFact, Finality, MoneyDifference, PaymentStatus } from '../schema.ts';

/** An event as it is listed and sent. */
export type EventRow = {
  id: string;
  position: bigint;
  nodeId: string;
  paymentId: string;
  externalId: string;
  eventType: string;
  message: string;
  status: PaymentStatus | null;
  finality: Finality;
  chainFact: ChainFact | null;
  reverts: string | null;
  difference: MoneyDifference | null;
  createdAt: Date;
};

/** What an event says: the body of its webhook, and an item of the list. */
export type EventJson = {
  id: string;
  type: string;
  timestamp: string;
  data: {
    payment_id: string | null;
    external_id: string | null;
    node_id: string;
    status: PaymentStatus | null;
    finality: Finality;
    message: string;
    reverts: string | null;
    proof: Proof | null;
    difference: DifferenceJson | null;
  };
};

type Measured = 'amount' | 'received' | 'missing' | 'excess';

/** How what came differs from what was asked for: decimals, and base units as text. */
export type DifferenceJson = { currency: string } & Record<Measured, number> & Record<`${Measured}_units`, string>;

const columnsOf = (sql: Sql | Transaction) => sql`
  l.id, l.position, l.node_id, l.payment_id, p.external_id, l.event_type, l.message, l.finality, l.chain_fact, l.reverts,
  l.difference, l.created_at, coalesce(l.status, case when l.event_type = 'payment.created' then 'pending' end) as status`;

/** The same bytes for the same event, each time it is sent. */
export function renderEvent(event: EventRow): EventJson {
  return {
    id: event.id,
    type: event.eventType,
    timestamp: event.createdAt.toISOString(),
    data: {
      payment_id: event.paymentId,
      external_id: event.externalId,
      node_id: event.nodeId,
      status: event.status,
      finality: event.finality,
      message: event.message,
      reverts: event.reverts,
      proof: event.chainFact && proofOfFact(event.chainFact),
      difference: event.difference && renderDifference(event.difference),
    },
  };
}

/** A difference as events and the log show it. */
export function renderDifference({ currency, decimals, ...units }: MoneyDifference): DifferenceJson {
  const decimal = (text: string) => jsonNumber(formatUnits(BigInt(text), decimals));
  return {
    currency,
    amount: decimal(units.amountUnits),
    amount_units: units.amountUnits,
    received: decimal(units.receivedUnits),
    received_units: units.receivedUnits,
    missing: decimal(units.missingUnits),
    missing_units: units.missingUnits,
    excess: decimal(units.excessUnits),
    excess_units: units.excessUnits,
  };
}

/** Of one payment's log, if it is an event by now. */
export async function findEvent(
  sql: Sql | Transaction,
  { nodeId, paymentId, eventId }: { nodeId: string; paymentId: string; eventId: string },
): Promise<EventRow | undefined> {
  const [row] = await sql<EventRow[]>`
    select ${columnsOf(sql)} from payment_log l join payment p on p.node_id = l.node_id and p.id = l.payment_id
    where l.node_id = ${nodeId} and l.payment_id = ${paymentId} and l.id = ${eventId} and l.position is not null`;
  return row;
}

/** Which events to list. */
export type EventFilter = {
  /** This node and all below it; left out: the integration's own. */
  nodeId?: string | undefined;
  paymentId?: string | undefined;
  /** Types, or prefixes ending in `.*`; none: all. */
  types: readonly string[];
  /** The id of the last event that was read; left out: from the beginning. */
  after?: string | undefined;
};

/**
 * Up to `limit` events in the order of their places; what comes after the last of them can be asked for at any time, and nothing
 * will have been missed. @throws not_found: no such node · invalid_request: `after` is no event of it.
 */
export async function listEvents(
  sql: Sql | Transaction,
  integration: Integration,
  { nodeId = integration.nodeId, paymentId, types, after }: EventFilter,
  limit: number,
): Promise<EventRow[]> {
  await authorizeNode(sql, integration, nodeId);
  const position = after === undefined ? 0n : await positionOf(sql, nodeId, after);
  // Each node's rows lie in order in its index; those of the subtree are merged.
  return await sql<EventRow[]>`
    select ${columnsOf(sql)}
    from node n
    cross join lateral (
      select * from payment_log l
      where l.node_id = n.id and l.position > ${position}
        ${paymentId ? sql`and l.payment_id = ${paymentId}` : sql``}
        ${types.length > 0 ? sql`and ${typeMatches(sql, sql`l.event_type`, sql`${[...types]}::text[]`)}` : sql``}
      order by l.position limit ${limit}
    ) l
    join payment p on p.node_id = l.node_id and p.id = l.payment_id
    where ${nodeId}::uuid = any(n.path)
    order by l.position limit ${limit}`;
}

async function positionOf(sql: Sql | Transaction, nodeId: string, eventId: string): Promise<bigint> {
  const [row] = await sql<{ position: bigint }[]>`
    select l.position from payment_log l join node n on n.id = l.node_id
    where l.id = ${eventId} and l.position is not null and ${nodeId}::uuid = any(n.path)`;
  if (!row) {
    throw new CoreError('invalid_request', 'Not valid: after.', [
      { pointer: '/after', message: 'is no event of the node or below it' },
    ]);
  }
  return row.position;
}

type Fragment = ReturnType<typeof columnsOf>;

/** Whether a type is among filters; who asks for a change of status also hears that it was taken back. */
export function typeMatches(sql: Sql | Transaction, type: Fragment, filters: Fragment): Fragment {
  return sql`exists (
    select 1 from unnest(${filters}) as filter
    where filter in ('*', ${type}) or filter || '.reverted' = ${type}
      or (filter like '%.*' and starts_with(${type}, left(filter, -1))))`;
}

// More in one transaction would only keep deliveries waiting for its commit.
const PLACES_AT_ONCE = 500;

type Placed = {
  eventId: string;
  eventType: string;
  eventNodeId: string;
  paymentId: string;
  position: bigint;
  notifyUrl: string | null;
};

/**
 * Gives committed rows that have none their places, and makes the deliveries of each, all in one transaction; answers how many.
 * Nobody else does so meanwhile: whoever comes second does nothing.
 */
export async function placeEvents(sql: Sql, now: Date): Promise<number> {
  return await sql.begin(async (tx) => {
    const [unplaced] = await tx`select 1 from payment_log where position is null limit 1`;
    if (!unplaced) return 0;
    const [list] = await tx<{ lastPosition: bigint }[]>`select last_position from event_list for update skip locked`;
    if (!list) return 0;
    // A statement of its own: it sees whatever the last holder of the lock has committed.
    const placed = await tx<Placed[]>`
      with next as (
        select node_id, payment_id, id, ${list.lastPosition}::bigint + row_number() over (order by seq) as position
        from (select * from payment_log where position is null order by seq limit ${PLACES_AT_ONCE}) unplaced
      )
      update payment_log l set position = next.position
      from next join payment p on p.node_id = next.node_id and p.id = next.payment_id
      where l.node_id = next.node_id and l.payment_id = next.payment_id and l.id = next.id
      returning l.id as event_id, l.event_type, l.node_id as event_node_id, l.payment_id, l.position,
        case when l.status is not null then p.notify_url end as notify_url`;
    await tx`update event_list set last_position = last_position + ${placed.length}`;
    await makeDeliveries(tx, placed, now);
    return placed.length;
  });
}

type Recipient = { eventId: string; nodeId: string; endpointId: string };

async function makeDeliveries(tx: Transaction, placed: readonly Placed[], now: Date): Promise<void> {
  const recipients = await tx<Recipient[]>`
    select l.event_id, e.node_id, e.id as endpoint_id
    from unnest(
      ${placed.map(({ eventId }) => eventId)}::uuid[],
      ${placed.map(({ eventType }) => eventType)}::text[],
      ${placed.map(({ eventNodeId }) => eventNodeId)}::uuid[]
    ) as l (event_id, event_type, event_node_id)
    join node n on n.id = l.event_node_id join webhook_endpoint e on e.node_id = any(n.path)
    where e.kind = 'endpoint' and e.archived_at is null and e.disabled_at is null
      and (e.events = '{}' or ${typeMatches(tx, tx`l.event_type`, tx`e.events`)})`;
  const events = new Map(placed.map((event) => [event.eventId, event]));
  const deliveries = recipients.map(({ eventId, ...to }) => deliveryOf(events.get(eventId), to, null, now));
  for (const event of placed) {
    if (event.notifyUrl === null) continue;
    const endpointId = await notifyEndpoint(tx, event.eventNodeId, event.notifyUrl);
    deliveries.push(deliveryOf(event, { nodeId: event.eventNodeId, endpointId }, event.notifyUrl, now));
  }
  if (deliveries.length > 0) await tx`insert into webhook_delivery ${tx(deliveries)} on conflict do nothing`;
}

function deliveryOf(
  event: Placed | undefined,
  to: { nodeId: string; endpointId: string },
  url: string | null,
  now: Date,
) {
  if (!event) throw new Error('A delivery is of an event that was not placed.');
  const { notifyUrl: _url, ...rest } = event;
  return columns({ ...to, ...rest, id: uuidv7(), url, cause: 'event', status: 'waiting', nextAttemptAt: now });
}

/** The endpoint that stands for a URL's origin among the node's payments; made when there is none. */
async function notifyEndpoint(tx: Transaction, nodeId: string, notifyUrl: string): Promise<string> {
  const row = {
    nodeId,
    id: uuidv7(),
    kind: 'notify',
    url: new URL(notifyUrl).origin,
    events: [],
    signature: 'ed25519',
  };
  const [endpoint] = await tx<{ id: string }[]>`
    insert into webhook_endpoint ${tx(row)}
    on conflict (node_id, url) where kind = 'notify' do update set url = excluded.url returning id`;
  if (!endpoint) throw new Error('The endpoint of a notify_url was not made.');
  return endpoint.id;
}
