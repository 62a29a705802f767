/** `npm run deploy` on a Hardhat node: what it makes, that it makes it once, and what it refuses. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import hre from 'hardhat';
import { custom, encodeFunctionData, getAddress, keccak256, zeroAddress } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import { functionsOf, readArtifact } from '../../scripts/artifacts.ts';
import { deploy, deployDiamond, type NetworkEntry, previewDeployment } from '../../scripts/deploy.ts';
import { type Manifest, manifestPath } from '../../scripts/diamond/manifest.ts';
import { compiledFacets } from '../../scripts/diamond/plan.ts';
import { timelockAbi } from '../../scripts/diamond/timelock.ts';
import { dyingTransport, openGround, refusal } from './support/ground.ts';

let ground: Awaited<ReturnType<typeof openGround>>;
const owner = privateKeyToAccount(generatePrivateKey()).address;
const guardian = privateKeyToAccount(generatePrivateKey()).address;
const TWO_DAYS = 172_800n;

beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

const sentSoFar = () => ground.sentBy(privateKeyToAccount(ground.key).address);

function read(entry: NetworkEntry, functionName: 'owner' | 'guardian' | 'permit2' | 'facets') {
  return ground.client.readContract({ abi: escrowAbi, address: entry.diamond, functionName });
}

function manifestOf(book: string): Manifest {
  return JSON.parse(readFileSync(manifestPath(book, ground.chainId), 'utf8'));
}

/** With everything that a production deployment has; tokens of its own, since nothing else is on the chain. */
function production(addressBookPath: string) {
  const { rpcUrl, key: privateKey } = ground;
  return {
    ...{ rpcUrl, privateKey, addressBookPath, testTokens: true },
    ...{ owner, guardian, timelockDelaySeconds: TWO_DAYS },
  };
}

