// Owns webhook endpoints as a resource: where a node's events, and those of all nodes below, are sent, and which of them.
import { v7 as uuidv7 } from 'uuid';
import { type Sql, type Transaction, transact } from '../database/db.ts';
import { destinationFault } from '../destinations.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import { authorizeNode, findNodes, type Integration, mayActOn, type NodeStanding } from '../platform/platform.ts';
import type { Vault } from '../vault.ts';
import { type KeyRecord, listKeys, makeKey, recoverSecret, rotateKey, type SignatureScheme } from './webhookKeys.ts';

/** An endpoint as it is shown. */
export type EndpointRecord = {
  id: string;
  nodeId: string;
  url: string;
  description: string;
  /** Types, or prefixes ending in `.*`; none: all. */
  events: string[];
  signature: SignatureScheme;
  createdAt: Date;
  archivedAt: Date | null;
  disabledAt: Date | null;
  /** gone: it answered 410. */
  disabledReason: 'request' | 'gone' | null;
  /** In a row, whatever was sent. */
  failures: number;
  /** While its breaker is open: when the next request will probe it. */
  openUntil: Date | null;
  waiting: number;
  /** Valid ones, the current one first. */
  keys: KeyRecord[];
};

/** An endpoint with the secret of its current HMAC key, which is shown this once; null for Ed25519. */
export type EndpointSecret = { endpoint: EndpointRecord; secret: string | null };

// Each event of a subtree goes to each of them.
const MAX_ENDPOINTS = 50;

const columnsOf = (sql: Sql | Transaction) => sql`
  e.id, e.node_id, e.url, e.description, e.events, e.signature, e.created_at, e.archived_at, e.disabled_at, e.disabled_reason,
  e.failures, e.open_until, (
    select count(*)::int from webhook_delivery d where d.endpoint_id = e.id and d.status = 'waiting'
  ) as waiting`;

type Row = Omit<EndpointRecord, 'keys'>;

async function withKeys(sql: Sql | Transaction, row: Row): Promise<EndpointRecord> {
  return { ...row, keys: await listKeys(sql, { nodeId: row.nodeId, endpointId: row.id }) };
}

/** One endpoint. @throws not_found when its node is not the integration's or below it. */
export async function getEndpoint(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
): Promise<EndpointRecord> {
  const [row] = await sql<
    Row[]
  >`select ${columnsOf(sql)} from webhook_endpoint e where id = ${id} and kind = 'endpoint'`;
  if (!row || !(await mayActOn(sql, integration, row.nodeId))) {
    throw new CoreError('not_found', 'The webhook endpoint does not exist.');
  }
  return await withKeys(sql, row);
}

/** A page of a node's endpoints, newest first, and how many there are. @throws not_found when the node is not the caller's. */
export async function listEndpoints(
  sql: Sql,
  integration: Integration,
  { nodeId, archived }: { nodeId: string; archived: boolean },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: EndpointRecord[]; total: number }> {
  await authorizeNode(sql, integration, nodeId);
  const where = sql`
    e.node_id = ${nodeId} and e.kind = 'endpoint' ${archived ? sql`` : sql`and e.archived_at is null`}`;
  const rows = await sql<Row[]>`
    select ${columnsOf(sql)} from webhook_endpoint e where ${where}
    order by e.id desc limit ${perPage} offset ${(page - 1) * perPage}`;
  const [count] = await sql<{ total: number }[]>`select count(*)::int as total from webhook_endpoint e where ${where}`;
  return { rows: await Promise.all(rows.map((row) => withKeys(sql, row))), total: count?.total ?? 0 };
}

/** What an endpoint is made of. */
export type EndpointRequest = {
  nodeId: string;
  url: string;
  description: string;
  events: string[];
  signature: SignatureScheme;
};

/** Adds an endpoint. @throws not_found: no such node · invalid_request · conflict: the node has too many. */
export async function addEndpoint(
  sql: Sql | Transaction,
  vault: Vault,
  integration: Integration,
  request: EndpointRequest,
): Promise<EndpointSecret> {
  const { nodeId, signature } = request;
  await authorizeNode(sql, integration, nodeId);
  const [node] = await findNodes(sql, [nodeId]);
  const faults = new FieldFaults();
  if (node?.archived) faults.add('/node_id', 'is archived');
  checkUrl(node, request.url, faults);
  faults.throwIfAny();
  return await transact(sql, async (tx) => {
    await tx`select 1 from node where id = ${nodeId} for no key update`;
    const [count] = await tx<{ endpoints: number }[]>`
      select count(*)::int as endpoints from webhook_endpoint
      where node_id = ${nodeId} and kind = 'endpoint' and archived_at is null`;
    if (count && count.endpoints >= MAX_ENDPOINTS) {
      throw new CoreError('conflict', `A node has at most ${MAX_ENDPOINTS} webhook endpoints; archive one.`);
    }
    const id = uuidv7();
    await tx`insert into webhook_endpoint ${tx({ ...request, id, kind: 'endpoint' })}`;
    await makeKey(tx, vault, { nodeId, endpointId: id }, { signature, version: 1 });
    return await withSecret(tx, vault, await getEndpoint(tx, integration, id));
  });
}

function checkUrl(node: NodeStanding | undefined, url: string, faults: FieldFaults): void {
  const fault = destinationFault(url, { local: node?.local ?? false });
  if (fault) faults.add('/url', fault);
}

