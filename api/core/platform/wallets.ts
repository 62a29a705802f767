// Owns payee wallets as a resource: addresses of a node that its payments may name.
import { v7 as uuidv7 } from 'uuid';
import { type Address, zeroAddress } from 'viem';
import { isUniqueViolation, type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import type { NetworkRow } from '../schema.ts';
import { authorizeNode, type Integration, mayActOn } from './platform.ts';

/** A wallet, its address lowercase. */
export type WalletRow = {
  id: string;
  nodeId: string;
  networkId: string;
  address: Address;
  label: string;
  archivedAt: Date | null;
};

/** Where a node is paid on a network: its oldest wallet in use there. */
export async function oldestWallet(
  sql: Sql | Transaction,
  { nodeId, networkId }: { nodeId: string; networkId: string },
): Promise<Address | undefined> {
  const [row] = await sql<Pick<WalletRow, 'address'>[]>`
    select address from wallet
    where node_id = ${nodeId} and network_id = ${networkId} and archived_at is null order by id limit 1`;
  return row?.address;
}

/** One wallet. @throws not_found when its node is not the integration's or below it. */
export async function getWallet(sql: Sql | Transaction, integration: Integration, id: string): Promise<WalletRow> {
  const [row] = await sql<WalletRow[]>`select * from wallet where id = ${id}`;
  if (!row || !(await mayActOn(sql, integration, row.nodeId))) {
    throw new CoreError('not_found', 'The wallet does not exist.');
  }
  return row;
}

/** A page of a node's wallets, newest first, and how many there are. @throws not_found when the node is not the caller's. */
export async function listWallets(
  sql: Sql,
  integration: Integration,
  { nodeId, networkId, archived }: { nodeId: string; networkId?: string | undefined; archived: boolean },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: WalletRow[]; total: number }> {
  await authorizeNode(sql, integration, nodeId);
  const where = sql`
    node_id = ${nodeId} ${archived ? sql`` : sql`and archived_at is null`}
    ${networkId ? sql`and network_id = ${networkId}` : sql``}`;
  const [rows, [count]] = await Promise.all([
    sql<WalletRow[]>`
      select * from wallet where ${where} order by id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from wallet where ${where}`,
  ]);
  return { rows, total: count?.total ?? 0 };
}

/** Adds a wallet to a node. @throws not_found: no such node · invalid_request · conflict: the node has the address. */
export async function addWallet(
  sql: Sql | Transaction,
  integration: Integration,
  wallet: { nodeId: string; networkId: string; address: Address; label: string },
): Promise<WalletRow> {
  await authorizeNode(sql, integration, wallet.nodeId);
  const faults = new FieldFaults();
  const [network] = await sql<Pick<NetworkRow, 'diamondAddress' | 'operatorAddress'>[]>`
    select diamond_address, operator_address from network where id = ${wallet.networkId}`;
  if (!network) faults.add('/network_id', 'does not exist');
  for (const [name, address] of [
    ['the zero address', zeroAddress],
    ['the diamond', network?.diamondAddress],
    ['the operator', network?.operatorAddress],
  ] as const) {
    if (wallet.address === address) faults.add('/address', `must not be ${name}`);
  }
  faults.throwIfAny();
  try {
    return await transact(sql, async (tx) => {
      const id = uuidv7();
      await tx`insert into wallet ${tx({ ...wallet, id })}`;
      return await getWallet(tx, integration, id);
    });
  } catch (error) {
    if (!isUniqueViolation(error, 'wallet_node_id_network_id_address_key')) throw error;
    throw new CoreError('conflict', 'The node has this wallet already.', [
      { pointer: '/address', message: 'is taken' },
    ]);
  }
}

/** Renames a wallet; its address never changes. @throws not_found */
export async function renameWallet(sql: Sql, integration: Integration, id: string, label: string): Promise<WalletRow> {
  const { nodeId } = await getWallet(sql, integration, id);
  await sql`update wallet set label = ${label} where node_id = ${nodeId} and id = ${id}`;
  return await getWallet(sql, integration, id);
}

/** Archives a wallet, which no new payment may name then, or restores it. @throws not_found */
export async function setWalletArchived(
  sql: Sql | Transaction,
  integration: Integration,
  id: string,
  archived: boolean,
): Promise<WalletRow> {
  const { nodeId } = await getWallet(sql, integration, id);
  await sql`
    update wallet set archived_at = ${archived ? sql`coalesce(archived_at, now())` : sql`null`}
    where node_id = ${nodeId} and id = ${id}`;
  return await getWallet(sql, integration, id);
}
