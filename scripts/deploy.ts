/**
 * Deploys the diamond with its facets to any chain, with test tokens on request, and writes the address book that
 * everything else reads, with a manifest beside it. Run again it goes on where it stopped, or verifies and does nothing.
 * It refuses Hardhat's well-known keys off chain 31337 and an owner without a timelock there, and it never compiles.
 */
import { Command } from 'commander';
import { type Address, getAddress, type Hex, http, isAddressEqual, keccak256, type Transport, zeroAddress } from 'viem';
import { mnemonicToAccount, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import { usdcAbi } from '../contracts/abi.ts';
import { functionsOf, readArtifact } from './artifacts.ts';
import { asAddress, asWholeNumber, fail, readKey } from './diamond/command.ts';
import { type Connection, connect, type Journal } from './diamond/connection.ts';
import {
  type Manifest,
  manifestPath,
  readJson,
  type Standing,
  type Timelock,
  type TokenEntry,
  writeJson,
} from './diamond/manifest.ts';
import { compiledFacets, requireDistinct } from './diamond/plan.ts';
import { differences } from './diamond/verify.ts';

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
  /** How the endpoint is reached, by HTTP when left out. */
  transport?: Transport;
}

/** What a deployment would do. */
export interface DeploymentPreview {
  chainId: number;
  /** The diamond, when there is nothing to do. */
  stands?: Address;
  creates: { contract: string; codeHash: Hex; bytes: number; selectors: number; stands?: Address }[];
  owner: string;
  timelock?: { delaySeconds: number; proposer: string };
  guardian: string;
}

const HARDHAT_CHAIN_ID = 31337;
const HARDHAT_MNEMONIC = 'test test test test test test test test test test test junk';
const CANONICAL_PERMIT2: Address = '0x000000000022D473030F116dDEE9F6B43aC78BA3';

/**
 * Deploys, verifies and writes address book and manifest; goes on with a deployment that died; does nothing when the
 * manifest's diamond stands as it says.
 * @throws Error when a key or an owner is not fit for the chain, artifacts are missing, the chain refuses, or what stands
 * there is not what the manifest or this run says
 */
export async function deploy(options: DeployOptions): Promise<NetworkEntry> {
  const account = privateKeyToAccount(options.privateKey);
  const connection = await connect(options.transport ?? http(options.rpcUrl), options.log);
  const { path, manifest } = recall(connection, options.addressBookPath);
  if (manifest.standing) {
    requireAsAsked(connection.chainId, manifest.standing, options);
    await requireAsManifest(connection, manifest.standing, path);
    options.log?.(`${manifest.standing.diamond.address} stands on chain ${connection.chainId} as its manifest says`);
  } else {
    requireFit(account, connection.chainId, options);
    const journal = { underWay: manifest.underWay, save: () => writeJson(path, manifest) };
    const standing = await create(connection, account, options, journal);
    await requireAsManifest(connection, standing, path);
    writeEntry(options.addressBookPath, entryOf(connection.chainId, standing));
    Object.assign(manifest, { standing, underWay: {} });
    writeJson(path, manifest);
  }
  const entry = entryOf(connection.chainId, manifest.standing!);
  writeEntry(options.addressBookPath, entry);
  return entry;
}

/** Deploys over any transport and writes nothing. @throws Error as `deploy` */
export async function deployDiamond(
  account: PrivateKeyAccount,
  transport: Transport,
  plan: DeploymentPlan,
): Promise<NetworkEntry> {
  const connection = await connect(transport, plan.log);
  requireFit(account, connection.chainId, plan);
  const standing = await create(connection, account, plan, { underWay: {}, save: () => {} });
  return entryOf(connection.chainId, standing);
}

