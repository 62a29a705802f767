/**
 * Deploys the diamond with its facets to any chain, with test tokens on request, and writes the address book that
 * everything else reads. It refuses Hardhat's well-known keys off chain 31337, and it never compiles.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type Address,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeDeployData,
  getAddress,
  type Hex,
  http,
  isAddress,
  toFunctionSelector,
} from 'viem';
import { mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';
import { usdcAbi } from '../contracts/abi.ts';
import { facetNames, readArtifact } from './artifacts.ts';

/** A token of a network. */
export interface TokenEntry {
  address: Address;
  symbol: string;
  decimals: number;
}

/** What the address book says of one chain. */
export interface NetworkEntry {
  chainId: number;
  diamond: Address;
  /** The block in which the diamond was created: nothing of it is to be found before. */
  startBlock: number;
  owner: Address;
  facets: Record<string, Address>;
  tokens: Record<string, TokenEntry>;
}

/** The address book: one entry a chain, keyed by chain id. */
export type AddressBook = Record<string, NetworkEntry>;

/** What `deploy` needs. */
export interface DeployOptions {
  rpcUrl: string;
  privateKey: Hex;
  addressBookPath: string;
  /** Also deploy the USDC-like and the USDT-like token and put them on the allow-list. */
  testTokens: boolean;
  /** Tokens that stand on the chain already and go on the allow-list. */
  allowedTokens?: readonly Address[];
  /** Owner of the diamond, the deployer when left out. */
  owner?: Address;
  /** May pause deposits, the owner when left out. */
  guardian?: Address;
  log?: (line: string) => void;
}

const HARDHAT_CHAIN_ID = 31337;
const HARDHAT_MNEMONIC = 'test test test test test test test test test test test junk';

/** Deploys and writes the address book. @throws Error when a well-known key is used off chain 31337, artifacts are missing, or the chain refuses */
export async function deploy(options: DeployOptions): Promise<NetworkEntry> {
  const log = options.log ?? (() => {});
  const account = privateKeyToAccount(options.privateKey);
  const transport = http(options.rpcUrl);
  const chainId = await createPublicClient({ transport }).getChainId();
  refuseWellKnownKey(account.address, chainId);
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [options.rpcUrl] } },
  });
  const reader = createPublicClient({ chain, transport, pollingInterval: 100 });
  const wallet = createWalletClient({ account, chain, transport });

  /** Sends a creation and waits for it. */
  async function create(name: string, args: readonly unknown[] = []) {
    const { abi, bytecode } = readArtifact(name);
    const hash = await wallet.sendTransaction({ data: encodeDeployData({ abi, bytecode, args }) });
    const receipt = await reader.waitForTransactionReceipt({ hash });
    if (receipt.status !== 'success' || !receipt.contractAddress)
      throw new Error(`deploying ${name} reverted: ${hash}`);
    log(`${name} ${getAddress(receipt.contractAddress)}`);
    return { address: getAddress(receipt.contractAddress), blockNumber: receipt.blockNumber };
  }

  const tokens: Record<string, TokenEntry> = {};
  const tokenAddresses = [...(options.allowedTokens ?? [])];
  if (options.testTokens) {
    for (const symbol of ['USDC', 'USDT']) tokenAddresses.push((await create(`Test${symbol}`)).address);
  }
  for (const address of tokenAddresses) {
    const symbol = await reader.readContract({ abi: usdcAbi, address, functionName: 'symbol' });
    const decimals = await reader.readContract({ abi: usdcAbi, address, functionName: 'decimals' });
    tokens[symbol] = { address, symbol, decimals };
  }

  const facets: Record<string, Address> = {};
  const cuts = [];
  for (const name of facetNames) {
    const { address } = await create(name);
    facets[name] = address;
    cuts.push({ facetAddress: address, action: 0, functionSelectors: selectorsOf(name) });
  }
  const owner = options.owner ?? account.address;
  const diamond = await create('Diamond', [owner, options.guardian ?? owner, cuts, tokenAddresses]);
  const entry: NetworkEntry = {
    chainId,
    diamond: diamond.address,
    startBlock: Number(diamond.blockNumber),
    owner,
    facets,
    tokens,
  };
  writeEntry(options.addressBookPath, entry);
  return entry;
}

