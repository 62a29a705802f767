/** Anvil as a child process: a chain with a block a second, whose blocks can be taken back. */
import { join } from 'node:path';
import { createTestClient, http, publicActions } from 'viem';
import { hardhat } from 'viem/chains';
import { HARDHAT_CHAIN_ID, type LocalChain } from '../dev/hardhat.ts';
import { freePort, waitUntil } from '../dev/ports.ts';
import { readyOrDead, startProcess } from '../dev/processes.ts';

const ANVIL = join(import.meta.dirname, '../../node_modules/@foundry-rs/anvil/bin.mjs');
const BLOCK_SECONDS = 1;

/** Anvil's verbs at a URL. */
export function anvilAt(url: string) {
  return createTestClient({
    chain: hardhat,
    mode: 'anvil',
    transport: http(url, { retryCount: 0 }),
    cacheTime: 0,
  }).extend(publicActions);
}

export type Anvil = ReturnType<typeof anvilAt>;

/** Starts one with Hardhat's accounts and waits until it answers. */
export async function startAnvil(logPath: string): Promise<LocalChain> {
  const port = await freePort();
  const rpcUrl = `http://127.0.0.1:${port}`;
  const node = startProcess({
    name: 'Anvil',
    command: process.execPath,
    args: [
      ...[ANVIL, '--host', '127.0.0.1', '--port', String(port), '--chain-id', String(HARDHAT_CHAIN_ID)],
      ...['--block-time', String(BLOCK_SECONDS), '--accounts', '20', '--silent'],
    ],
    // Otherwise its starter guesses by the name of the package that runs it.
    env: { ...process.env, TARGET_TOOL: 'anvil' },
    logPath,
    stopTimeoutMs: 3_000,
  });
  const client = anvilAt(rpcUrl);
  const responds = () =>
    client.getChainId().then(
      (id) => id === HARDHAT_CHAIN_ID,
      () => false,
    );
  try {
    await readyOrDead(node, waitUntil('Anvil', responds));
  } catch (error) {
    await node.stop();
    throw error;
  }
  return { rpcUrl, chainId: HARDHAT_CHAIN_ID, process: node, stop: () => node.stop() };
}
