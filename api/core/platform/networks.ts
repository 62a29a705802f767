// Owns chains and networks as resources. Refuses a network that is not on its chain what its record says, and never shows
// its RPC URLs: they often carry a key.
import { v7 as uuidv7 } from 'uuid';
import type { Address } from 'viem';
import { Chain } from '../chain/chain.ts';
import { isUniqueViolation, type Sql, type Transaction, transact } from '../database/db.ts';
import { destinationFault } from '../destinations.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import type { NetworkRow } from '../schema.ts';
import { findNetwork, findNodes, type Integration, type Mode, requireOperator } from './platform.ts';

/** A chain, by its EIP-155 id. */
export type ChainRow = { id: string; eip155Id: bigint; name: string };

/** What makes a network; addresses lowercase. */
export type NetworkRequest = {
  chainId: string;
  name: string;
  rpcUrls: string[];
  diamondAddress: Address;
  operatorAddress: Address;
  confirmations: number;
  mode: Mode;
  /** The block in which the diamond was created; left out: looked for. */
  startBlock?: bigint | undefined;
  /** The most that a transaction may bid for a unit of gas, in wei; null or left out: a multiple of the base fee. */
  maxFeeWei?: bigint | null | undefined;
};

/** What may change of a network. */
export type NetworkPatch = {
  [Field in 'name' | 'rpcUrls' | 'diamondAddress' | 'operatorAddress' | 'confirmations' | 'startBlock' | 'maxFeeWei']?:
    | NetworkRequest[Field]
    | undefined;
};

type Page = { page: number; perPage: number };

/** One chain. @throws not_found */
export async function findChain(sql: Sql | Transaction, id: string): Promise<ChainRow> {
  const [row] = await sql<ChainRow[]>`select * from chain where id = ${id}`;
  if (!row) throw new CoreError('not_found', 'The chain does not exist.');
  return row;
}

