/**
 * What a fresh database needs before the first payment: chain, network, currencies, a node with its deal policy, a payee
 * wallet and an integration. Running it again with the same names re-uses what stands there.
 */
import type { Address } from 'viem';
import type { Sql } from '../../api/core/database/db.ts';
import {
  authenticate,
  createChain,
  createCurrency,
  createFiat,
  createIntegration,
  createNetwork,
  createNode,
  createWallet,
  nameMerchant,
} from '../../api/core/platform/platform.ts';
import type { NetworkEntry } from '../deploy.ts';

/** By which requests of the orders surface name the node. */
export const SOLUTION_CODE = 'MPDEAL-KEEP';

/** What a node's terms leave open. */
export type SeedPolicy = {
  feeBps: number;
  /** Decimal text, in the currency. */
  feeFixed: string;
  feeRecipient: Address | null;
  arbiter: Address | null;
  settlementPeriodSeconds: number;
  resolutionPeriodSeconds: number;
  defaultOutcome: 'refund' | 'release';
};

export type SeedOptions = {
  entry: NetworkEntry;
  rpcUrls: string[];
  operator: Address;
  payee: Address;
  policy: SeedPolicy;
  nodeName: string;
  /** Where providers' pages may lead payers back to. */
  returnOrigins?: string[];
  networkName: string;
  /** Blocks that make a chain fact count. */
  confirmations: number;
  /** Of an earlier seed of this database: kept when they still open it. */
  credentials?: Credentials;
};

/** What an integration signs in with. */
export type Credentials = { clientId: string; clientSecret: string };

/** Ids of what was seeded, and the integration's credentials, whose secret is shown here only. */
export type Seed = Credentials & {
  chainId: string;
  networkId: string;
  /** By the token's symbol. */
  currencies: Record<string, string>;
  nodeId: string;
  walletId: string;
};

/** Writes the seed, or finds it by its names. */
export async function seed(sql: Sql, options: SeedOptions): Promise<Seed> {
  const { entry, returnOrigins = [] } = options;
  const chain = await createChain(sql, { name: `Chain ${entry.chainId}`, eip155Id: entry.chainId });
  const network = await createNetwork(sql, {
    chainId: chain.id,
    name: options.networkName,
    rpcUrls: options.rpcUrls,
    diamondAddress: entry.diamond,
    operatorAddress: options.operator,
    confirmations: options.confirmations,
  });
  const currencies: Record<string, string> = {};
  for (const { symbol, decimals, address } of Object.values(entry.tokens)) {
    const name = `${symbol} on chain ${entry.chainId}`;
    const currency = await createCurrency(sql, {
      networkId: network.id,
      code: symbol,
      name,
      decimals,
      tokenAddress: address,
    });
    currencies[symbol] = currency.id;
  }
  const euro = await createFiat(sql, { code: 'EUR', decimals: 2 });
  currencies.EUR = euro.id;
  const node = await createNode(sql, { name: options.nodeName, policy: options.policy, local: true, returnOrigins });
  const dollar = currencies.USDC === undefined ? {} : { USD: currencies.USDC };
  await nameMerchant(sql, node.id, { solutionCode: SOLUTION_CODE, currencies: { ...dollar, EUR: euro.id } });
  const wallet = await createWallet(sql, {
    nodeId: node.id,
    networkId: network.id,
    address: options.payee,
    label: 'Payouts',
  });
  const { clientId, clientSecret } =
    (await stillValid(sql, options.credentials)) ??
    (await createIntegration(sql, { nodeId: node.id, name: `${options.nodeName} shop` }));
  return {
    chainId: chain.id,
    networkId: network.id,
    currencies,
    nodeId: node.id,
    walletId: wallet.id,
    clientId,
    clientSecret,
  };
}

async function stillValid(sql: Sql, credentials: Credentials | undefined): Promise<Credentials | undefined> {
  if (credentials === undefined) return undefined;
  return await authenticate(sql, credentials.clientId, credentials.clientSecret).then(
    () => credentials,
    () => undefined,
  );
}
