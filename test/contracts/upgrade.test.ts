/** `npm run upgrade` on a Hardhat node: through the timelock and past it, killed and repeated, and what it refuses. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import {
  type Address,
  encodeFunctionData,
  encodeFunctionResult,
  type Hex,
  keccak256,
  parseAbi,
  toFunctionSelector,
  zeroAddress,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import { deploy, type NetworkEntry } from '../../scripts/deploy.ts';
import { hardhatKey } from '../../scripts/dev/accounts.ts';
import { type Manifest, manifestPath } from '../../scripts/diamond/manifest.ts';
import { type CompiledFacet, compiledFacets } from '../../scripts/diamond/plan.ts';
import { cancelUpgrade, previewUpgrade, type UpgradeOptions, upgrade, verify } from '../../scripts/upgrade.ts';
import { codeAnswering, dyingTransport, facetAnswering, openGround, refusal } from './support/ground.ts';

const DELAY_SECONDS = 3_600;

let ground: Awaited<ReturnType<typeof openGround>>;
let book: string;
let entry: NetworkEntry;
const strangerKey = hardhatKey(7);

beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

/** Facets beside the compiled ones. */
const withFacets = (...more: CompiledFacet[]) => [...compiledFacets(), ...more];
const one = (answer: number) => facetAnswering('Extra', answer, ['extraOne', 'extraTwo']);

function options(changes: Partial<UpgradeOptions> = {}): UpgradeOptions {
  return { rpcUrl: ground.rpcUrl, addressBookPath: book, privateKey: ground.key, ...changes };
}

function manifest(): Manifest {
  return JSON.parse(readFileSync(manifestPath(book, ground.chainId), 'utf8'));
}

async function answerOf(functionName: string): Promise<bigint | undefined> {
  const abi = parseAbi([`function ${functionName}() view returns (uint256)`]);
  return ground.client.readContract({ abi, address: entry.diamond, functionName }).then(BigInt, () => undefined);
}

const sentSoFar = () => ground.sentBy(privateKeyToAccount(ground.key).address);

async function deployed(timelockDelaySeconds?: bigint) {
  book = ground.newBook();
  entry = await deploy({
    rpcUrl: ground.rpcUrl,
    privateKey: ground.key,
    addressBookPath: book,
    testTokens: true,
    ...(timelockDelaySeconds !== undefined && { timelockDelaySeconds }),
  });
}

/** Schedules, lets the delay pass, executes. */
async function upgradeWhole(changes: Partial<UpgradeOptions>) {
  const first = await upgrade(options(changes));
  if (first.status !== 'scheduled') return first;
  await ground.passTime(DELAY_SECONDS);
  return upgrade(options(changes));
}