describe('deploy', () => {
  test('a timelock with its delay owns the diamond, and the deployer keeps nothing', async () => {
    const entry = await deploy(production(ground.newBook()));
    const timelock = { abi: timelockAbi, address: entry.timelock! } as const;
    expect(await read(entry, 'owner')).toBe(entry.timelock);
    expect(await read(entry, 'guardian')).toBe(guardian);
    expect(await ground.client.readContract({ ...timelock, functionName: 'getMinDelay' })).toBe(TWO_DAYS);
    const deployer = privateKeyToAccount(ground.key).address;
    for (const functionName of ['PROPOSER_ROLE', 'EXECUTOR_ROLE', 'DEFAULT_ADMIN_ROLE'] as const) {
      const role = await ground.client.readContract({ ...timelock, functionName });
      const has = (who: typeof owner) =>
        ground.client.readContract({ ...timelock, functionName: 'hasRole', args: [role, who] });
      expect(await has(deployer), `${functionName} of the deployer`).toBe(false);
      expect(await has(owner), `${functionName} of the owner`).toBe(functionName !== 'DEFAULT_ADMIN_ROLE');
    }
  });

  test('the loupe is the manifest: facets, selectors, code hashes', async () => {
    const book = ground.newBook();
    const entry = await deploy(production(book));
    const { standing, underWay } = manifestOf(book);
    expect(underWay).toEqual({});
    const inManifest = [standing!.diamond, ...Object.values(standing!.facets)];
    const loupe = await ground.client.readContract({ abi: escrowAbi, address: entry.diamond, functionName: 'facets' });
    const sorted = (list: readonly string[]) => [...list].sort();
    expect(loupe.map((facet) => [facet.facetAddress, sorted(facet.functionSelectors)])).toEqual(
      inManifest.map(({ address, selectors }) => [address, sorted(Object.values(selectors))]),
    );
    for (const { address, codeHash } of inManifest) {
      expect(keccak256((await ground.client.getCode({ address }))!), address).toBe(codeHash);
    }
  });

  test('locally, without a delay, the deployer owns the diamond itself', async () => {
    const { rpcUrl, key: privateKey } = ground;
    const entry = await deploy({ rpcUrl, privateKey, addressBookPath: ground.newBook(), testTokens: true });
    expect(await read(entry, 'owner')).toBe(privateKeyToAccount(privateKey).address);
    expect(entry.timelock).toBeUndefined();
  });

  test('a second run sends nothing and says the same', async () => {
    const book = ground.newBook();
    const first = await deploy(production(book));
    const sent = await sentSoFar();
    expect(await deploy(production(book))).toEqual(first);
    expect(await sentSoFar()).toBe(sent);
  });

  test('a lost address book is written anew from the manifest', async () => {
    const book = ground.newBook();
    const first = await deploy(production(book));
    writeFileSync(book, '{}');
    expect(await deploy(production(book))).toEqual(first);
    expect(JSON.parse(readFileSync(book, 'utf8'))).toEqual({ [ground.chainId]: first });
  });

  test('killed at any transaction it goes on, and creates nothing twice', async () => {
    const before = await sentSoFar();
    await deploy(production(ground.newBook()));
    const needed = (await sentSoFar()) - before;
    const deaths = Array.from({ length: needed }, (_, nth) => ({ nth, when: 'after' as const }));
    for (const { nth, when } of [...deaths, { nth: needed - 1, when: 'before' as const }]) {
      const book = ground.newBook();
      const start = await sentSoFar();
      const transport = dyingTransport(ground.rpcUrl, nth, when);
      await expect(deploy({ ...production(book), transport }), `${nth} ${when}`).rejects.toThrow();
      const entry = await deploy(production(book));
      expect(await read(entry, 'owner')).toBe(entry.timelock);
      expect((await sentSoFar()) - start, `killed ${when} transaction ${nth}`).toBe(needed);
    }
  });

  test('killed at every transaction in turn it still arrives', async () => {
    const book = ground.newBook();
    let entry: NetworkEntry | undefined;
    for (let run = 0; run < 40 && !entry; run++) {
      const transport = dyingTransport(ground.rpcUrl, 0, run % 2 === 0 ? 'before' : 'after');
      entry = await deploy({ ...production(book), transport }).catch(() => undefined);
    }
    expect(entry && (await read(entry, 'guardian'))).toBe(guardian);
  });

  test('the plan names what would be created and sends nothing', async () => {
    const addressBookPath = ground.newBook();
    const sent = await sentSoFar();
    const { rpcUrl } = ground;
    const options = { rpcUrl, addressBookPath, testTokens: false, owner, timelockDelaySeconds: TWO_DAYS };
    const preview = await previewDeployment(options);
    expect(preview).toMatchObject({
      chainId: 31337,
      owner: 'the TimelockController',
      timelock: { delaySeconds: 172_800, proposer: owner },
      guardian: owner,
    });
    expect(preview.creates.map(({ contract }) => contract)).toEqual([
      'TestPermit2',
      ...compiledFacets().map(({ name }) => name),
      'TimelockController',
      'Diamond',
    ]);
    expect(await sentSoFar()).toBe(sent);
  });
});

