/**
 * The manifest of a network: what of the diamond stands where, with code hashes and selectors, and what a deployment or
 * an upgrade under way has created so far. It lies beside the address book, one file a chain; it knows no chain itself.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Address, Hex } from 'viem';

/** A creation, written down before it is sent, so that a run that died finds it again. */
export interface Creation {
  address: Address;
  nonce: number;
  /** keccak256 of code and arguments: another one is another contract. */
  initCodeHash: Hex;
  /** The chain's height before it was sent. */
  fromBlock: number;
}

/** A contract as it stands on the chain. */
export interface Deployed {
  address: Address;
  /** keccak256 of the code on the chain, as EXTCODEHASH gives it. */
  codeHash: Hex;
  /** Selector by signature. */
  selectors: Record<string, Hex>;
}

/** An OpenZeppelin TimelockController. */
export interface Timelock {
  address: Address;
  codeHash: Hex;
  delaySeconds: number;
  /** Who may schedule, cancel and execute. */
  proposer: Address;
}

/** A token of a network. */
export interface TokenEntry {
  address: Address;
  symbol: string;
  decimals: number;
}

/** The diamond of a network as its last deployment or upgrade left it. */
export interface Standing {
  diamond: Deployed;
  /** The block in which the diamond was created: nothing of it is to be found before. */
  startBlock: number;
  /** By contract name. */
  facets: Record<string, Deployed>;
  owner: Address;
  guardian: Address;
  permit2: Address;
  timelock?: Timelock;
  /** Initialisations that upgrades ran. */
  inits: Init[];
  /** By symbol. */
  tokens: Record<string, TokenEntry>;
}

/** A contract that a cut delegates to once, with its call data. */
export interface Init {
  address: Address;
  data: Hex;
}

/** An upgrade that is handed to the owner and not executed yet. */
export interface Pending {
  /** The diamond as it will stand. */
  next: Standing;
  /** Call data of `diamondCut`. */
  data: Hex;
  /** The timelock's id of it; absent when the owner is no timelock of ours. */
  operationId?: Hex;
}

/** All that is kept of a network. */
export interface Manifest {
  chainId: number;
  /** Tells apart chains that share an id: each local one begins anew. */
  genesisHash: Hex;
  /** By what they are for; empty when nothing is under way. */
  underWay: Record<string, Creation>;
  /** Absent until the first deployment is complete. */
  standing?: Standing;
  pending?: Pending;
}

/** Where the manifest of a chain lies: `addresses.json` → `addresses.31337.json`. */
export function manifestPath(addressBookPath: string, chainId: number): string {
  return `${addressBookPath.replace(/\.json$/, '')}.${chainId}.json`;
}

/** What lies there as JSON, undefined when nothing does. @throws Error when it is no JSON */
export function readJson<T>(path: string): T | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path} is not JSON: restore it, or move it away`, { cause });
  }
}

/** Writes JSON by a rename, so that readers never see it half done. */
export function writeJson(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(temporary, path);
}