/** What `deploy` would do with these options; sends and writes nothing. @throws Error as `deploy` */
export async function previewDeployment(
  options: Omit<DeployOptions, 'privateKey'> & { deployer?: Address },
): Promise<DeploymentPreview> {
  const connection = await connect(options.transport ?? http(options.rpcUrl));
  const { manifest } = recall(connection, options.addressBookPath);
  const { chainId } = connection;
  requireTimelock(chainId, options);
  const person = options.owner ?? options.deployer ?? 'the deployer';
  const delay = options.timelockDelaySeconds;
  const standsIn = chainId === HARDHAT_CHAIN_ID && !options.permit2 && !(await connection.codeAt(CANONICAL_PERMIT2));
  const contracts = [
    ...(options.testTokens ? ['TestUSDC', 'TestUSDT'] : []),
    ...(standsIn ? ['TestPermit2'] : []),
    ...compiledFacets().map(({ name }) => name),
    ...(delay === undefined ? [] : ['TimelockController']),
    'Diamond',
  ];
  requireDistinct(withDiamond());
  const creates = contracts.map((contract) => {
    const artifact = readArtifact(contract);
    const stands = manifest.underWay[contract]?.address;
    return {
      contract,
      codeHash: keccak256(artifact.deployedBytecode),
      bytes: (artifact.deployedBytecode.length - 2) / 2,
      selectors: Object.keys(functionsOf(artifact)).length,
      ...(stands && { stands }),
    };
  });
  return {
    chainId,
    ...(manifest.standing && { stands: manifest.standing.diamond.address }),
    creates: manifest.standing ? [] : creates,
    owner: delay === undefined ? person : 'the TimelockController',
    ...(delay !== undefined && { timelock: { delaySeconds: Number(delay), proposer: person } }),
    guardian: options.guardian ?? person,
  };
}

/** Creates whatever the journal does not hold yet, the diamond last. */
async function create(
  connection: Connection,
  account: PrivateKeyAccount,
  plan: DeploymentPlan,
  journal: Journal,
): Promise<Standing> {
  const { reader, codeAt, chainId } = connection;
  const make = (name: string, args: readonly unknown[] = []) => connection.create(account, journal, { name, args });
  const facets = compiledFacets();
  requireDistinct(withDiamond());

  const tokens: Record<string, TokenEntry> = {};
  const tokenAddresses = [...(plan.allowedTokens ?? [])];
  if (plan.testTokens) {
    for (const symbol of ['USDC', 'USDT']) tokenAddresses.push((await make(`Test${symbol}`)).address);
  }
  for (const address of tokenAddresses) {
    const symbol = await reader.readContract({ abi: usdcAbi, address, functionName: 'symbol' });
    const decimals = await reader.readContract({ abi: usdcAbi, address, functionName: 'decimals' });
    tokens[symbol] = { address, symbol, decimals };
  }

  let permit2 = plan.permit2 ?? CANONICAL_PERMIT2;
  if (!(await codeAt(permit2))) {
    if (plan.permit2) throw new Error(`there is no Permit2 at ${permit2} on chain ${chainId}`);
    if (chainId === HARDHAT_CHAIN_ID) permit2 = (await make('TestPermit2')).address;
    else {
      plan.log?.(`no Permit2 on chain ${chainId} yet: deposits by Permit2 revert until it is deployed at ${permit2}`);
    }
  }

  const standing: Record<string, Standing['diamond']> = {};
  const cuts = [];
  for (const { name, artifact } of facets) {
    const { address, codeHash } = await make(name);
    const selectors = functionsOf(artifact);
    standing[name] = { address, codeHash, selectors };
    cuts.push({ facetAddress: address, action: 0, functionSelectors: Object.values(selectors) });
  }
  const person = plan.owner ?? account.address;
  const guardian = plan.guardian ?? person;
  let timelock: Timelock | undefined;
  if (plan.timelockDelaySeconds !== undefined) {
    const { address, codeHash } = await make('TimelockController', [
      plan.timelockDelaySeconds,
      [person],
      [person],
      zeroAddress,
    ]);
    timelock = { address, codeHash, delaySeconds: Number(plan.timelockDelaySeconds), proposer: person };
  }
  const owner = timelock?.address ?? person;
  const diamond = await make('Diamond', [owner, guardian, permit2, cuts, tokenAddresses]);
  return {
    diamond: { address: diamond.address, codeHash: diamond.codeHash, selectors: functionsOf(readArtifact('Diamond')) },
    startBlock: diamond.startBlock,
    facets: standing,
    owner,
    guardian,
    permit2,
    ...(timelock && { timelock }),
    inits: [],
    tokens,
  };
}

function withDiamond() {
  return [{ name: 'Diamond', artifact: readArtifact('Diamond') }, ...compiledFacets()];
}

