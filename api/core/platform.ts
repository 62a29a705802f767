// Owns who may ask for money and where it can be paid: nodes with their deal policies, chains, networks, currencies,
// wallets and integrations. Everything created here keeps its id; creating the same name again answers with what exists.
import { v7 as uuidv7 } from 'uuid';
import type { Address } from 'viem';
import { hashSecret, newSecret, secretMatches } from './auth.ts';
import type { Sql, Transaction } from './db.ts';
import { CoreError } from './errors.ts';
import type { CurrencyRow, DealPolicy, NetworkRow } from './schema.ts';

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

/** Adds a node below `parentId`, or a root; `policy` overrides single fields of {@link DEFAULT_POLICY}. */
export async function createNode(
  sql: Sql,
  { name, parentId, policy }: { name: string; parentId?: string; policy?: Partial<DealPolicy> },
): Promise<{ id: string }> {
  return await sql.begin(async (tx) => {
    const id = uuidv7();
    const [parent] = parentId ? await tx<{ path: string[] }[]>`select path from node where id = ${parentId}` : [];
    if (parentId && !parent) throw new CoreError('not_found', 'The parent node does not exist.');
    const path = [...(parent?.path ?? []), id];
    const [created] = await tx<{ id: string }[]>`
      insert into node ${tx({ id, parentId: parentId ?? null, path, name })}
      on conflict (name) do nothing returning id`;
    if (!created) return await only(tx<{ id: string }[]>`select id from node where name = ${name}`);
    if (policy || !parent) {
      await tx`insert into deal_policy ${tx({ nodeId: id, ...DEFAULT_POLICY, ...policy })}`;
    }
    return created;
  });
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

/** Adds a network: a chain with our diamond on it; `confirmations` blocks make a chain fact count. */
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
    insert into network ${sql({ ...network, id: uuidv7(), diamondAddress, operatorAddress })}
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

/** An integration as its token names it. */
export type Integration = { id: string; nodeId: string };

/** The enabled integration with these credentials. @throws unauthenticated when there is none. */
export async function authenticate(sql: Sql, clientId: string, clientSecret: string): Promise<Integration> {
  const [row] = await sql<{ id: string; nodeId: string; secretHash: Buffer }[]>`
    select id, node_id, secret_hash from integration where client_id = ${clientId} and disabled_at is null`;
  if (!row || !secretMatches(clientSecret, row.secretHash)) {
    throw new CoreError('unauthenticated', 'The client id or the client secret is wrong.');
  }
  return { id: row.id, nodeId: row.nodeId };
}

/** The enabled integration with this id. @throws unauthenticated when it is gone or disabled. */
export async function findIntegration(sql: Sql, id: string): Promise<Integration> {
  const [row] = await sql<Integration[]>`
    select id, node_id from integration where id = ${id} and disabled_at is null`;
  if (!row) throw new CoreError('unauthenticated', 'The integration is disabled.');
  return row;
}

/** Whether the integration's node is `nodeId` or one of its ancestors. */
export async function mayActOn(sql: Sql | Transaction, integration: Integration, nodeId: string): Promise<boolean> {
  const [row] = await sql`select 1 from node where id = ${nodeId} and ${integration.nodeId} = any(path)`;
  return row !== undefined;
}

/** The nearest policy from the node up. */
export async function policyOf(sql: Sql | Transaction, nodeId: string): Promise<DealPolicy> {
  const [row] = await sql<DealPolicy[]>`
    select p.* from node n join deal_policy p on p.node_id = any(n.path)
    where n.id = ${nodeId} order by array_position(n.path, p.node_id) desc limit 1`;
  return row ?? DEFAULT_POLICY;
}

/** One network. @throws not_found */
export async function findNetwork(sql: Sql | Transaction, id: string): Promise<NetworkRow> {
  const [row] = await sql<NetworkRow[]>`
    select n.*, c.eip155_id from network n join chain c on c.id = n.chain_id where n.id = ${id}`;
  if (!row) throw new CoreError('not_found', 'The network does not exist.');
  return row;
}

/** Every network. */
export async function listNetworks(sql: Sql): Promise<NetworkRow[]> {
  return await sql<NetworkRow[]>`select n.*, c.eip155_id from network n join chain c on c.id = n.chain_id`;
}

/** One currency. @throws not_found */
export async function findCurrency(sql: Sql | Transaction, id: string): Promise<CurrencyRow> {
  const [row] = await sql<CurrencyRow[]>`select * from currency where id = ${id}`;
  if (!row) throw new CoreError('not_found', 'The currency does not exist.');
  return row;
}

/** The address of a node's payee wallet, if it has it on that network. */
export async function walletAddress(
  sql: Sql | Transaction,
  { nodeId, networkId, id }: { nodeId: string; networkId: string; id: string },
): Promise<Address | undefined> {
  const [row] = await sql<{ address: Address }[]>`
    select address from wallet where node_id = ${nodeId} and network_id = ${networkId} and id = ${id}`;
  return row?.address;
}

async function only<Row>(rows: Promise<Row[]>): Promise<Row> {
  const [row] = await rows;
  if (row === undefined) throw new Error('The statement returned no row.');
  return row;
}