describe('through the timelock', () => {
  beforeEach(() => deployed(BigInt(DELAY_SECONDS)));

  test('nothing changed: it sends nothing', async () => {
    const sent = await sentSoFar();
    expect(await upgrade(options())).toMatchObject({ status: 'unchanged', plan: { added: [], creates: [] } });
    expect(await sentSoFar()).toBe(sent);
    expect(await verify(options())).toEqual([]);
  });

  test('a facet is planned, scheduled, waited for, executed, and verified', async () => {
    const facets = withFacets(one(1));
    const { plan } = await previewUpgrade(options({ facets }));
    expect(plan.creates.map(({ facet }) => facet)).toEqual(['Extra']);
    expect(plan.added.map(({ signature }) => signature)).toEqual(['extraOne()', 'extraTwo()']);
    expect([plan.replaced, plan.removed]).toEqual([[], []]);

    expect((await upgrade(options({ facets }))).status).toBe('scheduled');
    expect(await answerOf('extraOne'), 'inside the delay nothing changes').toBeUndefined();
    const sent = await sentSoFar();
    expect((await upgrade(options({ facets }))).status, 'too early').toBe('scheduled');
    expect(await sentSoFar(), 'too early it sends nothing').toBe(sent);

    await ground.passTime(DELAY_SECONDS);
    expect((await upgrade(options({ facets }))).status).toBe('executed');
    expect(await answerOf('extraTwo')).toBe(1n);
    expect(await verify(options())).toEqual([]);
    expect(Object.keys(manifest().standing!.facets)).toContain('Extra');
    expect(JSON.parse(readFileSync(book, 'utf8'))[ground.chainId].facets.Extra).toBe(
      manifest().standing!.facets.Extra!.address,
    );
    expect((await upgrade(options({ facets }))).status, 'again').toBe('unchanged');
  });

  test('added, replaced and removed in one cut, and back again', async () => {
    await upgradeWhole({ facets: withFacets(one(1)) });
    const changed = facetAnswering('Extra', 2, ['extraTwo', 'extraThree']);
    const { plan } = await previewUpgrade(options({ facets: withFacets(changed) }));
    expect(plan.added.map(({ signature }) => signature)).toEqual(['extraThree()']);
    expect(plan.replaced.map(({ signature }) => signature)).toEqual(['extraTwo()']);
    expect(plan.removed.map(({ selector }) => selector)).toEqual([toFunctionSelector('extraOne()')]);
    await upgradeWhole({ facets: withFacets(changed) });
    expect(await Promise.all(['extraOne', 'extraTwo', 'extraThree'].map(answerOf))).toEqual([undefined, 2n, 2n]);

    // The same cut is due a second time: its id in the timelock must be another one.
    for (let round = 0; round < 2; round++) {
      expect((await upgradeWhole({})).status).toBe('executed');
      expect(await answerOf('extraTwo')).toBeUndefined();
      expect((await upgradeWhole({ facets: withFacets(changed) })).status).toBe('executed');
    }
    expect(await verify(options())).toEqual([]);
  });

  test('killed at any transaction it goes on, and creates and schedules nothing twice', async () => {
    const facets = withFacets(one(1));
    // Transactions: create, schedule, execute.
    for (const when of ['before', 'after'] as const) {
      for (let nth = 0; nth < 3; nth++) {
        await deployed(BigInt(DELAY_SECONDS));
        const start = await sentSoFar();
        if (nth === 2) {
          await upgrade(options({ facets }));
          await ground.passTime(DELAY_SECONDS);
        }
        const transport = dyingTransport(ground.rpcUrl, nth % 2, when);
        const dying = nth === 2 ? dyingTransport(ground.rpcUrl, 0, when) : transport;
        await expect(upgrade(options({ facets, transport: dying }))).rejects.toThrow();
        await upgradeWhole({ facets });
        expect(await answerOf('extraOne'), `${when} ${nth}`).toBe(1n);
        expect(await verify(options())).toEqual([]);
        expect((await sentSoFar()) - start, `${when} ${nth}`).toBe(3);
      }
    }
  });

  test('an upgrade is cancelled inside the delay', async () => {
    const facets = withFacets(one(1));
    const { operationId } = await upgrade(options({ facets }));
    expect(await refusal(upgrade(options()))).toContain(`another upgrade is under way (operation ${operationId})`);
    expect(await refusal(upgrade(options({ facets: withFacets(one(2)) })))).toContain('or --cancel it');
    expect(await cancelUpgrade(options())).toBe(operationId);
    await ground.passTime(DELAY_SECONDS);
    expect((await upgrade(options())).status).toBe('unchanged');
    expect(await refusal(cancelUpgrade(options()))).toBe('no upgrade is under way');
    expect((await upgradeWhole({ facets })).status, 'and scheduled again').toBe('executed');
  });

  test('a key that may not propose creates the facet and gets the call for those who may', async () => {
    const facets = withFacets(one(1));
    const privateKey = strangerKey;
    const asked = await upgrade(options({ facets, privateKey }));
    expect(asked).toMatchObject({ status: 'needs-owner', call: { to: entry.timelock } });
    await ground.send(ground.key, asked.call!.to, asked.call!.data);
    expect((await upgrade(options({ facets, privateKey }))).status).toBe('scheduled');
    await ground.passTime(DELAY_SECONDS);
    const due = await upgrade(options({ facets, privateKey }));
    expect(due.status).toBe('needs-owner');
    await ground.send(ground.key, due.call!.to, due.call!.data);
    expect((await upgrade(options({ facets, privateKey }))).status, 'finds it done').toBe('unchanged');
    expect(await verify(options())).toEqual([]);
  });

  test('an initialisation runs once, with the cut', async () => {
    // PUSH1 1, PUSH1 0x99, SSTORE: writes the diamond's slot 0x99.
    const address = await ground.place('0x600160995500');
    const init = { address, data: '0x' as Hex };
    expect((await upgradeWhole({ init })).status).toBe('executed');
    expect(BigInt((await ground.client.getStorageAt({ address: entry.diamond, slot: '0x99' }))!)).toBe(1n);
    expect(manifest().standing!.inits).toEqual([init]);
    expect((await upgrade(options({ init }))).status, 'it ran').toBe('unchanged');
  });
});