/** A page of the chains by their EIP-155 id, and how many there are. */
export async function pageChains(sql: Sql, { page, perPage }: Page): Promise<{ rows: ChainRow[]; total: number }> {
  const [rows, [count]] = await Promise.all([
    sql<ChainRow[]>`select * from chain order by eip155_id limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from chain`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

/** Adds a chain. @throws forbidden: not an operator · conflict: it is there. */
export async function addChain(
  sql: Sql | Transaction,
  integration: Integration,
  { eip155Id, name }: { eip155Id: number; name: string },
): Promise<ChainRow> {
  await requireOperator(sql, integration);
  const [row] = await sql<ChainRow[]>`
    insert into chain ${sql({ id: uuidv7(), eip155Id, name })} on conflict (eip155_id) do nothing returning *`;
  if (row) return row;
  throw new CoreError('conflict', 'The chain is there already.', [{ pointer: '/eip155_id', message: 'is taken' }]);
}

/** Renames a chain. @throws forbidden: not an operator · not_found */
export async function renameChain(sql: Sql, integration: Integration, id: string, name: string): Promise<ChainRow> {
  await requireOperator(sql, integration);
  await sql`update chain set name = ${name} where id = ${id}`;
  return await findChain(sql, id);
}

/** A page of the networks, newest first, and how many there are. */
export async function pageNetworks(
  sql: Sql,
  { chainId, archived }: { chainId?: string | undefined; archived: boolean },
  { page, perPage }: Page,
): Promise<{ rows: NetworkRow[]; total: number }> {
  const where = sql`
    ${archived ? sql`true` : sql`n.archived_at is null`} ${chainId ? sql`and n.chain_id = ${chainId}` : sql``}`;
  const [rows, [count]] = await Promise.all([
    sql<NetworkRow[]>`
      select n.*, c.eip155_id from network n join chain c on c.id = n.chain_id where ${where}
      order by n.id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from network n where ${where}`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

/**
 * Adds a network after checking it against its chain; the indexer follows it from then on.
 * @throws forbidden: not an operator · invalid_request with every wrong field · conflict: the name is taken ·
 * upstream_unavailable.
 */
export async function addNetwork(
  sql: Sql | Transaction,
  integration: Integration,
  request: NetworkRequest,
): Promise<NetworkRow> {
  await requireOperator(sql, integration);
  const [chain] = await sql<ChainRow[]>`select * from chain where id = ${request.chainId}`;
  const faults = new FieldFaults();
  const id = uuidv7();
  if (!chain) faults.add('/chain_id', 'does not exist');
  const [node] = await findNodes(sql, [integration.nodeId]);
  const local = node?.local ?? false;
  checkUrls(request.rpcUrls, local, faults);
  faults.throwIfAny();
  const eip155Id = chain?.eip155Id ?? 0n;
  const { startBlock: given = null, maxFeeWei = null, ...rest } = request;
  const startBlock = await checkOnChain({
    ...rest,
    id,
    eip155Id,
    maxFeeWei,
    archivedAt: null,
    local,
    startBlock: given,
  });
  return await refuseTakenName(
    transact(sql, async (tx) => {
      await tx`insert into network ${tx({ ...rest, id, local, ...asText({ startBlock, maxFeeWei }) })}`;
      return await findNetwork(tx, id);
    }),
  );
}

function asText({ startBlock, maxFeeWei }: { startBlock: bigint; maxFeeWei: bigint | null }) {
  return { startBlock: startBlock.toString(), maxFeeWei: maxFeeWei?.toString() ?? null };
}

function checkUrls(rpcUrls: readonly string[], local: boolean, faults: FieldFaults): void {
  for (const [index, url] of rpcUrls.entries()) {
    const fault = destinationFault(url, { local });
    if (fault) faults.add(`/rpc_urls/${index}`, fault);
  }
}

/** Checks a record against its chain; answers the block in which the diamond was created, looked for unless it is known. */
async function checkOnChain(network: NetworkRow): Promise<bigint> {
  const chain = new Chain();
  const faults = new FieldFaults();
  await chain.checkNetwork(network, faults);
  faults.throwIfAny();
  return network.startBlock ?? (await chain.findStartBlock(network));
}

/**
 * Changes a network after checking it against its chain again.
 * @throws forbidden · not_found · invalid_request · conflict: the name is taken, or a used network's diamond would change ·
 * upstream_unavailable.
 */
export async function updateNetwork(
  sql: Sql,
  integration: Integration,
  id: string,
  { name, rpcUrls, diamondAddress, operatorAddress, confirmations, startBlock, maxFeeWei }: NetworkPatch,
): Promise<NetworkRow> {
  await requireOperator(sql, integration);
  const known = await findNetwork(sql, id);
  const changed = {
    name: name ?? known.name,
    rpcUrls: rpcUrls ?? known.rpcUrls,
    diamondAddress: diamondAddress ?? known.diamondAddress,
    operatorAddress: operatorAddress ?? known.operatorAddress,
    confirmations: confirmations ?? known.confirmations,
  };
  const ceiling = maxFeeWei === undefined ? known.maxFeeWei : maxFeeWei;
  const moves = changed.diamondAddress !== known.diamondAddress;
  if (moves) await refuseUsed(sql, id);
  const faults = new FieldFaults();
  if (rpcUrls) checkUrls(rpcUrls, known.local, faults);
  faults.throwIfAny();
  const start = startBlock ?? (moves ? null : known.startBlock);
  const found = await checkOnChain({ ...known, ...changed, startBlock: start });
  return await refuseTakenName(
    transact(sql, async (tx) => {
      // A payment's row waits for this lock by its foreign key, so that "unused" stays true until the change is made.
      await tx`select 1 from network where id = ${id} for update`;
      if (moves) await refuseUsed(tx, id);
      await tx`update network set ${tx({ ...changed, ...asText({ startBlock: found, maxFeeWei: ceiling }) })} where id = ${id}`;
      return await findNetwork(tx, id);
    }),
  );
}

async function refuseUsed(sql: Sql | Transaction, id: string): Promise<void> {
  const [used] = await sql`
    select 1 where exists (select 1 from payment where network_id = ${id})
      or exists (select 1 from currency where network_id = ${id})`;
  if (!used) return;
  throw new CoreError('conflict', 'The diamond of a network in use never changes.', [
    { pointer: '/diamond_address', message: 'is in use and cannot change' },
  ]);
}

/** Archives a network, which ends new payments on it, or restores it. @throws forbidden · not_found */
export async function setNetworkArchived(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
  archived: boolean,
): Promise<NetworkRow> {
  await requireOperator(sql, integration);
  await sql`
    update network set archived_at = ${archived ? sql`coalesce(archived_at, now())` : sql`null`} where id = ${id}`;
  return await findNetwork(sql, id);
}

async function refuseTakenName<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isUniqueViolation(error, 'network_name_key')) throw error;
    throw new CoreError('conflict', 'There is a network of this name.', [{ pointer: '/name', message: 'is taken' }]);
  }
}
