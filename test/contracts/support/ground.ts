/** What tests of deployment and upgrade stand on: a Hardhat node, a folder, transports that die, and facets made by hand. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Abi,
  type Address,
  concatHex,
  createTestClient,
  createWalletClient,
  custom,
  type Hex,
  http,
  publicActions,
  size,
  type Transport,
  toHex,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';
import { hardhatKey, ROLES } from '../../../scripts/dev/accounts.ts';
import { startChain } from '../../../scripts/dev/hardhat.ts';
import type { CompiledFacet } from '../../../scripts/diamond/plan.ts';

/** A node of its own with a client that may turn its clock. */
export async function openGround() {
  const folder = mkdtempSync(join(tmpdir(), 'dealkeep-deploy-'));
  const chain = await startChain({ logPath: join(folder, 'chain.log') });
  const client = createTestClient({ chain: hardhat, mode: 'hardhat', transport: http(chain.rpcUrl) }).extend(
    publicActions,
  );
  let books = 0;
  return {
    rpcUrl: chain.rpcUrl,
    chainId: chain.chainId,
    client,
    key: hardhatKey(ROLES.deployer),
    /** An address book that is not there yet: another deployment. */
    newBook: () => join(folder, `book-${books++}.json`),
    async passTime(seconds: number) {
      await client.increaseTime({ seconds });
      await client.mine({ blocks: 1 });
    },
    /** Sends from a key and waits. */
    async send(key: Hex, to: Address, data: Hex) {
      const account = privateKeyToAccount(key);
      const wallet = createWalletClient({ account, chain: hardhat, transport: http(chain.rpcUrl) });
      await client.waitForTransactionReceipt({ hash: await wallet.sendTransaction({ to, data }) });
    },
    /** Sends as a contract, which no key can. */
    async sendAs(account: Address, to: Address, data: Hex) {
      await client.impersonateAccount({ address: account });
      await client.setBalance({ address: account, value: 10n ** 18n });
      const wallet = createWalletClient({ account, chain: hardhat, transport: http(chain.rpcUrl) });
      await client.waitForTransactionReceipt({ hash: await wallet.sendTransaction({ to, data }) });
    },
    /** Creates a contract of this runtime code. */
    async place(runtime: Hex): Promise<Address> {
      const address = privateKeyToAccount(generatePrivateKey()).address;
      await client.setCode({ address, bytecode: runtime });
      return address;
    },
    async sentBy(address: Address) {
      return client.getTransactionCount({ address });
    },
    async stop() {
      await chain.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The wire of a process that dies at its `nth` transaction (from 0), either before it leaves or before the answer comes. */
export function dyingTransport(rpcUrl: string, nth: number, when: 'before' | 'after'): Transport {
  const wire = http(rpcUrl)({});
  let sent = 0;
  return custom(
    {
      async request({ method, params }) {
        if (method !== 'eth_sendRawTransaction') return wire.request({ method, params });
        const dies = sent++ === nth;
        if (dies && when === 'before') throw new Error('the process died');
        const answer = await wire.request({ method, params });
        if (dies) throw new Error('the process died');
        return answer;
      },
    },
    { retryCount: 0 },
  );
}

/** A facet whose functions all answer with one number. */
export function facetAnswering(name: string, answer: number, functions: readonly string[]): CompiledFacet {
  // PUSH1 answer, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN
  const runtime = concatHex(['0x60', toHex(answer, { size: 1 }), '0x5f5260205ff3']);
  // PUSH1 length, PUSH1 10, PUSH0, CODECOPY, PUSH1 length, PUSH0, RETURN
  const length = toHex(size(runtime), { size: 1 });
  const bytecode: Hex = concatHex(['0x60', length, '0x600a5f3960', length, '0x5ff3', runtime]);
  const abi: Abi = functions.map((functionName) => ({
    type: 'function',
    name: functionName,
    inputs: [],
    outputs: [{ type: 'uint256' }],
    stateMutability: 'view',
  }));
  return { name, artifact: { abi, bytecode, deployedBytecode: runtime } };
}

/** Runtime code that gives one answer to everything. */
export function codeAnswering(answer: Hex): Hex {
  const length = toHex(size(answer), { size: 2 });
  // PUSH2 length, PUSH1 12, PUSH0, CODECOPY, PUSH2 length, PUSH0, RETURN
  return concatHex(['0x61', length, '0x600c5f3961', length, '0x5ff3', answer]);
}

/** Why a promise was refused. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'accepted',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}
