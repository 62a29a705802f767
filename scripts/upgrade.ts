/**
 * Brings the facets of a deployed diamond to what is compiled here: plan, create, hand the cut to the owner (through its
 * timelock: schedule, wait, execute), verify. Every step may be repeated and each process may die between any two. It
 * refuses to touch a diamond that is not as its manifest says, and it never compiles.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import {
  type Address,
  BaseError,
  encodeFunctionData,
  type Hex,
  http,
  isAddressEqual,
  keccak256,
  type Transport,
  zeroAddress,
} from 'viem';
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import { escrowAbi } from '../contracts/abi.ts';
import { functionsOf, logicHash, readArtifact } from './artifacts.ts';
import { type AddressBook, entryOf, writeEntry } from './deploy.ts';
import { asAddress, asHex, fail, readKey } from './diamond/command.ts';
import { type Connection, connect } from './diamond/connection.ts';
import {
  type Deployed,
  type Init,
  type Manifest,
  manifestPath,
  type Pending,
  readJson,
  type Standing,
  writeJson,
} from './diamond/manifest.ts';
import {
  type CompiledFacet,
  compiledFacets,
  cutsOf,
  isEmpty,
  linesOf,
  type Plan,
  planCut,
  readFacets,
} from './diamond/plan.ts';
import { hasRole, type Operation, operationOf } from './diamond/timelock.ts';
import { CUT, differences } from './diamond/verify.ts';

/** What `upgrade` needs. */
export interface UpgradeOptions {
  rpcUrl: string;
  /** How the endpoint is reached, by HTTP when left out. */
  transport?: Transport;
  addressBookPath: string;
  /** Creates facets and, where it may, schedules and executes. */
  privateKey: Hex;
  /** The facets that shall be; those of this source tree when left out. */
  facets?: readonly CompiledFacet[];
  /** Delegated to by the cut, once. */
  init?: Init;
  /** Stay until the timelock's delay is over and execute. */
  wait?: boolean;
  log?: (line: string) => void;
}

/** How far an upgrade has come. */
export interface UpgradeResult {
  /**
   * unchanged: nothing to do. scheduled: waits in the timelock until `readyAt`. executed: done and verified.
   * needs-owner: `call` has to be sent by somebody who may, then the command run again.
   */
  status: 'unchanged' | 'scheduled' | 'executed' | 'needs-owner';
  plan: Plan;
  operationId?: Hex;
  /** Unix seconds. */
  readyAt?: number;
  call?: { to: Address; data: Hex };
}

/** A diamond with its records, found on the chain as they say. */
interface Ground {
  connection: Connection;
  path: string;
  manifest: Manifest;
  standing: Standing;
}

const POLL_MS = 5_000;

/**
 * Goes as far as it can now.
 * @throws Error when records and chain disagree, when the cut is not possible or would revert, when another upgrade is
 * scheduled, or when a transaction fails
 */
export async function upgrade(options: UpgradeOptions): Promise<UpgradeResult> {
  const { addressBookPath, init, log = () => {} } = options;
  const account = privateKeyToAccount(options.privateKey);
  const ground = await stand(options);
  const { connection, path, manifest, standing } = ground;
  const facets = options.facets ?? compiledFacets();
  const plan = await planOf(ground, facets);
  for (const line of linesOf(plan)) log(line);
  const isInitDue = init !== undefined && !standing.inits.some((past) => isAddressEqual(past.address, init.address));
  if (isEmpty(plan) && !isInitDue) {
    if (manifest.pending) throw scheduledOther(manifest.pending);
    return { status: 'unchanged', plan };
  }
  if (manifest.pending && !isBegun(manifest, facets, plan)) throw scheduledOther(manifest.pending);
  if (init && !(await connection.codeAt(init.address))) throw new Error(`--init ${init.address} has no code`);

  const next = await createFacets(ground, account, facets, plan, log);
  if (init) next.inits = [...next.inits, init];
  const addresses = Object.fromEntries(Object.entries(next.facets).map(([name, { address }]) => [name, address]));
  const data = encodeFunctionData({
    abi: escrowAbi,
    functionName: 'diamondCut',
    args: [cutsOf(plan, addresses), init?.address ?? zeroAddress, init?.data ?? '0x'],
  });
  await rehearse(ground, data);
  const done = async () => {
    await settle(ground, next, addressBookPath);
    log('executed; the diamond is as its manifest says');
  };

  const { diamond, owner, timelock } = standing;
  if (!timelock || !isAddressEqual(owner, timelock.address)) {
    write(path, manifest, { next, data });
    if (!isAddressEqual(owner, account.address)) {
      log(`the owner ${owner} has to send the cut itself; afterwards run this again`);
      return { status: 'needs-owner', plan, call: { to: diamond.address, data } };
    }
    await connection.send(account, { to: diamond.address, data });
    await done();
    return { status: 'executed', plan };
  }

  const find = () =>
    operationOf(connection, timelock.address, timelock.delaySeconds, { target: diamond.address, data });
  let operation = await find();
  if (manifest.pending?.operationId && manifest.pending.operationId !== operation.id) {
    throw scheduledOther(manifest.pending);
  }
  write(path, manifest, { next, data, operationId: operation.id });
  const handOver = (call: Hex, what: string): UpgradeResult => {
    log(`${account.address} may not ${what}; send the call from ${timelock.proposer}, then run this again`);
    return { status: 'needs-owner', plan, operationId: operation.id, call: { to: timelock.address, data: call } };
  };
  if (operation.readyAt === undefined) {
    if (!(await hasRole(connection, timelock.address, 'PROPOSER_ROLE', account.address))) {
      return handOver(operation.calls.schedule, 'schedule');
    }
    await connection.send(account, { to: timelock.address, data: operation.calls.schedule });
    operation = await find();
  }
  const readyAt = operation.readyAt!;
  if (options.wait) await waitUntil(connection, readyAt, log);
  if (!(await isReady(connection, readyAt))) {
    log(`operation ${operation.id} can be executed from ${moment(readyAt)}: run this again then`);
    return { status: 'scheduled', plan, operationId: operation.id, readyAt };
  }
  const mayExecute = await Promise.all(
    [account.address, zeroAddress].map((who) => hasRole(connection, timelock.address, 'EXECUTOR_ROLE', who)),
  );
  if (!mayExecute.includes(true)) return handOver(operation.calls.execute, 'execute');
  await connection.send(account, { to: timelock.address, data: operation.calls.execute });
  await done();
  return { status: 'executed', plan, operationId: operation.id };
}