describe('locally, owned by a key', () => {
  beforeEach(() => deployed());

  test('the cut is made at once', async () => {
    expect((await upgrade(options({ facets: withFacets(one(1)) }))).status).toBe('executed');
    expect(await answerOf('extraOne')).toBe(1n);
    expect(await verify(options())).toEqual([]);
  });

  test('another key gets the call for the owner', async () => {
    const facets = withFacets(one(1));
    const asked = await upgrade(options({ facets, privateKey: strangerKey }));
    expect(asked).toMatchObject({ status: 'needs-owner', call: { to: entry.diamond } });
    await ground.send(ground.key, asked.call!.to, asked.call!.data);
    expect((await upgrade(options({ facets }))).status).toBe('unchanged');
  });
});

describe('verify', () => {
  beforeEach(() => deployed(BigInt(DELAY_SECONDS)));

  test('catches code that was changed under an address', async () => {
    await ground.client.setCode({ address: entry.facets.OwnershipFacet!, bytecode: '0x00' });
    expect(await verify(options())).toEqual([expect.stringContaining('code of OwnershipFacet')]);
    expect(await refusal(upgrade(options()))).toContain('code hash mismatch');
  });

  test('catches a cut that went past the manifest', async () => {
    await cutByHand(one(1).artifact.deployedBytecode, 'extraOne()', 0);
    const selector = toFunctionSelector('extraOne()');
    expect(await verify(options())).toEqual([expect.stringContaining(`who serves ${selector}: 0x`)]);
    expect(await refusal(upgrade(options()))).toContain('the diamond is not as');
  });

  test('catches a loupe that lies, by storage', async () => {
    const facets = { abi: escrowAbi, address: entry.diamond, functionName: 'facets' } as const;
    const truth = await ground.client.readContract(facets);
    const answer = encodeFunctionResult({ abi: escrowAbi, functionName: 'facets', result: truth });
    await cutByHand(codeAnswering(answer), 'facets()', 1);
    expect(await ground.client.readContract(facets), 'it says that nothing changed').toEqual(truth);
    expect(await verify(options())).toEqual([expect.stringContaining('who serves 0x7a0ed627 by storage: 0x')]);
  });

  test('names a changed delay, guardian and pending owner as settings; an upgrade goes on with them', async () => {
    const stranger = privateKeyToAccount(generatePrivateKey()).address;
    const asTimelock = (to: Address, data: Hex) => ground.sendAs(entry.timelock!, to, data);
    const call = (functionName: 'setGuardian' | 'transferOwnership') =>
      encodeFunctionData({ abi: escrowAbi, functionName, args: [stranger] });
    await asTimelock(entry.diamond, call('setGuardian'));
    await asTimelock(entry.diamond, call('transferOwnership'));
    const updateDelay = parseAbi(['function updateDelay(uint256)']);
    await asTimelock(
      entry.timelock!,
      encodeFunctionData({ abi: updateDelay, functionName: 'updateDelay', args: [60n] }),
    );
    expect(await verify(options())).toEqual([
      expect.stringContaining(`pending owner: ${stranger} on the chain, ${zeroAddress} in the manifest`),
      expect.stringContaining(`guardian: ${stranger} on the chain`),
      "the timelock's delay in seconds: 60 on the chain, 3600 in the manifest",
    ]);
    expect((await upgrade(options())).status).toBe('unchanged');
  });
});