/** The selectors of a contract's external functions. */
function selectorsOf(name: string): Hex[] {
  return readArtifact(name).abi.flatMap((item) => (item.type === 'function' ? [toFunctionSelector(item)] : []));
}

function refuseWellKnownKey(address: Address, chainId: number) {
  if (chainId === HARDHAT_CHAIN_ID) return;
  for (let addressIndex = 0; addressIndex < 20; addressIndex++) {
    if (mnemonicToAccount(HARDHAT_MNEMONIC, { addressIndex }).address === address) {
      throw new Error(
        `${address} is one of Hardhat's well-known keys, which everybody holds: refused on chain ${chainId} (only 31337)`,
      );
    }
  }
}

/** Puts the entry into the book, replacing the chain's old one, by a rename that readers never see half done. */
function writeEntry(path: string, entry: NetworkEntry) {
  let book: AddressBook = {};
  try {
    book = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  book[entry.chainId] = entry;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(book, null, 2)}\n`);
  renameSync(temporary, path);
}

const help = `Deploys the escrow diamond and writes the address book. The key comes from DEPLOYER_KEY.

  node scripts/deploy.ts --rpc-url URL --address-book FILE [options]

  --rpc-url URL         the chain's JSON-RPC endpoint
  --address-book FILE   JSON keyed by chain id, created or merged into
  --test-tokens         also deploy and allow test tokens (USDC, USDT)
  --allow ADDRESS       put this token on the allow-list; may be repeated
  --owner ADDRESS       owner of the diamond (default: the deployer)
  --guardian ADDRESS    may pause new deposits (default: the owner)
  --json                print the chain's entry as one JSON object and nothing else
  --help

Compile first: npx hardhat build --build-profile production --no-tests

  DEPLOYER_KEY=0x… node scripts/deploy.ts --rpc-url http://127.0.0.1:8545 --address-book .data/addresses.json --test-tokens
  DEPLOYER_KEY=0x… node scripts/deploy.ts --rpc-url https://… --address-book deployments.json --allow 0x… --owner 0x…`;

async function main() {
  const { values } = parseArgs({
    options: {
      'rpc-url': { type: 'string' },
      'address-book': { type: 'string' },
      'test-tokens': { type: 'boolean', default: false },
      allow: { type: 'string', multiple: true, default: [] },
      owner: { type: 'string' },
      guardian: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(help);
  const privateKey = process.env.DEPLOYER_KEY;
  if (!privateKey || !/^0x[0-9a-f]{64}$/i.test(privateKey)) {
    throw new Error('DEPLOYER_KEY must hold the private key that deploys: 0x and 64 hex digits');
  }
  const rpcUrl = values['rpc-url'];
  const addressBookPath = values['address-book'];
  if (!rpcUrl || !addressBookPath) throw new Error('--rpc-url and --address-book are needed, see --help');
  const entry = await deploy({
    rpcUrl,
    privateKey: privateKey as Hex,
    addressBookPath,
    testTokens: values['test-tokens'],
    allowedTokens: values.allow.map((text) => asAddress('--allow', text)),
    ...(values.owner !== undefined && { owner: asAddress('--owner', values.owner) }),
    ...(values.guardian !== undefined && { guardian: asAddress('--guardian', values.guardian) }),
    ...(!values.json && { log: console.log }),
  });
  if (values.json) console.log(JSON.stringify(entry));
}

function asAddress(flag: string, text: string): Address {
  if (!isAddress(text)) throw new Error(`${flag} ${text} is not an address`);
  return text;
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  });
}