/** What `upgrade` would do now; sends and writes nothing. @throws Error as `upgrade` */
export async function previewUpgrade(
  options: Omit<UpgradeOptions, 'privateKey'>,
): Promise<{ chainId: number; diamond: Address; owner: Address; delaySeconds: number; pending?: Hex; plan: Plan }> {
  const ground = await stand(options);
  const { standing, manifest, connection } = ground;
  return {
    chainId: connection.chainId,
    diamond: standing.diamond.address,
    owner: standing.owner,
    delaySeconds: standing.timelock?.delaySeconds ?? 0,
    ...(manifest.pending?.operationId && { pending: manifest.pending.operationId }),
    plan: await planOf(ground, options.facets ?? compiledFacets()),
  };
}

/** Everything in which chain and manifest differ, one sentence each. @throws Error when there is no manifest of this chain */
export async function verify(options: Pick<UpgradeOptions, 'rpcUrl' | 'transport' | 'addressBookPath'>) {
  const { connection, standing } = await open(options);
  return (await differences(connection, standing)).map(({ text }) => text);
}

/**
 * Gives up the upgrade under way and takes it out of the timelock; resolves with its id there.
 * @throws Error when none is under way, or the key may not
 */
export async function cancelUpgrade(options: UpgradeOptions): Promise<Hex | undefined> {
  const { connection, path, manifest, standing } = await stand(options);
  const { pending } = manifest;
  if (!pending) throw new Error('no upgrade is under way');
  if (!pending.operationId || !standing.timelock) {
    write(path, manifest, undefined);
    return undefined;
  }
  const { address, delaySeconds } = standing.timelock;
  const call = { target: standing.diamond.address, data: pending.data };
  const operation: Operation = await operationOf(connection, address, delaySeconds, call);
  if (operation.readyAt !== undefined) {
    const account = privateKeyToAccount(options.privateKey);
    await connection.send(account, { to: address, data: operation.calls.cancel });
  }
  write(path, manifest, undefined);
  return pending.operationId;
}

/** Opens the records of the chain behind the endpoint. @throws Error when there are none, or they are of another chain */
async function open({
  rpcUrl,
  transport,
  addressBookPath,
}: Pick<UpgradeOptions, 'rpcUrl' | 'transport' | 'addressBookPath'>) {
  const connection = await connect(transport ?? http(rpcUrl));
  const { chainId, genesisHash } = connection;
  const book = readJson<AddressBook>(addressBookPath);
  if (!book) throw new Error(`there is no address book at ${addressBookPath}: deploy first`);
  if (!book[chainId]) {
    const known = Object.keys(book).join(', ') || 'no chain';
    throw new Error(`chain id mismatch: the endpoint is chain ${chainId}, ${addressBookPath} knows ${known}`);
  }
  const path = manifestPath(addressBookPath, chainId);
  const manifest = readJson<Manifest>(path);
  if (!manifest?.standing) throw new Error(`there is no complete manifest at ${path}: run the deployment to its end`);
  if (manifest.chainId !== chainId || manifest.genesisHash !== genesisHash) {
    throw new Error(`chain id mismatch: ${path} is of another chain ${manifest.chainId} than the endpoint's`);
  }
  return { connection, path, manifest, standing: manifest.standing };
}

