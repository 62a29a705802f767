// Owns nodes as a resource: the tree below an integration's own node, and what each node states of its deal policy.
import { v7 as uuidv7 } from 'uuid';
import { isUniqueViolation, type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import { AmountError, parseUnits } from '../money.ts';
import type { DealPolicy } from '../schema.ts';
import { checkMoney } from './merchants.ts';
import { authorizeNode, DEFAULT_POLICY, type Integration, requireOperator } from './platform.ts';

/** A node with what it states itself and what holds for it. */
export type NodeRecord = {
  id: string;
  parentId: string | null;
  name: string;
  policy: Partial<DealPolicy>;
  effectivePolicy: DealPolicy;
  /** Whether requests for it and all below may go to private addresses, as it states itself. */
  local: boolean;
  /** Its quota of unfunded cancellations, which cost the operator gas; null: as the nearest node above states it. */
  unfundedCancelsPerDay: number | null;
  /** How many signed deposits a day the operator sends for it; null: as the nearest node above states it. */
  relaysPerDay: number | null;
  /** Origins that the hosted checkout may lead back to, for payments of it and all below. */
  returnOrigins: string[];
  /** The product code by which a merchant's requests name it. */
  solutionCode: string | null;
  /** Ids of the currencies that it means by codes of ISO 4217, as it states itself. */
  currencies: Record<string, string>;
  createdAt: Date;
  archivedAt: Date | null;
};

// Paths are read with every request; no organisation is this deep.
const MAX_DEPTH = 16;
// As fine as any currency can be (its column allows no more).
const MAX_DECIMALS = 36;

/** What may change of a node. */
export type NodePatch = {
  name?: string | undefined;
  policy?: Partial<DealPolicy> | undefined;
  local?: boolean | undefined;
  unfundedCancelsPerDay?: number | null | undefined;
  relaysPerDay?: number | null | undefined;
  returnOrigins?: string[] | undefined;
  solutionCode?: string | null | undefined;
  currencies?: { code: string; currencyId: string }[] | undefined;
};

type Row = Omit<NodeRecord, 'effectivePolicy'> & { path: string[]; policies: Partial<DealPolicy>[] };

const columnsOf = (sql: Sql | Transaction) => sql`
  n.id, n.parent_id, n.path, n.name, n.policy, n.local, n.unfunded_cancels_per_day, n.relays_per_day, n.return_origins,
  n.solution_code, n.currencies, n.created_at, n.archived_at,
  (select jsonb_agg(above.policy order by array_position(n.path, above.id)) from node above
   where above.id = any(n.path)) as policies`;

function toRecord({ policies, path: _path, ...row }: Row): NodeRecord {
  return { ...row, effectivePolicy: Object.assign({}, DEFAULT_POLICY, ...policies) };
}

async function loadNode(sql: Sql | Transaction, id: string): Promise<Row> {
  const [row] = await sql<Row[]>`select ${columnsOf(sql)} from node n where n.id = ${id}`;
  if (!row) throw new CoreError('not_found', 'The node does not exist.');
  return row;
}

/** One node. @throws not_found when it is not the integration's or below it. */
export async function getNode(sql: Sql | Transaction, integration: Integration, id: string): Promise<NodeRecord> {
  await authorizeNode(sql, integration, id);
  return toRecord(await loadNode(sql, id));
}

/** A page of the integration's node and all below, newest first, and how many there are. */
export async function listNodes(
  sql: Sql,
  integration: Integration,
  { parentId, archived }: { parentId?: string | undefined; archived: boolean },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: NodeRecord[]; total: number }> {
  const where = sql`
    ${integration.nodeId}::uuid = any(n.path)
    ${archived ? sql`` : sql`and n.archived_at is null`} ${parentId ? sql`and n.parent_id = ${parentId}` : sql``}`;
  const [rows, [count]] = await Promise.all([
    sql<Row[]>`
      select ${columnsOf(sql)} from node n where ${where}
      order by n.id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from node n where ${where}`,
  ]);
  return { rows: rows.map(toRecord), total: count?.total ?? 0 };
}

/**
 * Adds a node below another one; roots are made by whoever runs the installation.
 * @throws not_found: no such parent · invalid_request · conflict: the parent has a node of this name.
 */
export async function addNode(
  sql: Sql | Transaction,
  integration: Integration,
  { parentId, name, policy }: { parentId: string; name: string; policy: Partial<DealPolicy> },
): Promise<NodeRecord> {
  await authorizeNode(sql, integration, parentId);
  return await refuseTakenName(
    transact(sql, async (tx) => {
      const parent = await loadNode(tx, parentId);
      const faults = new FieldFaults();
      if (parent.path.length >= MAX_DEPTH) faults.add('/parent_id', `is ${MAX_DEPTH} levels deep already`);
      checkPolicy({ ...toRecord(parent).effectivePolicy, ...policy }, faults);
      faults.throwIfAny();
      const id = uuidv7();
      const row = { id, parentId, path: [...parent.path, id], name, policy: tx.json(policy) };
      await tx`insert into node ${tx(row)}`;
      return toRecord(await loadNode(tx, id));
    }),
  );
}

/**
 * Renames a node, replaces what it states of its policy, its return origins, its solution code or its currencies, marks it local,
 * or sets its quota.
 * @throws not_found · invalid_request · conflict · forbidden: the last two are for operators.
 */
export async function updateNode(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
  { name, policy, local, unfundedCancelsPerDay, relaysPerDay, returnOrigins, solutionCode, currencies }: NodePatch,
): Promise<NodeRecord> {
  await authorizeNode(sql, integration, id);
  const isOperators = [local, unfundedCancelsPerDay, relaysPerDay].some((field) => field !== undefined);
  if (isOperators) await requireOperator(sql, integration);
  return await refuseTakenName(
    transact(sql, async (tx) => {
      await tx`select 1 from node where id = ${id} for update`;
      const { policies, ...known } = await loadNode(tx, id);
      const stated = policy ?? known.policy;
      const faults = new FieldFaults();
      if (policy) checkPolicy(Object.assign({}, DEFAULT_POLICY, ...policies.slice(0, -1), stated), faults);
      const money = currencies ? await checkMoney(tx, currencies, faults) : known.currencies;
      faults.throwIfAny();
      const changed = {
        name: name ?? known.name,
        policy: tx.json(stated),
        local: local ?? known.local,
        unfundedCancelsPerDay:
          unfundedCancelsPerDay === undefined ? known.unfundedCancelsPerDay : unfundedCancelsPerDay,
        relaysPerDay: relaysPerDay === undefined ? known.relaysPerDay : relaysPerDay,
        returnOrigins: returnOrigins ?? known.returnOrigins,
        solutionCode: solutionCode === undefined ? known.solutionCode : solutionCode,
        currencies: tx.json(money),
      };
      await tx`update node set ${tx(changed)} where id = ${id}`;
      return toRecord(await loadNode(tx, id));
    }),
  );
}

/** Archives a node, which ends new payments in it and below, or restores it; again changes nothing. @throws not_found */
export async function setNodeArchived(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
  archived: boolean,
): Promise<NodeRecord> {
  await authorizeNode(sql, integration, id);
  await sql`
    update node set archived_at = ${archived ? sql`coalesce(archived_at, now())` : sql`null`} where id = ${id}`;
  return toRecord(await loadNode(sql, id));
}

/** Adds to `faults` what makes every payment under the policy impossible. */
function checkPolicy(policy: DealPolicy, faults: FieldFaults): void {
  const parse = (field: string, text: string | null): bigint | null => {
    if (text === null) return null;
    try {
      return parseUnits(text, MAX_DECIMALS);
    } catch (error) {
      if (!(error instanceof AmountError)) throw error;
      faults.add(`/policy/${field}`, error.message);
      return null;
    }
  };
  const fixed = parse('fee_fixed', policy.feeFixed);
  const minimum = parse('fee_minimum', policy.feeMinimum);
  const maximum = parse('fee_maximum', policy.feeMaximum);
  if (minimum !== null && maximum !== null && minimum > maximum) {
    faults.add('/policy/fee_maximum', 'is less than fee_minimum');
  }
  const charges = policy.feeBps > 0 || (fixed ?? 0n) > 0n || (minimum ?? 0n) > 0n;
  if (charges && maximum !== 0n && !policy.feeRecipient) {
    faults.add('/policy/fee_recipient', 'is required when there is a fee');
  }
}

async function refuseTakenName<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isUniqueViolation(error, 'node_name_taken')) throw error;
    throw new CoreError('conflict', 'The parent has a node of this name.', [
      { pointer: '/name', message: 'is taken by a sibling' },
    ]);
  }
}
