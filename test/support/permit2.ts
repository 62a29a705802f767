/** Uniswap's Permit2 as it is deployed: its runtime bytecode out of the npm package that carries it for such tests. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Hex } from 'viem';

// The copy was made at another address on a chain with a local chain's id, and cached its EIP-712 domain there. Under any other
// id Permit2 computes the domain anew, as it does after a fork.
const CACHED_CHAIN_ID = `7f${(31_337).toString(16).padStart(64, '0')}`;
const NO_CHAIN_ID = `7f${'0'.repeat(64)}`;

/** The runtime bytecode, to be put at Permit2's own address. @throws Error when the package no longer holds it where it did */
export function readPermit2Code(): Hex {
  const folder = dirname(createRequire(import.meta.url).resolve('@uniswap/v4-periphery/package.json'));
  const source = readFileSync(join(folder, 'lib/permit2/test/utils/DeployPermit2.sol'), 'utf8');
  const code = /hex"([0-9a-f]+)"/.exec(source)?.[1];
  if (!code?.includes(CACHED_CHAIN_ID)) throw new Error('@uniswap/v4-periphery carries another Permit2 than it did.');
  return `0x${code.replace(CACHED_CHAIN_ID, NO_CHAIN_ID)}`;
}
