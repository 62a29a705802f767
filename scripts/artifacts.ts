/**
 * The contracts as compiled, with the settings of the deployment: builds and reads them. It knows no chain.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Abi, type Hex, toFunctionSelector, toFunctionSignature } from 'viem';
import { logicHash as hashOfLogic, type Span } from '../contracts/code.ts';

/** The facets of the diamond, by contract name. */
export const facetNames = [
  'DelegatesFacet',
  'DiamondCutFacet',
  'DiamondLoupeFacet',
  'OwnershipFacet',
  'TokenPolicyFacet',
] as const;

/** A compiled contract. */
export interface Artifact {
  abi: Abi;
  bytecode: Hex;
  deployedBytecode: Hex;
  /** Where the constructor writes immutables into the deployed code, in bytes. */
  immutableReferences?: Record<string, { start: number; length: number }[]>;
}

const paths: Record<string, string> = {
  Diamond: 'contracts/',
  TestUSDC: 'contracts/tokens/',
  TestUSDT: 'contracts/tokens/',
  TestPermit2: 'contracts/tokens/',
  TimelockController: '@openzeppelin/contracts/governance/',
  ERC1967Proxy: '@openzeppelin/contracts/proxy/ERC1967/',
};

/** The artifact of a contract that we deploy. @throws Error when the contracts were not built */
export function readArtifact(name: string): Artifact {
  const path = `${paths[name] ?? 'contracts/facets/'}${name}.sol/${name}.json`;
  try {
    return JSON.parse(readFileSync(new URL(`../artifacts/${path}`, import.meta.url), 'utf8'));
  } catch (cause) {
    throw new Error(`${name} is not compiled: run \`npx hardhat build --no-tests\``, {
      cause,
    });
  }
}

/** A contract's external functions: selector by signature, `release((uint256,…))` → `0x…`. */
export function functionsOf({ abi }: Pick<Artifact, 'abi'>): Record<string, Hex> {
  const functions = abi.flatMap((item) => (item.type === 'function' ? [item] : []));
  return Object.fromEntries(functions.map((item) => [toFunctionSignature(item), toFunctionSelector(item)]));
}

/** Where the constructor writes immutables into the deployed code. */
export function blanksOf({ immutableReferences = {} }: Pick<Artifact, 'immutableReferences'>): Span[] {
  return Object.values(immutableReferences).flat();
}

/** What deployed code does, as one hash; see contracts/code.ts. */
export function logicHash(code: Hex, artifact: Pick<Artifact, 'immutableReferences'> = {}): Hex {
  return hashOfLogic(code, blanksOf(artifact));
}

/** Compiles what changed (0.7 s when nothing did) without a word. @throws Error with the compiler's words when it refuses */
export function buildArtifacts(): void {
  const command = ['node_modules/hardhat/dist/src/cli.js', 'build', '--no-tests', '--quiet'];
  const build = spawnSync(process.execPath, command, {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    encoding: 'utf8',
  });
  if (build.status !== 0) throw new Error(`the contracts do not compile:\n${build.stdout}${build.stderr}`);
}
