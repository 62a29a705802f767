/**
 * The chain and the database of a stack: its own, made afresh at every start, or those that --rpc-url and --database-url
 * lead to, which are used as they stand and kept.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import postgres from 'postgres';
import {
  type Address,
  createPublicClient,
  createTestClient,
  createWalletClient,
  type Hex,
  http,
  isHex,
  publicActions,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';
import { usdcAbi } from '../../contracts/abi.ts';
import { type AddressBook, deploy, type NetworkEntry } from '../deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from './accounts.ts';
import { HARDHAT_CHAIN_ID } from './hardhat.ts';
import { describe, Problem } from './problem.ts';
import type { Progress } from './progress.ts';
import type { Credentials } from './seed.ts';

/** Who plays which role in a stack, and the keys that it signs with. */
export type Cast = {
  deployerKey: Hex;
  operatorKey: Hex;
  operator: Address;
  payee: Address;
  feeRecipient: Address;
  arbiter: Address | null;
  /** Null: somebody else's. */
  arbiterKey: Hex | null;
  buyers: { address: Address; privateKey: Hex }[];
};

// Without it a chain on which nobody pays stands still, and no deadline ever passes.
const BLOCK_INTERVAL_SECONDS = 5;
const BUYER_UNITS = 1_000_000_000_000n;
const WELL_KNOWN_ACCOUNTS = 20;

/** The chain id behind `rpcUrl`. @throws Problem when nothing answers there */
export async function readChainId(rpcUrl: string): Promise<number> {
  try {
    return await createPublicClient({ transport: http(rpcUrl, { retryCount: 1, timeout: 5_000 }) }).getChainId();
  } catch {
    throw new Problem(`No chain answers at ${rpcUrl}: check --rpc-url, or leave it out for a local chain.`);
  }
}

/** Hardhat's accounts on its own chain; elsewhere the keys in DEPLOYER_KEY and OPERATOR_KEY. @throws Problem without them */
export function castFor(chainId: number, env: NodeJS.ProcessEnv): Cast {
  if (chainId === HARDHAT_CHAIN_ID) {
    return {
      deployerKey: hardhatKey(ROLES.deployer),
      operatorKey: hardhatKey(ROLES.operator),
      operator: hardhatAccount(ROLES.operator).address,
      payee: hardhatAccount(ROLES.payee).address,
      feeRecipient: hardhatAccount(ROLES.feeRecipient).address,
      arbiter: hardhatAccount(ROLES.arbiter).address,
      arbiterKey: hardhatKey(ROLES.arbiter),
      buyers: [ROLES.buyer, ROLES.secondBuyer].map((index) => ({
        address: hardhatAccount(index).address,
        privateKey: hardhatKey(index),
      })),
    };
  }
  const wellKnown = Array.from({ length: WELL_KNOWN_ACCOUNTS }, (_, index) => hardhatAccount(index).address);
  const keyOf = (name: string): Hex => {
    const key = env[name];
    if (!isHex(key) || key.length !== 66) {
      throw new Problem(
        `Chain ${chainId} is not a local one: set ${name} to a private key (0x and 64 hex digits) of your own.`,
      );
    }
    if (wellKnown.includes(privateKeyToAccount(key).address)) {
      throw new Problem(
        `${name} is one of Hardhat's well-known keys, which everybody holds: refused on chain ${chainId}.`,
      );
    }
    return key;
  };
  const [deployerKey, operatorKey] = [keyOf('DEPLOYER_KEY'), keyOf('OPERATOR_KEY')];
  const deployer = privateKeyToAccount(deployerKey).address;
  const operator = privateKeyToAccount(operatorKey).address;
  if (deployer === operator)
    throw new Problem('DEPLOYER_KEY and OPERATOR_KEY must differ: the deployer is the payee of this stack.');
  const roles = { operator, payee: deployer, feeRecipient: deployer, arbiter: null };
  return { deployerKey, operatorKey, ...roles, arbiterKey: null, buyers: [] };
}