/** The manifest of this very chain, an empty one when there is none. */
function recall({ chainId, genesisHash }: Connection, addressBookPath: string): { path: string; manifest: Manifest } {
  const path = manifestPath(addressBookPath, chainId);
  const fresh: Manifest = { chainId, genesisHash, underWay: {} };
  const kept = readJson<Manifest>(path);
  if (kept?.genesisHash === genesisHash) return { path, manifest: kept };
  if (chainId !== HARDHAT_CHAIN_ID) {
    if (kept) throw new Error(`${path} is of another chain with the id ${chainId}: check --rpc-url, or move it away`);
    if (readJson<AddressBook>(addressBookPath)?.[chainId]) {
      throw new Error(
        `${addressBookPath} has a diamond on chain ${chainId}, but its manifest ${path} is missing: restore it, or take another --address-book`,
      );
    }
  }
  return { path, manifest: fresh };
}

function requireFit(account: PrivateKeyAccount, chainId: number, plan: DeploymentPlan) {
  if (chainId === HARDHAT_CHAIN_ID) return;
  for (let addressIndex = 0; addressIndex < 20; addressIndex++) {
    if (mnemonicToAccount(HARDHAT_MNEMONIC, { addressIndex }).address === account.address) {
      throw new Error(
        `${account.address} is one of Hardhat's well-known keys, which everybody holds: refused on chain ${chainId} (only 31337)`,
      );
    }
  }
  requireTimelock(chainId, plan);
}

/** Off the local chain a key alone owns a diamond only when it holds test tokens, which are nobody's money. */
function requireTimelock(chainId: number, { timelockDelaySeconds, testTokens }: DeploymentPlan) {
  if (chainId === HARDHAT_CHAIN_ID || testTokens || (timelockDelaySeconds ?? 0n) > 0n) return;
  throw new Error(
    `on chain ${chainId} the owner has to be a timelock: give --timelock-delay SECONDS (172800 is two days)`,
  );
}

/** A second run must not ask for something else: settings are the owner's to change. */
function requireAsAsked(chainId: number, standing: Standing, plan: DeploymentPlan) {
  const refuse = (what: string, has: unknown, asked: unknown) => {
    throw new Error(
      `chain ${chainId} has its diamond ${standing.diamond.address} already, with ${what} ${has}, not ${asked}: ` +
        'the owner can change what can be changed; another diamond needs another --address-book',
    );
  };
  const { owner, guardian, permit2, timelock, tokens } = standing;
  const person = timelock?.proposer ?? owner;
  if (plan.owner && !isAddressEqual(plan.owner, person)) refuse('owner', person, plan.owner);
  if (plan.guardian && !isAddressEqual(plan.guardian, guardian)) refuse('guardian', guardian, plan.guardian);
  if (plan.permit2 && !isAddressEqual(plan.permit2, permit2)) refuse('Permit2', permit2, plan.permit2);
  const delay = plan.timelockDelaySeconds;
  if (delay !== undefined && Number(delay) !== timelock?.delaySeconds) {
    refuse('a delay in seconds of', timelock?.delaySeconds ?? 'none', delay);
  }
  const known = Object.values(tokens).map(({ address }) => getAddress(address));
  for (const token of plan.allowedTokens ?? []) {
    if (!known.includes(getAddress(token))) refuse('the tokens', known.join(', ') || 'none', token);
  }
}

async function requireAsManifest(connection: Connection, standing: Standing, path: string) {
  const found = await differences(connection, standing);
  if (found.length === 0) return;
  const lines = found.map(({ text }) => `  ${text}`).join('\n');
  throw new Error(`the diamond is not as ${path} says:\n${lines}`);
}

/** The address book's entry of a diamond. */
export function entryOf(chainId: number, standing: Standing): NetworkEntry {
  const { diamond, startBlock, owner, permit2, timelock, facets, tokens } = standing;
  return {
    chainId,
    diamond: diamond.address,
    startBlock,
    owner,
    permit2,
    ...(timelock && { timelock: timelock.address }),
    facets: Object.fromEntries(Object.entries(facets).map(([name, { address }]) => [name, address])),
    tokens,
  };
}

/** Puts the entry into the book, replacing the chain's old one. */
export function writeEntry(path: string, entry: NetworkEntry): void {
  writeJson(path, { ...readJson<AddressBook>(path), [entry.chainId]: entry });
}

