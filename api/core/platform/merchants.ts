// Owns how a merchant's dialect names things of ours: a node by its solution code, and a node's currency by the ISO 4217 code that
// the node gave it. Both are looked up at or below the node of who asks, so that nobody learns of another merchant's.
import type { Sql, Transaction } from '../database/db.ts';
import { CoreError, type FieldFaults } from '../errors.ts';
import type { CurrencyRow, NetworkRow } from '../schema.ts';
import { findCurrencies, findNetworks, type Integration } from './platform.ts';

/** The form of a solution code. */
export const SOLUTION_CODE = /^MP\w{4}-\w{4}$/;
/** The form of a currency's code in ISO 4217. */
export const ISO_4217 = /^[A-Z]{3}$/;

/** Which currency a node means by an ISO 4217 code, and on which network its payments are. */
export type Money = { currencyId: string; networkId: string };

/** A currency as a node's merchant has it. */
export type MoneyRows = { currency: CurrencyRow; network: NetworkRow };

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
): Promise<MoneyRows | undefined> {
  const [stated] = await sql<Money[]>`
    select above.currencies #>> array[${code}, 'currencyId'] as currency_id,
      above.currencies #>> array[${code}, 'networkId'] as network_id
    from node n join node above on above.id = any(n.path)
    where n.id = ${nodeId} and above.currencies ? ${code}
    order by array_position(n.path, above.id) desc limit 1`;
  if (!stated) {
    faults.add(pointer, 'is not a currency of the merchant: PATCH /api/v1/nodes/{id} gives it one in `currencies`');
    return undefined;
  }
  const [currency] = await findCurrencies(sql, [stated.currencyId]);
  const [network] = await findNetworks(sql, [stated.networkId]);
  if (!currency || !network) throw new Error(`Node ${nodeId} refers to a currency that is missing.`);
  return { currency, network };
}

/** Adds to `faults` what is wrong with what a node states of its currencies; `pointer` names the list in the request. */
export async function checkMoney(
  sql: Sql | Transaction,
  stated: readonly { code: string; currencyId: string; networkId?: string | undefined }[],
  faults: FieldFaults,
): Promise<Record<string, Money>> {
  const currencies = await findCurrencies(
    sql,
    stated.map(({ currencyId }) => currencyId),
  );
  const networks = await findNetworks(
    sql,
    stated.flatMap(({ networkId }) => networkId ?? []),
  );
  const money: Record<string, Money> = {};
  for (const [index, { code, currencyId, networkId }] of stated.entries()) {
    const fault = (field: string, message: string) => faults.add(`/currencies/${index}/${field}`, message);
    if (code in money) fault('code', 'is given twice');
    const currency = currencies.find(({ id }) => id === currencyId);
    const onNetwork = currency?.networkId ?? networkId;
    if (!currency) fault('currency_id', 'does not exist');
    else if (currency.type === 'fiat' && currency.code !== code) fault('currency_id', `is ${currency.code}`);
    if (networkId !== undefined && !networks.some(({ id }) => id === networkId)) fault('network_id', 'does not exist');
    else if (networkId !== undefined && onNetwork !== networkId) fault('network_id', "is not the currency's");
    else if (currency && onNetwork === undefined) fault('network_id', 'is required for fiat money');
    if (onNetwork !== undefined) money[code] = { currencyId, networkId: onNetwork };
  }
  return money;
}
