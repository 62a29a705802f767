/**
 * Deploys the diamond with its facets to any chain, with test tokens on request, and writes the address book that
 * everything else reads. It refuses Hardhat's well-known keys off chain 31337, and it never compiles.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type Address,
  BaseError,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeDeployData,
  getAddress,
  type Hex,
  http,
  isAddress,
  type Transport,
  toFunctionSelector,
  zeroAddress,
} from 'viem';
import { mnemonicToAccount, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
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
  /** Uniswap's Permit2, or its stand-in on a local chain. */
  permit2: Address;
  /** The controller that owns the diamond, when one was deployed with it. */
  timelock?: Address;
  facets: Record<string, Address>;
  tokens: Record<string, TokenEntry>;
}

/** The address book: one entry a chain, keyed by chain id. */
export type AddressBook = Record<string, NetworkEntry>;

/** What is deployed. */
export interface DeploymentPlan {
  /** Also deploy the USDC-like and the USDT-like token and put them on the allow-list. */
  testTokens: boolean;
  /** Tokens that stand on the chain already and go on the allow-list. */
  allowedTokens?: readonly Address[];
  /** Owner of the diamond, the deployer when left out. With a timelock: who may propose to it. */
  owner?: Address;
  /** May pause deposits, the owner when left out. */
  guardian?: Address;
  /** Uniswap's Permit2; when left out the canonical one, on chain 31337 a stand-in where that has no code. */
  permit2?: Address;
  /** Puts an OpenZeppelin TimelockController with this delay between owner and diamond. */
  timelockDelaySeconds?: bigint;
  log?: (line: string) => void;
}

/** What `deploy` needs. */
export interface DeployOptions extends DeploymentPlan {
  rpcUrl: string;
  privateKey: Hex;
  addressBookPath: string;
}

const HARDHAT_CHAIN_ID = 31337;
const HARDHAT_MNEMONIC = 'test test test test test test test test test test test junk';
const CANONICAL_PERMIT2: Address = '0x000000000022D473030F116dDEE9F6B43aC78BA3';

/** Deploys and writes the address book. @throws Error when a well-known key is used off chain 31337, artifacts are missing, or the chain refuses */
export async function deploy(options: DeployOptions): Promise<NetworkEntry> {
  const account = privateKeyToAccount(options.privateKey);
  const entry = await deployDiamond(account, http(options.rpcUrl), options);
  writeEntry(options.addressBookPath, entry);
  return entry;
}

/** Deploys over any transport and writes nothing. @throws Error as `deploy` */
export async function deployDiamond(
  account: PrivateKeyAccount,
  transport: Transport,
  plan: DeploymentPlan,
): Promise<NetworkEntry> {
  const log = plan.log ?? (() => {});
  const chainId = await createPublicClient({ transport }).getChainId();
  refuseWellKnownKey(account.address, chainId);
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [] } },
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
    const address = getAddress(receipt.contractAddress);
    log(`${name} ${address}`);
    return { address, blockNumber: receipt.blockNumber };
  }

  const tokens: Record<string, TokenEntry> = {};
  const tokenAddresses = [...(plan.allowedTokens ?? [])];
  if (plan.testTokens) {
    for (const symbol of ['USDC', 'USDT']) tokenAddresses.push((await create(`Test${symbol}`)).address);
  }
  for (const address of tokenAddresses) {
    const symbol = await reader.readContract({ abi: usdcAbi, address, functionName: 'symbol' });
    const decimals = await reader.readContract({ abi: usdcAbi, address, functionName: 'decimals' });
    tokens[symbol] = { address, symbol, decimals };
  }

  let permit2 = plan.permit2 ?? CANONICAL_PERMIT2;
  if (!(await reader.getCode({ address: permit2 }))) {
    if (plan.permit2) throw new Error(`there is no Permit2 at ${permit2} on chain ${chainId}`);
    if (chainId === HARDHAT_CHAIN_ID) permit2 = (await create('TestPermit2')).address;
    else log(`no Permit2 on chain ${chainId} yet: deposits by Permit2 revert until it is deployed at ${permit2}`);
  }

  const facets: Record<string, Address> = {};
  const cuts = [];
  for (const name of facetNames) {
    const { address } = await create(name);
    facets[name] = address;
    cuts.push({ facetAddress: address, action: 0, functionSelectors: selectorsOf(name) });
  }
  const person = plan.owner ?? account.address;
  const timelock =
    plan.timelockDelaySeconds === undefined
      ? undefined
      : (await create('TimelockController', [plan.timelockDelaySeconds, [person], [person], zeroAddress])).address;
  const owner = timelock ?? person;
  const diamond = await create('Diamond', [owner, plan.guardian ?? person, permit2, cuts, tokenAddresses]);
  return {
    chainId,
    diamond: diamond.address,
    startBlock: Number(diamond.blockNumber),
    owner,
    permit2,
    ...(timelock && { timelock }),
    facets,
    tokens,
  };
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
  --permit2 ADDRESS     Uniswap's Permit2 (default: its canonical address; a stand-in on chain 31337)
  --timelock-delay SEC  put an OpenZeppelin TimelockController with this delay between owner and diamond
  --json                print the chain's entry as one JSON object and nothing else
  --help

Compile first: npx hardhat build --no-tests

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
      permit2: { type: 'string' },
      'timelock-delay': { type: 'string' },
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
  const delay = values['timelock-delay'];
  if (delay !== undefined && !/^\d+$/.test(delay))
    throw new Error(`--timelock-delay ${delay} is not a number of seconds`);
  const entry = await deploy({
    rpcUrl,
    privateKey: privateKey as Hex,
    addressBookPath,
    testTokens: values['test-tokens'],
    allowedTokens: values.allow.map((text) => asAddress('--allow', text)),
    ...(values.owner !== undefined && { owner: asAddress('--owner', values.owner) }),
    ...(values.guardian !== undefined && { guardian: asAddress('--guardian', values.guardian) }),
    ...(values.permit2 !== undefined && { permit2: asAddress('--permit2', values.permit2) }),
    ...(delay !== undefined && { timelockDelaySeconds: BigInt(delay) }),
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
    if (error instanceof BaseError) console.error(`${error.shortMessage} ${error.details}`.trim());
    else console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  });
}
