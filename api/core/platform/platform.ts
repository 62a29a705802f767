// Owns what every request reads of the platform: who asks, on which nodes, under which policy, on which networks. Also how an
// installation is first filled: creating the same name again answers with what exists. Managing is in the nouns' own files.
import { v7 as uuidv7 } from 'uuid';
import type { Address } from 'viem';
import type { Sql, Transaction } from '../database/db.ts';
import { Together } from '../database/together.ts';
import { CoreError } from '../errors.ts';
import type { CurrencyRow, DealPolicy, NetworkRow } from '../schema.ts';
import { hashSecret, newSecret, secretMatches } from './auth.ts';

/** Policy of a node that states none: no fee, no arbiter, 30 days to settle, 14 to resolve, then back to the payer. */
export const DEFAULT_POLICY: DealPolicy = {
  feeBps: 0,
  feeFixed: '0',
  feeMinimum: null,
  feeMaximum: null,
  feeBearer: 'payee',
  feeRecipient: null,
  arbiter: null,
  settlementPeriodSeconds: 30 * 86_400,
  resolutionPeriodSeconds: 14 * 86_400,
  defaultOutcome: 'refund',
};

/**
 * Adds a node below `parentId`, or a root; `policy` states single fields, the others come from above. A `local` one may have
 * requests sent to private addresses.
 */
export async function createNode(
  sql: Sql,
  node: { name: string; parentId?: string; policy?: Partial<DealPolicy>; local?: boolean; returnOrigins?: string[] },
): Promise<{ id: string }> {
  const { name, parentId, policy, local = false, returnOrigins = [] } = node;
  return await sql.begin(async (tx) => {
    const id = uuidv7();
    const [parent] = parentId ? await tx<{ path: string[] }[]>`select path from node where id = ${parentId}` : [];
    if (parentId && !parent) throw new CoreError('not_found', 'The parent node does not exist.');
    const path = [...(parent?.path ?? []), id];
    const [created] = await tx<{ id: string }[]>`
      insert into node
        ${tx({ id, parentId: parentId ?? null, path, name, policy: tx.json(policy ?? {}), local, returnOrigins })}
      on conflict (parent_id, name) do nothing returning id`;
    if (created) return created;
    return await only(tx<{ id: string }[]>`
      select id from node where name = ${name} and parent_id is not distinct from ${parentId ?? null}::uuid`);
  });
}

/** Names a node, unless it is named, as its merchant's requests do: a solution code, and ids of currencies by ISO 4217 code. */
export async function nameMerchant(
  sql: Sql,
  nodeId: string,
  { solutionCode, currencies }: { solutionCode: string; currencies: Record<string, string> },
): Promise<void> {
  await sql`
    update node set solution_code = ${solutionCode}, currencies = ${sql.json(currencies)}
    where id = ${nodeId} and solution_code is null`;
}

/** Adds a chain by its EIP-155 id. */
export async function createChain(
  sql: Sql,
  { name, eip155Id }: { name: string; eip155Id: number },
): Promise<{ id: string }> {
  return await only(sql<{ id: string }[]>`
    insert into chain ${sql({ id: uuidv7(), eip155Id, name })}
    on conflict (eip155_id) do update set eip155_id = excluded.eip155_id returning id`);
}

/**
 * Adds a network: a chain with our diamond on it; `confirmations` blocks make a chain fact count. Its RPC URLs may be private:
 * whoever fills an installation knows its machines.
 */
export async function createNetwork(
  sql: Sql,
  network: {
    chainId: string;
    name: string;
    rpcUrls: string[];
    diamondAddress: string;
    operatorAddress: string;
    confirmations: number;
  },
): Promise<{ id: string }> {
  const diamondAddress = network.diamondAddress.toLowerCase();
  const operatorAddress = network.operatorAddress.toLowerCase();
  return await only(sql<{ id: string }[]>`
    insert into network ${sql({ ...network, id: uuidv7(), diamondAddress, operatorAddress, local: true })}
    on conflict (name) do update set rpc_urls = excluded.rpc_urls returning id`);
}

/** Adds a token of a network as a currency. */
export async function createCurrency(
  sql: Sql,
  currency: { networkId: string; code: string; name: string; decimals: number; tokenAddress: string },
): Promise<{ id: string }> {
  const tokenAddress = currency.tokenAddress.toLowerCase();
  return await only(sql<{ id: string }[]>`
    insert into currency ${sql({ ...currency, id: uuidv7(), tokenAddress })}
    on conflict (network_id, token_address) do update set name = excluded.name returning id`);
}