/** The diamond in the address book when it stands on the chain, else a new one with test tokens. */
export async function findOrDeploy(
  {
    rpcUrl,
    chainId,
    addressBookPath,
    deployerKey,
  }: { rpcUrl: string; chainId: number; addressBookPath: string; deployerKey: Hex },
  progress: Progress,
): Promise<NetworkEntry> {
  const book: AddressBook = existsSync(addressBookPath) ? JSON.parse(readFileSync(addressBookPath, 'utf8')) : {};
  const known = book[chainId];
  if (known !== undefined) {
    const code = await createPublicClient({ transport: http(rpcUrl) }).getCode({ address: known.diamond });
    if (code !== undefined) {
      progress.step(`Diamond ${known.diamond} stands on chain ${chainId} already`);
      return known;
    }
  }
  const entry = await deploy({ rpcUrl, privateKey: deployerKey, addressBookPath, testTokens: true });
  const tokens = Object.values(entry.tokens).map(({ symbol, address }) => `${symbol} ${address}`);
  progress.step(`Diamond ${entry.diamond} deployed, test tokens ${tokens.join(', ')}`);
  return entry;
}

/** Gives buyers who have none a million of each test token, which anyone may mint. */
export async function fundBuyers(rpcUrl: string, entry: NetworkEntry, cast: Cast): Promise<void> {
  const account = privateKeyToAccount(cast.deployerKey);
  const wallet = createWalletClient({ account, chain: hardhat, transport: http(rpcUrl) }).extend(publicActions);
  for (const { address: token } of Object.values(entry.tokens)) {
    for (const { address } of cast.buyers) {
      const erc20 = { address: token, abi: usdcAbi } as const;
      const balance = await wallet.readContract({ ...erc20, functionName: 'balanceOf', args: [address] });
      if (balance > 0n) continue;
      await wallet.writeContract({ ...erc20, functionName: 'mint', args: [address, BUYER_UNITS] });
    }
  }
}

/** Lets a block come every few seconds on a Hardhat node, beside one for each transaction. */
export async function keepBlocksComing(rpcUrl: string): Promise<void> {
  const chain = createTestClient({ chain: hardhat, mode: 'hardhat', transport: http(rpcUrl) });
  await chain.setIntervalMining({ interval: BLOCK_INTERVAL_SECONDS });
}

/** @throws Problem when nothing answers at `databaseUrl`, or when a new local chain meets payments of an older one there */
export async function requireDatabase(databaseUrl: string, { withNewChain }: { withNewChain: boolean }): Promise<void> {
  const sql = postgres(databaseUrl, { max: 1, connect_timeout: 5, onnotice: () => {} });
  try {
    const [row] = await sql<{ known: string | null }[]>`select to_regclass('network')::text as known`;
    const networks = row?.known ? await sql`select 1 from network limit 1` : [];
    if (withNewChain && networks.length > 0) {
      throw new Problem(
        'The database holds payments on a chain that this start would not know: give that chain with --rpc-url, or an empty database.',
      );
    }
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(`The database does not answer (${describe(error)}): check --database-url, or leave it out.`);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** What a data folder remembers for a database that is kept. */
export type Keepsake = { masterSecret: string; credentials?: Credentials };

function keepsakePath(dataDir: string): string {
  return join(dataDir, 'secrets.json');
}

/** The secrets of the database that is kept; new ones for a fresh one. DEALKEEP_SECRET wins. */
export function recallSecrets(dataDir: string, { fresh, env }: { fresh: boolean; env: NodeJS.ProcessEnv }): Keepsake {
  const path = keepsakePath(dataDir);
  const kept: Keepsake | undefined = !fresh && existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
  const masterSecret = env.DEALKEEP_SECRET ?? kept?.masterSecret ?? randomBytes(32).toString('hex');
  return { ...kept, masterSecret };
}

/** Remembers the secrets for the next start, readable by the owner alone. */
export async function keepSecrets(dataDir: string, keepsake: Keepsake): Promise<void> {
  const path = keepsakePath(dataDir);
  await rm(path, { force: true });
  await writeFile(path, `${JSON.stringify(keepsake, null, 2)}\n`, { mode: 0o600 });
}
