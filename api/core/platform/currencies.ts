// Owns currencies as a resource: tokens of a network that its escrow allows, with the decimals that the chain says, and fiat
// money by its ISO 4217 code, with the decimals of that standard.
import { v7 as uuidv7 } from 'uuid';
import type { Address } from 'viem';
import { Chain } from '../chain/chain.ts';
import { isUniqueViolation, type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import type { CurrencyRow } from '../schema.ts';
import { findCurrency, findNetwork, type Integration, requireOperator } from './platform.ts';

/** What makes a currency: a token has network and address, fiat has neither. `decimals` left out: as chain or standard say. */
export type CurrencyRequest = {
  type: CurrencyRow['type'];
  networkId?: string | undefined;
  code: string;
  name: string;
  tokenAddress?: Address | undefined;
  decimals?: number | undefined;
};

/** What may change of a currency. */
export type CurrencyPatch = {
  [Field in 'code' | 'name' | 'tokenAddress' | 'decimals']?: CurrencyRequest[Field] | undefined;
};

type TokenRequest = CurrencyRequest & { networkId: string; tokenAddress: Address };

/** A page of the currencies, newest first, and how many there are. */
export async function pageCurrencies(
  sql: Sql,
  {
    networkId,
    type,
    archived,
  }: { networkId?: string | undefined; type?: CurrencyRow['type'] | undefined; archived: boolean },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: CurrencyRow[]; total: number }> {
  const where = sql`
    ${archived ? sql`true` : sql`archived_at is null`} ${networkId ? sql`and network_id = ${networkId}` : sql``}
    ${type ? sql`and type = ${type}` : sql``}`;
  const [rows, [count]] = await Promise.all([
    sql<CurrencyRow[]>`
      select * from currency where ${where} order by id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from currency where ${where}`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

/**
 * Adds a token of a network, or fiat money.
 * @throws forbidden: not an operator · invalid_request · conflict: it is there already · upstream_unavailable.
 */
export async function addCurrency(
  sql: Sql | Transaction,
  integration: Integration,
  request: CurrencyRequest,
): Promise<CurrencyRow> {
  await requireOperator(sql, integration);
  const { type, code, name, networkId = null, tokenAddress = null } = request;
  const decimals = isToken(request) ? await tokenDecimals(sql, request) : fiatDecimals(request);
  const id = uuidv7();
  return await refuseTaken(
    transact(sql, async (tx) => {
      await tx`insert into currency ${tx({ id, type, code, name, networkId, tokenAddress, decimals })}`;
      return await findCurrency(tx, id);
    }),
  );
}

/** @throws invalid_request when a token lacks one of its two, or fiat has one. */
function isToken(request: CurrencyRequest): request is TokenRequest {
  const faults = new FieldFaults();
  for (const [pointer, value] of [
    ['/network_id', request.networkId],
    ['/token_address', request.tokenAddress],
  ] as const) {
    if (request.type === 'token' && value === undefined) faults.add(pointer, 'is required for a token');
    if (request.type === 'fiat' && value !== undefined) faults.add(pointer, 'must be left out for fiat money');
  }
  faults.throwIfAny();
  return request.type === 'token';
}

/** The minor unit's exponent in ISO 4217. @throws invalid_request when the code is not in it, or `decimals` differs. */
function fiatDecimals({ code, decimals }: Pick<CurrencyRequest, 'code' | 'decimals'>): number {
  const faults = new FieldFaults();
  if (!Intl.supportedValuesOf('currency').includes(code)) {
    faults.add('/code', 'must be an ISO 4217 code like EUR');
    faults.throwIfAny();
  }
  const format = new Intl.NumberFormat('en', { style: 'currency', currency: code });
  const { maximumFractionDigits: standard = 2 } = format.resolvedOptions();
  if (decimals !== undefined && decimals !== standard) faults.add('/decimals', `is ${standard} in ISO 4217`);
  faults.throwIfAny();
  return standard;
}

async function tokenDecimals(
  sql: Sql | Transaction,
  { networkId, tokenAddress, decimals }: Pick<TokenRequest, 'networkId' | 'tokenAddress' | 'decimals'>,
): Promise<number> {
  const [network] = await sql`select 1 from network where id = ${networkId}`;
  if (!network) {
    throw new CoreError('invalid_request', 'Not valid: network_id.', [
      { pointer: '/network_id', message: 'does not exist' },
    ]);
  }
  const faults = new FieldFaults();
  const onChain = await new Chain().tokenDecimals(await findNetwork(sql, networkId), tokenAddress, faults);
  if (onChain !== null && decimals !== undefined && decimals !== onChain) {
    faults.add('/decimals', `is ${onChain} on chain`);
  }
  faults.throwIfAny();
  return onChain ?? 0;
}

/**
 * Changes a currency; of fiat money only the name.
 * @throws forbidden · not_found · invalid_request · conflict: token or decimals of one in use, or a token that the network
 * has as another one · upstream_unavailable.
 */
export async function updateCurrency(
  sql: Sql,
  integration: Integration,
  id: string,
  patch: CurrencyPatch,
): Promise<CurrencyRow> {
  await requireOperator(sql, integration);
  const known = await findCurrency(sql, id);
  if (!known.networkId || !known.tokenAddress) return await renameFiat(sql, known, patch);
  const { networkId } = known;
  const changes = (['tokenAddress', 'decimals'] as const).filter(
    (field) => patch[field] !== undefined && patch[field] !== known[field],
  );
  if (changes.length > 0) await refuseUsed(sql, id, changes);
  const tokenAddress = patch.tokenAddress ?? known.tokenAddress;
  const decimals =
    changes.length === 0
      ? known.decimals
      : await tokenDecimals(sql, { networkId, tokenAddress, decimals: patch.decimals });
  return await refuseTaken(
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

async function renameFiat(sql: Sql, known: CurrencyRow, patch: CurrencyPatch): Promise<CurrencyRow> {
  const faults = new FieldFaults();
  if (patch.tokenAddress !== undefined) faults.add('/token_address', 'must be left out for fiat money');
  for (const field of ['code', 'decimals'] as const) {
    if (patch[field] !== undefined && patch[field] !== known[field])
      faults.add(`/${field}`, 'of fiat money never changes');
  }
  faults.throwIfAny();
  await sql`update currency set name = ${patch.name ?? known.name} where id = ${known.id}`;
  return await findCurrency(sql, known.id);
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

async function refuseTaken<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isUniqueViolation(error, 'currency_fiat_code')) {
      throw new CoreError('conflict', 'The currency is there already.', [{ pointer: '/code', message: 'is taken' }]);
    }
    if (!isUniqueViolation(error, 'currency_network_id_token_address_key')) throw error;
    throw new CoreError('conflict', 'The network has this token already.', [
      { pointer: '/token_address', message: 'is taken' },
    ]);
  }
}
