/**
 * Which diamond on which chain the indexer follows. Reads DEALKEEP_CHAIN_ID, DEALKEEP_DIAMOND, DEALKEEP_START_BLOCK and
 * DEALKEEP_RPC_URL, which the supervisor (api/indexing.ts) sets; Ponder itself reads DATABASE_URL.
 */
import { createConfig } from 'ponder';
import { isAddress } from 'viem';
import { escrowAbi } from '../contracts/abi.ts';

const LOCAL_CHAIN_ID = 31337;
// Ponder starts with 20 requests a second for each URL, however fast the node is: naming it ten times lifts that.
const CONNECTIONS = 10;

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

// Whoever started us with a channel of Node's watches over us; without it nobody would, and another one may start.
if (process.channel) process.once('disconnect', () => process.exit(1));

const chainId = Number(required('DEALKEEP_CHAIN_ID'));
const diamond = required('DEALKEEP_DIAMOND');
if (!isAddress(diamond, { strict: false })) throw new Error(`DEALKEEP_DIAMOND is not an address: ${diamond}`);
const isLocal = chainId === LOCAL_CHAIN_ID;

export default createConfig({
  chains: {
    network: {
      id: chainId,
      rpc: Array(CONNECTIONS).fill(required('DEALKEEP_RPC_URL')),
      pollingInterval: isLocal ? 100 : 1_000,
      // A local chain starts anew under the same id, so what was cached of the last one would be wrong.
      disableCache: isLocal,
    },
  },
  contracts: {
    Escrow: {
      chain: 'network',
      abi: escrowAbi,
      address: diamond,
      startBlock: Number(required('DEALKEEP_START_BLOCK')),
    },
  },
});
