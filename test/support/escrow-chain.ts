/** A chain with the escrow on it and nothing else: no database, no indexer, no API, no worker. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deploy } from '../../scripts/deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../../scripts/dev/accounts.ts';
import { startChain } from '../../scripts/dev/hardhat.ts';
import type { Stack } from './stack.ts';

/** What wallets and terms need of a stack. */
export type EscrowChain = Pick<
  Stack,
  'rpcUrl' | 'chainId' | 'diamond' | 'startBlock' | 'tokens' | 'operator' | 'feeRecipient' | 'arbiter'
>;

/** Starts one; `stop` ends it and removes what it wrote. */
export async function startEscrowChain(): Promise<EscrowChain & { stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-escrow-'));
  const chain = await startChain({ logPath: join(folder, 'chain.log') });
  const stop = async () => {
    await chain.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const { rpcUrl, chainId } = chain;
    const addressBookPath = join(folder, 'addresses.json');
    const privateKey = hardhatKey(ROLES.deployer);
    const { diamond, startBlock, tokens } = await deploy({ rpcUrl, privateKey, addressBookPath, testTokens: true });
    if (!tokens.USDC || !tokens.USDT) throw new Error('The test tokens were not deployed.');
    return {
      ...{ rpcUrl, chainId, diamond, startBlock, stop },
      tokens: { USDC: tokens.USDC.address, USDT: tokens.USDT.address },
      operator: hardhatAccount(ROLES.operator).address,
      feeRecipient: hardhatAccount(ROLES.feeRecipient).address,
      arbiter: hardhatAccount(ROLES.arbiter).address,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
