// Owns integrations as a resource. Nobody gives more than they have: scopes and node of an integration that is made, changed,
// rotated or enabled are within those of the one that asks.
import { v7 as uuidv7 } from 'uuid';
import { isUniqueViolation, type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { hasScope, type Scope } from '../scopes.ts';
import { hashSecret, type Tokens } from './auth.ts';
import { authorizeNode, type Integration, type Mode, mayActOn } from './platform.ts';

/** An integration as it is shown: without anything that opens it. */
export type IntegrationRecord = {
  id: string;
  nodeId: string;
  name: string;
  clientId: string;
  mode: Mode;
  scopes: Scope[] | null;
  allowedIps: string[];
  secretVersion: number;
  /** Until when the secret before the last rotation is valid. */
  previousSecretUntil: Date | null;
  disabledAt: Date | null;
  createdAt: Date;
};

/** An integration with its new secret, which is shown this once. */
export type NewSecret = { record: IntegrationRecord; clientSecret: string };

const columnsOf = (sql: Sql | Transaction) => sql`
  id, node_id, name, client_id, mode, scopes, allowed_ips, secret_version, previous_secret_until, disabled_at, created_at`;

/** One integration. @throws not_found when its node is not the caller's or below it. */
export async function getIntegration(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
): Promise<IntegrationRecord> {
  const [row] = await sql<IntegrationRecord[]>`select ${columnsOf(sql)} from integration where id = ${id}`;
  if (!row || !(await mayActOn(sql, integration, row.nodeId))) {
    throw new CoreError('not_found', 'The integration does not exist.');
  }
  return row;
}

/** A page of a node's integrations, newest first, and how many there are. @throws not_found when the node is not the caller's. */
export async function listIntegrations(
  sql: Sql,
  integration: Integration,
  { nodeId, disabled }: { nodeId: string; disabled: boolean },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: IntegrationRecord[]; total: number }> {
  await authorizeNode(sql, integration, nodeId);
  const where = sql`node_id = ${nodeId} ${disabled ? sql`` : sql`and disabled_at is null`}`;
  const [rows, [count]] = await Promise.all([
    sql<IntegrationRecord[]>`
      select ${columnsOf(sql)} from integration where ${where}
      order by id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from integration where ${where}`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

/** What an integration is made of. */
export type IntegrationRequest = {
  nodeId: string;
  name: string;
  mode: Mode;
  scopes: Scope[];
  allowedIps: string[];
};

/** Adds an integration. @throws not_found: no such node · forbidden: more scopes than the caller has · conflict: name taken. */
export async function addIntegration(
  sql: Sql | Transaction,
  tokens: Tokens,
  integration: Integration,
  request: IntegrationRequest,
): Promise<NewSecret> {
  await authorizeNode(sql, integration, request.nodeId);
  refuseMore(integration, request.scopes);
  if (request.mode === 'live' && integration.mode === 'test') {
    throw new CoreError('forbidden', 'A test integration cannot make a live one.', [
      { pointer: '/mode', message: 'must be test' },
    ]);
  }
  const id = uuidv7();
  const clientSecret = tokens.clientSecret(id, 1);
  const row = { ...request, id, clientId: `client_${id}`, secretHash: hashSecret(clientSecret) };
  return await refuseTakenName(
    transact(sql, async (tx) => {
      await tx`insert into integration ${tx(row)}`;
      return { record: await getIntegration(tx, integration, id), clientSecret };
    }),
  );
}

/** Changes name, scopes or addresses. @throws not_found · forbidden: scopes beyond the caller's · conflict: name taken. */
export async function updateIntegration(
  sql: Sql,
  integration: Integration,
  id: string,
  patch: { [Field in 'name' | 'scopes' | 'allowedIps']?: IntegrationRequest[Field] | undefined },
): Promise<IntegrationRecord> {
  return await refuseTakenName(
    transact(sql, async (tx) => {
      const known = await lockIntegration(tx, integration, id);
      if (patch.scopes) refuseMore(integration, patch.scopes);
      const changed = {
        name: patch.name ?? known.name,
        scopes: patch.scopes ?? known.scopes,
        allowedIps: patch.allowedIps ?? known.allowedIps,
      };
      await tx`update integration set ${tx(changed)} where id = ${id}`;
      return await getIntegration(tx, integration, id);
    }),
  );
}

/**
 * Gives an integration a new secret; the one before stays valid for `overlapSeconds`, so that clients can be changed over.
 * @throws not_found · forbidden: it has scopes that the caller lacks.
 */
export async function rotateSecret(
  sql: Sql | Transaction,
  tokens: Tokens,
  integration: Integration,
  { id, overlapSeconds }: { id: string; overlapSeconds: number },
): Promise<NewSecret> {
  return await transact(sql, async (tx) => {
    const { secretVersion } = await lockIntegration(tx, integration, id);
    const clientSecret = tokens.clientSecret(id, secretVersion + 1);
    const overlap = overlapSeconds > 0;
    await tx`
      update integration set secret_hash = ${hashSecret(clientSecret)}, secret_version = secret_version + 1,
        previous_secret_hash = ${overlap ? tx`secret_hash` : tx`null`},
        previous_secret_until = ${overlap ? tx`now() + make_interval(secs => ${overlapSeconds})` : tx`null`}
      where id = ${id}`;
    return { record: await getIntegration(tx, integration, id), clientSecret };
  });
}

/** The secret that an integration was given as `version`, for as long as it is valid; null afterwards. */
export async function recoverSecret(
  sql: Sql | Transaction,
  tokens: Tokens,
  { id, version }: { id: string; version: number },
): Promise<string | null> {
  const [row] = await sql<{ secretHash: Buffer; previousSecretHash: Buffer | null }[]>`
    select secret_hash, case when previous_secret_until > now() then previous_secret_hash end as previous_secret_hash
    from integration where id = ${id}`;
  if (!row) return null;
  return tokens.recoverClientSecret(id, version, [row.secretHash, row.previousSecretHash ?? row.secretHash]);
}

/** Disables an integration, which ends its tokens with the next request, or enables it. @throws not_found · forbidden */
export async function setIntegrationDisabled(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
  disabled: boolean,
): Promise<IntegrationRecord> {
  return await transact(sql, async (tx) => {
    await lockIntegration(tx, integration, id);
    await tx`
      update integration set disabled_at = ${disabled ? tx`coalesce(disabled_at, now())` : tx`null`} where id = ${id}`;
    return await getIntegration(tx, integration, id);
  });
}

/** An integration that the caller may change, locked. @throws not_found · forbidden: it has scopes that the caller lacks. */
async function lockIntegration(tx: Transaction, integration: Integration, id: string): Promise<IntegrationRecord> {
  await tx`select 1 from integration where id = ${id} for update`;
  const known = await getIntegration(tx, integration, id);
  if (known.mode === 'live' && integration.mode === 'test') {
    throw new CoreError('forbidden', 'A test integration cannot change a live one.');
  }
  if (integration.scopes === null) return known;
  const beyond = known.scopes === null || known.scopes.some((scope) => !hasScope(integration.scopes, scope));
  if (beyond) throw new CoreError('forbidden', 'The integration has scopes that yours lacks.');
  return known;
}

function refuseMore(integration: Integration, wanted: readonly Scope[]): void {
  const faults = wanted.flatMap((scope, index) =>
    hasScope(integration.scopes, scope) ? [] : [{ pointer: `/scopes/${index}`, message: 'is not a scope of your own' }],
  );
  if (faults.length > 0) throw new CoreError('forbidden', 'Nobody gives more scopes than they have.', faults);
}

async function refuseTakenName<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isUniqueViolation(error, 'integration_node_id_name_key')) throw error;
    throw new CoreError('conflict', 'The node has an integration of this name.', [
      { pointer: '/name', message: 'is taken in this node' },
    ]);
  }
}
