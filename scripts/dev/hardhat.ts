/** Hardhat as a child process: compiling the contracts, and a local chain on 127.0.0.1 that keeps nothing between runs. */
import { join } from 'node:path';
import { createPublicClient, http } from 'viem';
import { freePort, waitUntil } from './ports.ts';
import { type RunningProcess, readyOrDead, startProcess } from './processes.ts';

const ROOT = join(import.meta.dirname, '../..');
const CLI = join(ROOT, 'node_modules/hardhat/dist/src/cli.js');

/** The chain id of a Hardhat node unless another is asked for. */
export const HARDHAT_CHAIN_ID = 31337;

export type LocalChain = {
  readonly rpcUrl: string;
  readonly chainId: number;
  readonly process: RunningProcess;
  stop(): Promise<void>;
};

/** Starts a chain with one block a transaction and waits until it answers. */
export async function startChain({
  logPath,
  port,
  chainId = HARDHAT_CHAIN_ID,
}: {
  logPath: string;
  port?: number;
  chainId?: number;
}): Promise<LocalChain> {
  const chosen = port ?? (await freePort());
  const rpcUrl = `http://127.0.0.1:${chosen}`;
  const node = startProcess({
    name: 'Hardhat node',
    command: process.execPath,
    args: [CLI, 'node', '--hostname', '127.0.0.1', '--port', String(chosen), '--chain-id', String(chainId)],
    cwd: ROOT,
    logPath,
    stopTimeoutMs: 3_000,
  });
  const client = createPublicClient({ transport: http(rpcUrl, { retryCount: 0 }) });
  const responds = () =>
    client.getChainId().then(
      (id) => id === chainId,
      () => false,
    );
  try {
    await readyOrDead(node, waitUntil('The Hardhat node', responds));
  } catch (error) {
    await node.stop();
    throw error;
  }
  return { rpcUrl, chainId, process: node, stop: () => node.stop() };
}

/** Builds the contracts as they are deployed. @throws Error with the compiler's words */
export async function compileContracts(logPath: string): Promise<void> {
  const build = startProcess({
    name: 'Compiler',
    command: process.execPath,
    args: [CLI, 'build', '--no-tests'],
    cwd: ROOT,
    logPath,
  });
  const exit = await build.exited;
  if (exit.code !== 0) throw new Error(`The contracts do not compile:\n${build.tail(30)}`);
}