describe('upgrade refuses', () => {
  beforeEach(() => deployed(BigInt(DELAY_SECONDS)));

  test('functions of the diamond itself', async () => {
    const name = 'deposit';
    const taken = escrowAbi.find((item) => item.type === 'function' && item.name === name)!;
    const facet = facetAnswering('Thief', 1, ['other']);
    facet.artifact.abi = [...facet.artifact.abi, taken];
    expect(await refusal(upgrade(options({ facets: withFacets(facet) })))).toMatch(
      /^Thief has deposit\(.*\), which is part of the diamond itself: no cut can replace it/,
    );
  });

  test('two facets with one selector', async () => {
    const facets = withFacets(one(1), facetAnswering('Second', 2, ['extraTwo']));
    expect(await refusal(upgrade(options({ facets })))).toContain('selector clash: Extra and Second both serve 0x');
  });

  test('to cut the cut away, and to cut after finalize', async () => {
    const facets = compiledFacets().filter(({ name }) => name !== 'DiamondCutFacet');
    expect(await refusal(upgrade(options({ facets })))).toContain('would remove diamondCut and end all upgrades');
    await deployed();
    await ground.send(ground.key, entry.diamond, encodeFunctionData({ abi: escrowAbi, functionName: 'finalize' }));
    expect(await verify(options())).toEqual([]);
    expect(await refusal(upgrade(options()))).toContain('finalize() was called');
  });

  test('an initialisation without code, one that reverts, and sends nothing then', async () => {
    const sent = await sentSoFar();
    const init = (address: Address) => refusal(upgrade(options({ init: { address, data: '0x' } })));
    expect(await init(zeroAddress)).toContain('has no code');
    // PUSH0, PUSH0, REVERT
    expect(await init(await ground.place('0x5f5ffd'))).toContain('the cut would revert, so it was not sent');
    expect(await sentSoFar()).toBe(sent);
  });

  test('another chain, no address book, no manifest', async () => {
    const elsewhere = options({ addressBookPath: ground.newBook() });
    expect(await refusal(upgrade(elsewhere))).toContain('there is no address book');
    writeFileSync(elsewhere.addressBookPath, JSON.stringify({ 1: entry }));
    expect(await refusal(upgrade(elsewhere))).toMatch(/^chain id mismatch: the endpoint is chain 31337, .* knows 1$/);
    writeFileSync(elsewhere.addressBookPath, JSON.stringify({ 31337: entry }));
    expect(await refusal(upgrade(elsewhere))).toContain('there is no complete manifest');
    const path = manifestPath(elsewhere.addressBookPath, ground.chainId);
    writeFileSync(path, JSON.stringify({ ...manifest(), genesisHash: '0x00' }));
    expect(await refusal(upgrade(elsewhere))).toContain('is of another chain');
  });

  test('a diamond that is not the compiled one', async () => {
    const code: Hex = `${(await ground.client.getCode({ address: entry.diamond }))!}00`;
    await ground.client.setCode({ address: entry.diamond, bytecode: code });
    expect(await refusal(upgrade(options()))).toContain('code of the diamond at');
    const recorded = manifest();
    recorded.standing!.diamond.codeHash = keccak256(code);
    writeFileSync(manifestPath(book, ground.chainId), JSON.stringify(recorded));
    expect(await refusal(upgrade(options()))).toContain('the diamond compiled here is not the one at');
  });
});

describe('the command', () => {
  function command(args: string[], key?: string) {
    const where = ['--rpc-url', ground.rpcUrl, '--address-book', book];
    return spawnSync(process.execPath, ['scripts/upgrade.ts', ...where, ...args], {
      encoding: 'utf8',
      env: { ...process.env, DEPLOYER_KEY: key },
    });
  }

  test('plans, verifies and upgrades the diamond of this source tree', async () => {
    await deployed();
    expect(command(['--plan']).stdout).toContain('Nothing to do.');
    expect(JSON.parse(command(['--verify', '--json']).stdout)).toEqual({ differences: [] });
    expect(JSON.parse(command(['--json'], ground.key).stdout)).toMatchObject({ status: 'unchanged' });
    expect(command([]).stderr).toContain('DEPLOYER_KEY must hold');
    expect(command(['--init', '0x12'], ground.key).stderr).toContain('It is not an address');
    await ground.client.setCode({ address: entry.facets.DelegatesFacet!, bytecode: '0x00' });
    expect(command(['--verify'])).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('code of DelegatesFacet'),
    });
  });
});

/** A cut that the scripts know nothing of, made by the timelock's own hand. */
async function cutByHand(runtime: Hex, signature: string, action: 0 | 1) {
  const cut = { facetAddress: await ground.place(runtime), action, functionSelectors: [toFunctionSelector(signature)] };
  const data = encodeFunctionData({ abi: escrowAbi, functionName: 'diamondCut', args: [[cut], zeroAddress, '0x'] });
  await ground.sendAs(entry.timelock!, entry.diamond, data);
}
