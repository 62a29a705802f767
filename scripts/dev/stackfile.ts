/** `stack.json`: what a running stack tells other scripts, secrets included, so only its owner may read it. */
import { readFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Address, Hex } from 'viem';
import { Problem } from './problem.ts';

/** A running stack; ids are UUIDs of the API. */
export type StackFile = {
  process_id: number;
  started_at: string;
  api_url: string;
  docs_url: string;
  /** The provider of cards and bank transfers. */
  sandbox_url: string;
  /** The demo shop. */
  shop_url: string;
  openapi_url: string;
  indexer_url: string;
  rpc_url: string;
  database_url: string;
  address_book: string;
  logs: string;
  eip155_id: number;
  diamond: Address;
  tokens: Record<string, { address: Address; decimals: number }>;
  node_id: string;
  /** Names the node on the orders surface. */
  solution_code: string;
  chain_id: string;
  network_id: string;
  wallet_id: string;
  currencies: Record<string, string>;
  payment_address: Address;
  operator: Address;
  fee_recipient: Address;
  integration: { client_id: string; client_secret: string };
  /** Wallets with test money; none on any chain but a local one. */
  buyers: { address: Address; private_key: Hex }[];
};

/** Where a stack with this data folder keeps its file. */
export function stackFilePath(dataDir: string): string {
  return join(dataDir, 'stack.json');
}

/** Writes it at once, readable by the owner alone; answers its path. */
export async function writeStackFile(dataDir: string, stack: StackFile): Promise<string> {
  const path = stackFilePath(dataDir);
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, `${JSON.stringify(stack, null, 2)}\n`, { mode: 0o600 });
  await rename(temporary, path);
  return path;
}

/** Forgets this process's stack, so that nothing is sent to what no longer runs; another's that runs there is left alone. */
export async function removeStackFile(dataDir: string): Promise<void> {
  const stack = findStackFile(dataDir);
  if (stack !== undefined && stack.process_id !== process.pid) return;
  await rm(stackFilePath(dataDir), { force: true });
}

/** The stack that runs in `dataDir`. @throws Problem when none does */
export function readStackFile(dataDir: string): StackFile {
  const stack = findStackFile(dataDir);
  if (stack === undefined)
    throw new Problem(`No stack runs in ${dataDir}: start one with \`npm start\`, or name its folder with --data DIR.`);
  return stack;
}

/** The stack that runs in `dataDir`, or undefined; what a killed one left behind does not count. */
export function findStackFile(dataDir: string): StackFile | undefined {
  try {
    const stack: StackFile = JSON.parse(readFileSync(stackFilePath(dataDir), 'utf8'));
    process.kill(stack.process_id, 0);
    return stack;
  } catch {
    return undefined;
  }
}