/** Opens the records and requires that the chain is as they say, or as a pending upgrade would leave it. */
async function stand(options: Pick<UpgradeOptions, 'rpcUrl' | 'transport' | 'addressBookPath'>): Promise<Ground> {
  const ground = await open(options);
  const { connection, manifest } = ground;
  const wrong = async (standing: Standing) =>
    (await differences(connection, standing)).filter(({ kind }) => kind === 'code');
  const found = await wrong(ground.standing);
  if (found.length > 0) {
    // Executed by somebody else, or by a run that died before it wrote.
    if (manifest.pending && (await wrong(manifest.pending.next)).length === 0) {
      await settle(ground, manifest.pending.next, options.addressBookPath);
    } else {
      const lines = found.map(({ text }) => `  ${text}`).join('\n');
      throw new Error(`code hash mismatch: the diamond is not as ${ground.path} says:\n${lines}`);
    }
  }
  const contract = { abi: escrowAbi, address: ground.standing.diamond.address } as const;
  ground.standing.owner = await connection.reader.readContract({ ...contract, functionName: 'owner' });
  ground.standing.guardian = await connection.reader.readContract({ ...contract, functionName: 'guardian' });
  return ground;
}

async function planOf({ connection, standing }: Ground, facets: readonly CompiledFacet[]): Promise<Plan> {
  const { address } = standing.diamond;
  const compiled = readArtifact('Diamond');
  const code = (await connection.codeAt(address)) ?? '0x';
  if (logicHash(code, compiled) !== logicHash(compiled.deployedBytecode, compiled)) {
    throw new Error(
      `code hash mismatch: the diamond compiled here is not the one at ${address}. What moves money is part of it and no ` +
        'cut replaces it: take the sources it was deployed from, or deploy another diamond',
    );
  }
  const served = await readFacets(connection, address);
  if (!served.some(({ selectors }) => selectors.includes(CUT))) {
    throw new Error(`finalize() was called: the code of ${address} never changes again`);
  }
  return planCut(address, served, facets);
}

/** Whether an earlier run wrote down everything that the plan has to create. */
function isBegun({ underWay }: Manifest, facets: readonly CompiledFacet[], { creates }: Plan): boolean {
  return creates.every(({ facet }) => {
    const bytecode = facets.find(({ name }) => name === facet)?.artifact.bytecode;
    return bytecode !== undefined && underWay[facet]?.initCodeHash === keccak256(bytecode);
  });
}

/** Creates what the plan needs; resolves with the diamond as the cut will leave it. */
async function createFacets(
  { connection, path, manifest, standing }: Ground,
  account: PrivateKeyAccount,
  facets: readonly CompiledFacet[],
  plan: Plan,
  log: (line: string) => void,
): Promise<Standing> {
  const journal = { underWay: manifest.underWay, save: () => writeJson(path, manifest) };
  const next: Record<string, Deployed> = {};
  for (const { name, artifact } of facets) {
    const address = plan.unchanged[name];
    const standsAs = Object.values(standing.facets).find((facet) => facet.address === address);
    const selectors = functionsOf(artifact);
    if (address !== undefined && standsAs) {
      next[name] = { ...standsAs, selectors };
      continue;
    }
    const created = await connection.create(account, journal, { name, artifact });
    next[name] = { address: created.address, codeHash: created.codeHash, selectors };
    log(`created ${name} ${created.address}`);
  }
  return { ...standing, facets: next };
}

/** Makes the cut as the owner in a call that changes nothing. @throws Error with the contract's reason when it would revert */
async function rehearse({ connection, standing }: Ground, data: Hex) {
  try {
    await connection.reader.call({ account: standing.owner, to: standing.diamond.address, data });
  } catch (error) {
    const reason = error instanceof BaseError ? `${error.shortMessage} ${error.details}`.trim() : String(error);
    throw new Error(`the cut would revert, so it was not sent: ${reason}`, { cause: error });
  }
}

/** Verifies what an upgrade left and makes it the manifest's word. */
async function settle(ground: Ground, next: Standing, addressBookPath: string) {
  const { connection, path, manifest } = ground;
  const found = (await differences(connection, next)).filter(({ kind }) => kind === 'code');
  if (found.length > 0) throw new Error(`after the cut: ${found.map(({ text }) => text).join('; ')}`);
  writeEntry(addressBookPath, entryOf(connection.chainId, next));
  manifest.standing = next;
  ground.standing = next;
  manifest.underWay = {};
  write(path, manifest, undefined);
}

