/**
 * Reads the contracts as compiled by the production profile, the only ones that are deployed or described.
 * It never compiles: `npx hardhat build --build-profile production` does.
 */
import { readFileSync } from 'node:fs';
import type { Abi, Hex } from 'viem';

/** The facets of the diamond, by contract name. */
export const facetNames = ['DiamondCutFacet', 'DiamondLoupeFacet', 'OwnershipFacet', 'TokenPolicyFacet'] as const;

/** A compiled contract. */
export interface Artifact {
  abi: Abi;
  bytecode: Hex;
  deployedBytecode: Hex;
}

const folders: Record<string, string> = { Diamond: '', TestUSDC: 'tokens/', TestUSDT: 'tokens/' };

/** The production artifact of one of our contracts. @throws Error when the contracts were not built */
export function readArtifact(name: string): Artifact {
  const path = `contracts/${folders[name] ?? 'facets/'}${name}.sol/${name}.json`;
  try {
    return JSON.parse(readFileSync(new URL(`../artifacts/production/${path}`, import.meta.url), 'utf8'));
  } catch (cause) {
    throw new Error(`${name} is not compiled: run \`npx hardhat build --build-profile production --no-tests\``, {
      cause,
    });
  }
}
