// Owns currencies as a resource: tokens of a network that its escrow allows, with the decimals that the chain says.
import { v7 as uuidv7 } from 'uuid';
import type { Address } from 'viem';
import { Chain } from './chain.ts';
import { isUniqueViolation, type Sql, type Transaction, transact } from './db.ts';
import { CoreError, FieldFaults } from './errors.ts';
import { findCurrency, findNetwork, type Integration, requireOperator } from './platform.ts';
import type { CurrencyRow } from './schema.ts';

/** What makes a currency; `decimals` left out: as the chain says. */
export type CurrencyRequest = {
  networkId: string;
  code: string;
  name: string;
  tokenAddress: Address;
  decimals?: number | undefined;
};

/** A page of the currencies, newest first, and how many there are. */
export async function pageCurrencies(
  sql: Sql,
  { networkId, archived }: { networkId?: string | undefined; archived: boolean },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: CurrencyRow[]; total: number }> {
  const where = sql`
    ${archived ? sql`true` : sql`archived_at is null`} ${networkId ? sql`and network_id = ${networkId}` : sql``}`;
  const [rows, [count]] = await Promise.all([
    sql<CurrencyRow[]>`
      select * from currency where ${where} order by id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from currency where ${where}`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

/**
 * Adds a token of a network.
 * @throws forbidden: not an operator · invalid_request · conflict: the network has it · upstream_unavailable.
 */
export async function addCurrency(
  sql: Sql | Transaction,
  integration: Integration,
  request: CurrencyRequest,
): Promise<CurrencyRow> {
  await requireOperator(sql, integration);
  const [network] = await sql`select 1 from network where id = ${request.networkId}`;
  if (!network) {
    throw new CoreError('invalid_request', 'Not valid: network_id.', [
      { pointer: '/network_id', message: 'does not exist' },
    ]);
  }
  const decimals = await checkedDecimals(sql, request);
  const id = uuidv7();
  return await refuseTakenToken(
    transact(sql, async (tx) => {
      await tx`insert into currency ${tx({ ...request, id, decimals })}`;
      return await findCurrency(tx, id);
    }),
  );
}

async function checkedDecimals(
  sql: Sql | Transaction,
  { networkId, tokenAddress, decimals }: Pick<CurrencyRequest, 'networkId' | 'tokenAddress' | 'decimals'>,
): Promise<number> {
  const faults = new FieldFaults();
  const onChain = await new Chain().tokenDecimals(await findNetwork(sql, networkId), tokenAddress, faults);
  if (onChain !== null && decimals !== undefined && decimals !== onChain) {
    faults.add('/decimals', `is ${onChain} on chain`);
  }
  faults.throwIfAny();
  return onChain ?? 0;
}

/**
 * Changes a currency.
 * @throws forbidden · not_found · invalid_request · conflict: token or decimals of one in use, or a token that the network
 * has as another one · upstream_unavailable.
 */
export async function updateCurrency(
  sql: Sql,
  integration: Integration,
  id: string,
  patch: { [Field in 'code' | 'name' | 'tokenAddress' | 'decimals']?: CurrencyRequest[Field] | undefined },
): Promise<CurrencyRow> {
  await requireOperator(sql, integration);
  const known = await findCurrency(sql, id);
  const changes = (['tokenAddress', 'decimals'] as const).filter(
    (field) => patch[field] !== undefined && patch[field] !== known[field],
  );
  if (changes.length > 0) await refuseUsed(sql, id, changes);
  const tokenAddress = patch.tokenAddress ?? known.tokenAddress;
  const decimals =
    changes.length === 0
      ? known.decimals
      : await checkedDecimals(sql, { networkId: known.networkId, tokenAddress, decimals: patch.decimals });
  return await refuseTakenToken(
    transact(sql, async (tx) => {
      // A payment's row waits for this lock by its foreign key, so that "unused" stays true until the change is made.
      await tx`select 1 from currency where id = ${id} for update`;
      if (changes.length > 0) await refuseUsed(tx, id, changes);
      const changed = { code: patch.code ?? known.code, name: patch.name ?? known.name, tokenAddress, decimals };
      await tx`update currency set ${tx(changed)} where id = ${id}`;
      return await findCurrency(tx, id);
    }),
  );
}

async function refuseUsed(
  sql: Sql | Transaction,
  id: string,
  changes: readonly ('tokenAddress' | 'decimals')[],
): Promise<void> {
  const [used] = await sql`select 1 from payment where currency_id = ${id} limit 1`;
  if (!used) return;
  throw new CoreError(
    'conflict',
    'Token and decimals of a currency in use never change.',
    changes.map((field) => ({
      pointer: field === 'decimals' ? '/decimals' : '/token_address',
      message: 'is in use and cannot change',
    })),
  );
}

/** Archives a currency, which ends new payments in it, or restores it. @throws forbidden · not_found */
export async function setCurrencyArchived(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
  archived: boolean,
): Promise<CurrencyRow> {
  await requireOperator(sql, integration);
  await sql`
    update currency set archived_at = ${archived ? sql`coalesce(archived_at, now())` : sql`null`} where id = ${id}`;
  return await findCurrency(sql, id);
}

async function refuseTakenToken<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isUniqueViolation(error, 'currency_network_id_token_address_key')) throw error;
    throw new CoreError('conflict', 'The network has this token already.', [
      { pointer: '/token_address', message: 'is taken' },
    ]);
  }
}