const examples = `
The key comes from DEPLOYER_KEY. Beside the address book lies a manifest, FILE.CHAINID.json: facets, selectors, code hashes,
timelock. Run again the command goes on where it died, or verifies the diamond against its manifest and does nothing.
Off chain 31337 the owner is a timelock unless the diamond has test tokens. Compile first: npx hardhat build --no-tests

Examples:
  DEPLOYER_KEY=0x… npm run deploy -- --rpc-url http://127.0.0.1:8545 --address-book .data/addresses.json --test-tokens
  npm run deploy -- --plan --rpc-url https://… --address-book deployments.json --owner 0x… --timelock-delay 172800
  DEPLOYER_KEY=0x… npm run deploy -- --rpc-url https://… --address-book deployments.json \\
    --allow 0x… --owner 0x… --guardian 0x… --timelock-delay 172800`;

interface Flags {
  rpcUrl: string;
  addressBook: string;
  testTokens: boolean;
  allow: Address[];
  owner?: Address;
  guardian?: Address;
  permit2?: Address;
  timelockDelay?: number;
  plan: boolean;
  json: boolean;
}

async function run(flags: Flags): Promise<void> {
  const options = {
    rpcUrl: flags.rpcUrl,
    addressBookPath: flags.addressBook,
    testTokens: flags.testTokens,
    allowedTokens: flags.allow,
    ...(flags.owner && { owner: flags.owner }),
    ...(flags.guardian && { guardian: flags.guardian }),
    ...(flags.permit2 && { permit2: flags.permit2 }),
    ...(flags.timelockDelay !== undefined && { timelockDelaySeconds: BigInt(flags.timelockDelay) }),
  };
  if (!flags.plan) {
    const log = flags.json ? {} : { log: console.log };
    const entry = await deploy({ ...options, privateKey: readKey(process.env), ...log });
    if (flags.json) console.log(JSON.stringify(entry));
    return;
  }
  const preview = await previewDeployment(options);
  if (flags.json) return console.log(JSON.stringify(preview));
  if (preview.stands) return console.log(`Nothing to do: diamond ${preview.stands} on chain ${preview.chainId}.`);
  console.log(`Chain ${preview.chainId} would get`);
  for (const { contract, bytes, codeHash, selectors, stands } of preview.creates) {
    const where = stands ? `, begun by an earlier run at ${stands}` : '';
    console.log(`  ${contract.padEnd(18)} ${bytes} bytes, ${selectors} functions, code hash ${codeHash}${where}`);
  }
  console.log(`owned by ${preview.owner}, guarded by ${preview.guardian}`);
  if (preview.timelock) {
    console.log(`timelock: ${preview.timelock.delaySeconds} s, proposer and executor ${preview.timelock.proposer}`);
  }
}

if (import.meta.main) {
  await new Command()
    .name('npm run deploy --')
    .description('Deploys the escrow diamond, verifies it, and writes the address book and a manifest.')
    .requiredOption('--rpc-url <url>', "the chain's JSON-RPC endpoint")
    .requiredOption('--address-book <file>', 'JSON keyed by chain id, created or merged into')
    .option('--test-tokens', 'also deploy and allow test tokens (USDC, USDT)', false)
    .option(
      '--allow <address>',
      'put this token on the allow-list; may be repeated',
      (text, list: Address[]) => [...list, asAddress(text)],
      [],
    )
    .option(
      '--owner <address>',
      'owner of the diamond, or who proposes to its timelock (default: the deployer)',
      asAddress,
    )
    .option('--guardian <address>', 'may pause new deposits (default: the owner)', asAddress)
    .option(
      '--permit2 <address>',
      "Uniswap's Permit2 (default: its canonical address; a stand-in on chain 31337)",
      asAddress,
    )
    .option(
      '--timelock-delay <seconds>',
      'put an OpenZeppelin TimelockController with this delay between owner and diamond',
      asWholeNumber,
    )
    .option('--plan', 'say what would be created, and send nothing; needs no key', false)
    .option('--json', "print the chain's entry (or the plan) as one JSON object and nothing else", false)
    .addHelpText('after', examples)
    .action(run)
    .parseAsync()
    .catch(fail);
}