function write(path: string, manifest: Manifest, pending: Pending | undefined) {
  if (pending) manifest.pending = pending;
  else delete manifest.pending;
  writeJson(path, manifest);
}

function scheduledOther({ operationId }: Pending) {
  return new Error(
    `another upgrade is under way${operationId ? ` (operation ${operationId})` : ''}: run its sources to the end, or --cancel it`,
  );
}

async function isReady({ reader }: Connection, readyAt: number): Promise<boolean> {
  const { timestamp } = await reader.getBlock();
  return Math.max(Number(timestamp), Math.floor(Date.now() / 1_000)) >= readyAt;
}

async function waitUntil(connection: Connection, readyAt: number, log: (line: string) => void) {
  if (await isReady(connection, readyAt)) return;
  log(`waiting until ${moment(readyAt)}; Ctrl-C leaves it scheduled`);
  while (!(await isReady(connection, readyAt))) await sleep(POLL_MS);
}

function moment(unixSeconds: number): string {
  return new Date(unixSeconds * 1_000).toISOString().replace('.000', '');
}

interface Flags {
  rpcUrl: string;
  addressBook: string;
  init?: Address;
  initData: Hex;
  plan: boolean;
  verify: boolean;
  cancel: boolean;
  wait: boolean;
  json: boolean;
}

async function run(flags: Flags): Promise<void> {
  const say = (line: string) => void (flags.json ? process.stderr : process.stdout).write(`${line}\n`);
  const print = (value: unknown, line: string) => console.log(flags.json ? JSON.stringify(value) : line);
  const options = {
    rpcUrl: flags.rpcUrl,
    addressBookPath: flags.addressBook,
    wait: flags.wait,
    ...(flags.init && { init: { address: flags.init, data: flags.initData } }),
    ...(!flags.json && { log: say }),
  };
  if (flags.verify) {
    const found = await verify(options);
    print({ differences: found }, found.join('\n') || 'The diamond is as its manifest says.');
    process.exitCode = found.length === 0 ? 0 : 1;
    return;
  }
  if (flags.plan) {
    const preview = await previewUpgrade(options);
    const { diamond, owner, delaySeconds, plan } = preview;
    const what = isEmpty(plan) ? ['Nothing to do.'] : linesOf(plan);
    print(preview, [`Diamond ${diamond}, owner ${owner}, delay ${delaySeconds} s`, ...what].join('\n'));
    return;
  }
  const privateKey = readKey(process.env);
  if (flags.cancel) {
    const id = await cancelUpgrade({ ...options, privateKey });
    print({ status: 'cancelled', operationId: id }, id ? `Operation ${id} is cancelled.` : 'Cancelled.');
    return;
  }
  const result = await upgrade({ ...options, privateKey });
  const call = result.call ? `\n  to   ${result.call.to}\n  data ${result.call.data}` : '';
  print(result, `${result.status}${call}`);
}

const examples = `
The key comes from DEPLOYER_KEY; --plan and --verify need none. Run the same command again to go on: it creates what is
missing, schedules in the timelock, and executes once the delay is over. Whoever may not schedule or execute gets the call
data for those who may. Compile first: npx hardhat build --no-tests

Examples:
  npm run upgrade -- --rpc-url http://127.0.0.1:8545 --address-book .data/addresses.json --plan
  DEPLOYER_KEY=0x… npm run upgrade -- --rpc-url https://… --address-book deployments.json
  DEPLOYER_KEY=0x… npm run upgrade -- --rpc-url https://… --address-book deployments.json --init 0x… --init-data 0x8129fc1c
  npm run upgrade -- --rpc-url https://… --address-book deployments.json --verify --json`;

if (import.meta.main) {
  await new Command()
    .name('npm run upgrade --')
    .description('Brings the facets of a deployed diamond to what is compiled here, through its timelock.')
    .requiredOption('--rpc-url <url>', "the chain's JSON-RPC endpoint")
    .requiredOption('--address-book <file>', 'what the deployment wrote; its manifest lies beside it')
    .option('--init <address>', 'a contract that the cut delegates to, once', asAddress)
    .option('--init-data <hex>', 'the call data for it', asHex, '0x')
    .option('--plan', 'say what would change, and send nothing', false)
    .option('--verify', 'hold the diamond against its manifest, and send nothing; exit code 1 when it differs', false)
    .option('--cancel', 'take the scheduled upgrade out of the timelock', false)
    .option('--wait', "stay until the timelock's delay is over, then execute", false)
    .option('--json', 'print one JSON object and nothing else on standard output', false)
    .addHelpText('after', examples)
    .action(run)
    .parseAsync()
    .catch(fail);
}
