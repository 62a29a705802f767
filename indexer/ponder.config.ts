/**
 * Which diamond on which chain the indexer follows. Reads DEALKEEP_ADDRESS_BOOK (written by scripts/deploy.ts),
 * DEALKEEP_CHAIN_ID and DEALKEEP_RPC_URL; Ponder itself reads DATABASE_URL.
 */
import { readFileSync } from 'node:fs';
import { createConfig } from 'ponder';
import type { Address } from 'viem';
import { escrowAbi } from '../contracts/abi.ts';

type Deployment = { diamond: Address; startBlock: number };

const LOCAL_CHAIN_ID = 31337;
// Ponder starts with 20 requests a second for each URL, however fast the node is: naming it ten times lifts that.
const LOCAL_CONNECTIONS = 10;

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

function readDeployment(chainId: number): Deployment {
  const path = required('DEALKEEP_ADDRESS_BOOK');
  const book: Record<string, Deployment> = JSON.parse(readFileSync(path, 'utf8'));
  const deployment = book[chainId];
  if (deployment === undefined) throw new Error(`The address book ${path} has no entry for chain ${chainId}`);
  return deployment;
}

const chainId = Number(required('DEALKEEP_CHAIN_ID'));
const { diamond, startBlock } = readDeployment(chainId);
const rpcUrl = required('DEALKEEP_RPC_URL');
const isLocal = chainId === LOCAL_CHAIN_ID;

export default createConfig({
  chains: {
    network: {
      id: chainId,
      rpc: isLocal ? Array(LOCAL_CONNECTIONS).fill(rpcUrl) : rpcUrl,
      pollingInterval: isLocal ? 250 : 1_000,
      // A local chain starts anew under the same id, so what was cached of the last one would be wrong.
      disableCache: isLocal,
    },
  },
  contracts: {
    Escrow: { chain: 'network', abi: escrowAbi, address: diamond, startBlock },
  },
});