describe('deploy refuses', () => {
  test('a second run that asks for something else', async () => {
    const book = ground.newBook();
    await deploy(production(book));
    const again = (change: object) => refusal(deploy({ ...production(book), ...change }));
    expect(await again({ owner: guardian })).toContain(`with owner ${owner}, not ${guardian}`);
    expect(await again({ guardian: owner })).toContain(`with guardian ${guardian}, not ${owner}`);
    expect(await again({ permit2: owner })).toContain('with Permit2');
    expect(await again({ timelockDelaySeconds: 60n })).toContain('with a delay in seconds of 172800, not 60');
    expect(await again({ allowedTokens: [owner] })).toContain('with the tokens');
  });

  test('a diamond that is not as its manifest says', async () => {
    const { rpcUrl, key: privateKey } = ground;
    const options = { rpcUrl, privateKey, addressBookPath: ground.newBook(), testTokens: true };
    const { facets, diamond } = await deploy(options);
    const code = await ground.client.getCode({ address: facets.DelegatesFacet! });
    await ground.client.setCode({ address: facets.DelegatesFacet!, bytecode: '0x00' });
    expect(await refusal(deploy(options))).toContain(`code of DelegatesFacet at ${facets.DelegatesFacet}: 0x`);
    await ground.client.setCode({ address: facets.DelegatesFacet!, bytecode: code! });

    const from = privateKeyToAccount(privateKey).address;
    const data = encodeFunctionData({ abi: escrowAbi, functionName: 'setGuardian', args: [guardian] });
    await ground.send(privateKey, diamond, data);
    expect(await refusal(deploy(options))).toContain(`guardian: ${guardian} on the chain, ${from} in the manifest`);
  });

  test('off the local chain: well-known keys, and an owner without a timelock', async () => {
    const { provider } = await hre.network.connect({ override: { chainId: 84_532 } });
    const transport = custom(provider);
    const stranger = privateKeyToAccount(generatePrivateKey());
    const wellKnown = privateKeyToAccount(ground.key);
    const refused = (account: typeof stranger, testTokens: boolean) =>
      refusal(deployDiamond(account, transport, { testTokens }));
    expect(await refused(wellKnown, true)).toContain("one of Hardhat's well-known keys");
    expect(await refused(stranger, false)).toContain('the owner has to be a timelock: give --timelock-delay');
    await provider.request({ method: 'hardhat_setBalance', params: [stranger.address, '0x56bc75e2d63100000'] });
    const entry = await deployDiamond(stranger, transport, { testTokens: true });
    expect(entry.owner, 'test tokens are nobody’s money').toBe(stranger.address);
  });

  test('a manifest that is missing off the local chain', async () => {
    const { provider } = await hre.network.connect({ override: { chainId: 84_532 } });
    const addressBookPath = ground.newBook();
    writeFileSync(addressBookPath, JSON.stringify({ 84532: { chainId: 84_532, diamond: zeroAddress } }));
    const options = { rpcUrl: '', transport: custom(provider), privateKey: generatePrivateKey(), addressBookPath };
    expect(await refusal(deploy({ ...options, testTokens: true }))).toContain('its manifest');
    writeFileSync(addressBookPath, 'no JSON');
    expect(await refusal(deploy({ ...options, testTokens: true }))).toContain('is not JSON');
  });

  test('a Permit2 that is not there', async () => {
    const options = { ...production(ground.newBook()), permit2: getAddress(owner) };
    expect(await refusal(deploy(options))).toContain(`there is no Permit2 at ${owner}`);
  });
});

describe('the command', () => {
  function command(args: string[], key?: string) {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/deploy.ts', ...args], {
      encoding: 'utf8',
      env: { ...process.env, DEPLOYER_KEY: key },
    });
    return { status, stdout, stderr };
  }

  test('--json prints the entry and nothing else, and --plan afterwards nothing to do', async () => {
    const where = ['--rpc-url', ground.rpcUrl, '--address-book', ground.newBook()];
    const done = command([...where, '--test-tokens', '--timelock-delay', '60', '--json'], ground.key);
    expect(done.stderr).toBe('');
    const entry: NetworkEntry = JSON.parse(done.stdout);
    expect(await read(entry, 'owner')).toBe(entry.timelock);
    expect(command([...where, '--plan']).stdout).toContain(`Nothing to do: diamond ${entry.diamond}`);
  });

  test('says what is wrong with what it was given', () => {
    const where = ['--rpc-url', ground.rpcUrl, '--address-book', ground.newBook()];
    expect(command(where, '0x12')).toMatchObject({
      status: 1,
      stderr: 'DEPLOYER_KEY must hold the private key that signs: 0x and 64 hex digits\n',
    });
    expect(command([...where, '--owner', '0x12'], ground.key).stderr).toContain('It is not an address');
    expect(command([...where, '--timelock-delay', '2 days'], ground.key).stderr).toContain('It is not a whole number');
    expect(command([], ground.key).stderr).toContain("required option '--rpc-url <url>' not specified");
    const nobody = command(['--rpc-url', 'http://127.0.0.1:9', '--address-book', ground.newBook()], ground.key);
    expect(nobody.status).toBe(1);
    expect(nobody.stderr).not.toContain(ground.key);
  });
});

describe('selectors', () => {
  test('are pairwise distinct over the diamond and its facets', () => {
    const all = ['Diamond', ...compiledFacets().map(({ name }) => name)].flatMap((name) =>
      Object.values(functionsOf(readArtifact(name))),
    );
    expect(new Set(all).size).toBe(all.length);
    expect(all).toHaveLength(46);
  });
});