/** Adds fiat money as a currency, if it is not there yet; its minor unit has `decimals` in ISO 4217. */
export async function createFiat(
  sql: Sql,
  { code, decimals }: { code: string; decimals: number },
): Promise<{ id: string }> {
  return await only(sql<{ id: string }[]>`
    insert into currency ${sql({ id: uuidv7(), type: 'fiat', code, name: code, decimals })}
    on conflict (code) where type = 'fiat' do update set code = excluded.code returning id`);
}

/** Adds a payee wallet of a node. */
export async function createWallet(
  sql: Sql,
  wallet: { nodeId: string; networkId: string; address: string; label: string },
): Promise<{ id: string }> {
  const address = wallet.address.toLowerCase();
  return await only(sql<{ id: string }[]>`
    insert into wallet ${sql({ ...wallet, id: uuidv7(), address })}
    on conflict (node_id, network_id, address) do update set label = excluded.label returning id`);
}

/** Adds an integration with rights on `nodeId` and all below; the same name again gets a new secret. The secret is shown once. */
export async function createIntegration(
  sql: Sql,
  { nodeId, name }: { nodeId: string; name: string },
): Promise<{ id: string; clientId: string; clientSecret: string }> {
  const clientSecret = newSecret();
  const id = uuidv7();
  const row = { id, nodeId, name, clientId: `client_${id}`, secretHash: hashSecret(clientSecret) };
  const created = await only(sql<{ id: string; clientId: string }[]>`
    insert into integration ${sql(row)}
    on conflict (node_id, name) do update set secret_hash = excluded.secret_hash returning id, client_id`);
  return { ...created, clientSecret };
}

/** Whether money is real: an integration asks only for payments on networks of its own mode. */
export type Mode = 'test' | 'live';

/** An integration as it acts now. */
export type Integration = {
  id: string;
  nodeId: string;
  mode: Mode;
  /** Null: every scope. */
  scopes: string[] | null;
  /** Addresses and CIDR ranges that it may call from; none: any. */
  allowedIps: string[];
};

/** The enabled integration with these credentials. @throws unauthenticated when there is none. */
export async function authenticate(sql: Sql, clientId: string, clientSecret: string): Promise<Integration> {
  const [row] = await sql<(Integration & { secretHash: Buffer; previousSecretHash: Buffer | null })[]>`
    select id, node_id, mode, scopes, allowed_ips, secret_hash,
      case when previous_secret_until > now() then previous_secret_hash end as previous_secret_hash
    from integration where client_id = ${clientId} and disabled_at is null`;
  const hashes = row ? [row.secretHash, row.previousSecretHash ?? row.secretHash] : [];
  const matches = hashes.map((hash) => secretMatches(clientSecret, hash));
  if (!row || !matches.includes(true)) {
    throw new CoreError('unauthenticated', 'The client id or the client secret is wrong.');
  }
  const { secretHash: _secret, previousSecretHash: _previous, ...integration } = row;
  return integration;
}

/** Finds enabled integrations by id, those of concurrent requests by one statement; each throws unauthenticated when there is none. */
export function integrationFinder(sql: Sql): (id: string) => Promise<Integration> {
  const finder = new Together<string, Integration>(
    async (ids) => {
      const rows = await sql<Integration[]>`
        select id, node_id, mode, scopes, allowed_ips from integration
        where id = any(${[...new Set(ids)]}::uuid[]) and disabled_at is null`;
      const enabled = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => enabled.get(id) ?? new CoreError('unauthenticated', 'The integration is disabled.'));
    },
    { atOnce: 2 },
  );
  return (id) => finder.add(id);
}

/** Whether the integration's node is `nodeId` or one of its ancestors. */
export async function mayActOn(sql: Sql | Transaction, integration: Integration, nodeId: string): Promise<boolean> {
  const [row] = await sql`select 1 from node where id = ${nodeId} and ${integration.nodeId} = any(path)`;
  return row !== undefined;
}

/** @throws not_found when the node is not the integration's or below it. */
export async function authorizeNode(sql: Sql | Transaction, integration: Integration, nodeId: string): Promise<void> {
  if (!(await mayActOn(sql, integration, nodeId))) throw new CoreError('not_found', 'The node does not exist.');
}