async function withSecret(tx: Transaction, vault: Vault, endpoint: EndpointRecord): Promise<EndpointSecret> {
  const version = endpoint.keys[0]?.version ?? 0;
  return { endpoint, secret: await recoverEndpointSecret(tx, vault, { id: endpoint.id, version }) };
}

/** The secret that an endpoint was given as `version`, for as long as it is valid; null afterwards. */
export async function recoverEndpointSecret(
  sql: Sql | Transaction,
  vault: Vault,
  { id, version }: { id: string; version: number },
): Promise<string | null> {
  const [row] = await sql<{ nodeId: string }[]>`select node_id from webhook_endpoint where id = ${id}`;
  return row ? await recoverSecret(sql, vault, { nodeId: row.nodeId, endpointId: id }, version) : null;
}

/** What may change of an endpoint. */
export type EndpointPatch = { [Field in 'url' | 'description' | 'events']?: EndpointRequest[Field] | undefined };

/** Changes where an endpoint is, what it is told of, or what it is called. @throws not_found · invalid_request */
export async function updateEndpoint(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
  patch: EndpointPatch,
): Promise<EndpointRecord> {
  const known = await getEndpoint(sql, integration, id);
  const changed = {
    url: patch.url ?? known.url,
    description: patch.description ?? known.description,
    events: patch.events ?? known.events,
  };
  if (patch.url !== undefined) {
    const [node] = await findNodes(sql, [known.nodeId]);
    const faults = new FieldFaults();
    checkUrl(node, patch.url, faults);
    faults.throwIfAny();
  }
  // What failed at another place says nothing of this one.
  const moved = changed.url !== known.url ? sql`, failures = 0, open_until = null` : sql``;
  await sql`
    update webhook_endpoint set ${sql(changed)} ${moved} where node_id = ${known.nodeId} and id = ${id}`;
  return await getEndpoint(sql, integration, id);
}

/**
 * Gives an endpoint a new key; the one before stays valid for `overlapSeconds`, in which webhooks are signed by both.
 * @throws not_found
 */
export async function rotateEndpointSecret(
  sql: Sql | Transaction,
  vault: Vault,
  integration: Integration,
  { id, overlapSeconds }: { id: string; overlapSeconds: number },
): Promise<EndpointSecret> {
  return await transact(sql, async (tx) => {
    await tx`select 1 from webhook_endpoint where id = ${id} for update`;
    const { nodeId } = await getEndpoint(tx, integration, id);
    await rotateKey(tx, vault, { nodeId, endpointId: id }, overlapSeconds);
    return await withSecret(tx, vault, await getEndpoint(tx, integration, id));
  });
}

/** Archives an endpoint, which cancels what waits for it, or restores it. @throws not_found */
export async function setEndpointArchived(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
  archived: boolean,
): Promise<EndpointRecord> {
  return await transact(sql, async (tx) => {
    const { nodeId } = await getEndpoint(tx, integration, id);
    await tx`
      update webhook_endpoint set archived_at = ${archived ? tx`coalesce(archived_at, now())` : tx`null`}
      where node_id = ${nodeId} and id = ${id}`;
    if (archived) {
      await tx`
        update webhook_delivery set status = 'cancelled', finished_at = now()
        where node_id = ${nodeId} and endpoint_id = ${id} and status = 'waiting'`;
    }
    return await getEndpoint(tx, integration, id);
  });
}

/**
 * Disables an endpoint, for which nothing is queued then and what waits is held; or enables it, with its breaker closed, also
 * one that has answered 410. @throws not_found
 */
export async function setEndpointDisabled(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
  disabled: boolean,
): Promise<EndpointRecord> {
  const { nodeId } = await getEndpoint(sql, integration, id);
  const change = disabled
    ? sql`disabled_at = coalesce(disabled_at, now()), disabled_reason = coalesce(disabled_reason, 'request')`
    : sql`disabled_at = null, disabled_reason = null, failures = 0, open_until = null`;
  await sql`update webhook_endpoint set ${change} where node_id = ${nodeId} and id = ${id}`;
  return await getEndpoint(sql, integration, id);
}

/** The public keys under which a node's payments' notify_urls are told, the current one first; made when first asked for. */
export async function notifyKeys(
  sql: Sql | Transaction,
  vault: Vault,
  integration: Integration,
  nodeId: string,
): Promise<KeyRecord[]> {
  await authorizeNode(sql, integration, nodeId);
  await makeNotifyKey(sql, vault, nodeId);
  return await listKeys(sql, { nodeId, endpointId: null });
}

/** Makes a node's notification key unless it has one. */
export async function makeNotifyKey(sql: Sql | Transaction, vault: Vault, nodeId: string): Promise<void> {
  const owner = { nodeId, endpointId: null };
  const [known] = await listKeys(sql, owner);
  if (!known) await makeKey(sql, vault, owner, { signature: 'ed25519', version: 1 });
}

/** Gives a node a new notification key; the one before signs too for `overlapSeconds`. @throws not_found */
export async function rotateNotifyKey(
  sql: Sql | Transaction,
  vault: Vault,
  integration: Integration,
  { nodeId, overlapSeconds }: { nodeId: string; overlapSeconds: number },
): Promise<KeyRecord[]> {
  return await transact(sql, async (tx) => {
    await notifyKeys(tx, vault, integration, nodeId);
    await rotateKey(tx, vault, { nodeId, endpointId: null }, overlapSeconds);
    return await listKeys(tx, { nodeId, endpointId: null });
  });
}
