// Owns how a merchant's dialect names things of ours: a node by its solution code, and a node's currency by the ISO 4217 code that
// the node gave it. Both are looked up at or below the node of who asks, so that nobody learns of another merchant's.
import type { Sql, Transaction } from '../database/db.ts';
import { CoreError, type FieldFaults } from '../errors.ts';
import type { CurrencyRow } from '../schema.ts';
import { findCurrencies, type Integration } from './platform.ts';

/** The form of a solution code. */
export const SOLUTION_CODE = /^MP\w{4}-\w{4}$/;
/** The form of a currency's code in ISO 4217. */
export const ISO_4217 = /^[A-Z]{3}$/;

/** The node that a solution code names for an integration: its own, or the one nearest below it. @throws invalid_request */
export async function findMerchant(
  sql: Sql | Transaction,
  { nodeId }: Pick<Integration, 'nodeId'>,
  solutionCode: string,
): Promise<string> {
  const rows = await sql<{ id: string; depth: number }[]>`
    select id, cardinality(path) as depth from node
    where solution_code = ${solutionCode} and ${nodeId} = any(path) and archived_at is null
    order by depth limit 2`;
  const [nearest, other] = rows;
  if (nearest && other?.depth !== nearest.depth) return nearest.id;
  const message = nearest ? 'names several nodes of yours: use an integration of one of them' : 'is not subscribed to';
  throw new CoreError('invalid_request', 'Not valid: solutionCode.', [{ pointer: '/solutionCode', message }]);
}

/** The ids of the integration's node and of all below it. */
export async function nodesOf(sql: Sql | Transaction, { nodeId }: Pick<Integration, 'nodeId'>): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`select id from node where ${nodeId} = any(path)`;
  return rows.map(({ id }) => id);
}

/** What a node means by a code, as it or the nearest node above states it; undefined: nobody does, which is added to `faults`. */
export async function findMoney(
  sql: Sql | Transaction,
  nodeId: string,
  { code, pointer }: { code: string; pointer: string },
  faults: FieldFaults,
): Promise<CurrencyRow | undefined> {
  const [row] = await sql<CurrencyRow[]>`
    select c.* from node n join node above on above.id = any(n.path)
    join currency c on c.id = (above.currencies ->> ${code})::uuid
    where n.id = ${nodeId} order by array_position(n.path, above.id) desc limit 1`;
  if (!row) {
    faults.add(pointer, 'is not a currency of the merchant: PATCH /api/v1/nodes/{id} gives it one in `currencies`');
  }
  return row;
}

/** Fiat money by its code. */
export async function findFiat(sql: Sql | Transaction, code: string): Promise<CurrencyRow | undefined> {
  const [row] = await sql<CurrencyRow[]>`select * from currency where type = 'fiat' and code = ${code}`;
  return row;
}

/** What a node states of its currencies, by code; what is wrong with it is added to `faults`. */
export async function checkMoney(
  sql: Sql | Transaction,
  stated: readonly { code: string; currencyId: string }[],
  faults: FieldFaults,
): Promise<Record<string, string>> {
  const currencies = await findCurrencies(
    sql,
    stated.map(({ currencyId }) => currencyId),
  );
  const money: Record<string, string> = {};
  for (const [index, { code, currencyId }] of stated.entries()) {
    const fault = (field: string, message: string) => faults.add(`/currencies/${index}/${field}`, message);
    if (code in money) fault('code', 'is given twice');
    const currency = currencies.find(({ id }) => id === currencyId);
    if (!currency) fault('currency_id', 'does not exist');
    else if (currency.type === 'fiat' && currency.code !== code) fault('currency_id', `is ${currency.code}`);
    money[code] = currencyId;
  }
  return money;
}

/** What a node means by each code, as it or the nearest node above states it, by code. */
export async function listMoney(
  sql: Sql | Transaction,
  nodeId: string,
): Promise<{ code: string; currencyId: string }[]> {
  return await sql<{ code: string; currencyId: string }[]>`
    select distinct on (stated.key) stated.key as code, stated.value::uuid as currency_id
    from node n join node above on above.id = any(n.path) cross join lateral jsonb_each_text(above.currencies) stated
    where n.id = ${nodeId} order by stated.key, array_position(n.path, above.id) desc`;
}

/** The merchants of an integration: its node and those below it that have a solution code. */
export async function merchantsOf(
  sql: Sql | Transaction,
  { nodeId }: Pick<Integration, 'nodeId'>,
): Promise<{ nodeId: string; solutionCode: string }[]> {
  return await sql<{ nodeId: string; solutionCode: string }[]>`
    select id as node_id, solution_code from node
    where ${nodeId} = any(path) and solution_code is not null and archived_at is null order by id`;
}