/** Whoever runs the installation holds an integration of a root node with the scope. @throws forbidden */
export async function requireOperator(sql: Sql | Transaction, integration: Integration): Promise<void> {
  const [root] = await sql`select 1 from node where id = ${integration.nodeId} and parent_id is null`;
  if (!root) throw new CoreError('forbidden', 'Only an integration of a root node may do this.');
}

/** A node as its payments see it. */
export type NodeStanding = {
  id: string;
  /** From the root down to the node itself. */
  path: string[];
  /** Whether it, or a node above it, is archived. */
  archived: boolean;
  /** Whether requests for it may go to private addresses. */
  local: boolean;
  /** Where pages of ours and of providers may lead payers back to: its own and those of the nodes above it. */
  returnOrigins: string[];
  /** What it states itself, for the rest what the nearest node above states, for the rest the default. */
  policy: DealPolicy;
};

/** Those of the nodes that exist. */
export async function findNodes(sql: Sql | Transaction, ids: readonly string[]): Promise<NodeStanding[]> {
  const rows = await sql<(Omit<NodeStanding, 'policy'> & { policies: Partial<DealPolicy>[] })[]>`
    select n.id, n.path, bool_or(above.archived_at is not null) as archived, bool_or(above.local) as local,
      array(
        select distinct unnest(up.return_origins) from node up where up.id = any(n.path)
      ) as return_origins,
      json_agg(above.policy order by array_position(n.path, above.id)) as policies
    from node n join node above on above.id = any(n.path)
    where n.id = any(${distinct(ids)}::uuid[]) group by n.id`;
  return rows.map(({ policies, ...node }) => ({ ...node, policy: Object.assign({}, DEFAULT_POLICY, ...policies) }));
}

/** Those of the networks that exist; `keep` lets nobody change what must not change once used, until the transaction ends. */
export async function findNetworks(
  sql: Sql | Transaction,
  ids: readonly string[],
  { keep = false } = {},
): Promise<NetworkRow[]> {
  return await sql<NetworkRow[]>`
    select n.*, c.eip155_id from network n join chain c on c.id = n.chain_id
    where n.id = any(${distinct(ids)}::uuid[]) ${keep ? sql`for key share of n` : sql``}`;
}

/** Those of the currencies that exist; `keep` as for {@link findNetworks}. */
export async function findCurrencies(
  sql: Sql | Transaction,
  ids: readonly string[],
  { keep = false } = {},
): Promise<CurrencyRow[]> {
  return await sql<CurrencyRow[]>`
    select * from currency where id = any(${distinct(ids)}::uuid[]) ${keep ? sql`for key share` : sql``}`;
}

function distinct(ids: readonly string[]): string[] {
  return [...new Set(ids)];
}

/** One network. @throws not_found */
export async function findNetwork(sql: Sql | Transaction, id: string): Promise<NetworkRow> {
  const [row] = await findNetworks(sql, [id]);
  if (!row) throw new CoreError('not_found', 'The network does not exist.');
  return row;
}

/** Every network. */
export async function listNetworks(sql: Sql | Transaction): Promise<NetworkRow[]> {
  return await sql<NetworkRow[]>`select n.*, c.eip155_id from network n join chain c on c.id = n.chain_id`;
}

/** One currency. @throws not_found */
export async function findCurrency(sql: Sql | Transaction, id: string): Promise<CurrencyRow> {
  const [row] = await findCurrencies(sql, [id]);
  if (!row) throw new CoreError('not_found', 'The currency does not exist.');
  return row;
}

/** A node's payee wallet in use. */
export type WalletRow = { nodeId: string; networkId: string; id: string; address: Address };

/** Those of the wallets that exist and are not archived. */
export async function findWallets(sql: Sql | Transaction, ids: readonly string[]): Promise<WalletRow[]> {
  if (ids.length === 0) return [];
  return await sql<WalletRow[]>`
    select node_id, network_id, id, address from wallet
    where id = any(${distinct(ids)}::uuid[]) and archived_at is null`;
}

/** The one row of a statement that returns one. */
async function only<Row>(rows: Promise<Row[]>): Promise<Row> {
  const [row] = await rows;
  if (row === undefined) throw new Error('The statement returned no row.');
  return row;
}
