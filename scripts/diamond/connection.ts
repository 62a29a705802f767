/**
 * A chain as deployment and upgrade use it: reading, sending and waiting, and contracts created at most once however often
 * the process dies. It decides nothing about what is created.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Address,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeDeployData,
  getContractAddress,
  type Hex,
  keccak256,
  type Transport,
} from 'viem';
import type { PrivateKeyAccount } from 'viem/accounts';
import { type Artifact, logicHash, readArtifact } from '../artifacts.ts';
import type { Creation } from './manifest.ts';

/** An open connection. */
export type Connection = Awaited<ReturnType<typeof connect>>;

/** Where creations are written down before they are sent. */
export interface Journal {
  underWay: Record<string, Creation>;
  save(): void;
}

const PENDING_TIMEOUT_MS = 300_000;

/** Asks the chain who it is. @throws viem's errors when it does not answer */
export async function connect(transport: Transport, log: (line: string) => void = () => {}) {
  const chainId = await createPublicClient({ transport }).getChainId();
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [] } },
  });
  const reader = createPublicClient({ chain, transport, pollingInterval: 100, cacheTime: 0 });
  const { hash: genesisHash } = await reader.getBlock({ blockNumber: 0n });

  async function codeAt(address: Address): Promise<Hex | undefined> {
    return reader.getCode({ address });
  }

  /** Sends from `account` and waits until it is mined. @throws Error when it reverts */
  async function send(account: PrivateKeyAccount, transaction: { to?: Address; data: Hex; nonce?: number }) {
    const wallet = createWalletClient({ account, chain, transport });
    const hash = await wallet.sendTransaction(transaction);
    const receipt = await reader.waitForTransactionReceipt({ hash });
    if (receipt.status !== 'success') throw new Error(`transaction ${hash} reverted`);
    return receipt;
  }

  /** What an earlier run created under this name; the nonce to use once more when it died before sending. */
  async function recall(account: PrivateKeyAccount, earlier: Creation | undefined, initCodeHash: Hex) {
    if (earlier?.initCodeHash !== initCodeHash) return undefined;
    const count = (blockTag: 'latest' | 'pending') =>
      reader.getTransactionCount({ address: account.address, blockTag });
    const until = performance.now() + PENDING_TIMEOUT_MS;
    while ((await codeAt(earlier.address)) === undefined) {
      if ((await count('latest')) > earlier.nonce) return undefined; // spent on something else
      if ((await count('pending')) <= earlier.nonce) return { ...earlier, stands: false };
      if (performance.now() > until) {
        throw new Error(
          `the transaction of nonce ${earlier.nonce} is still not mined: speed it up, then run this again`,
        );
      }
      await sleep(1_000);
    }
    return { ...earlier, stands: true };
  }

  /**
   * Creates a contract, or finds the one that an earlier run created.
   * @throws Error when the code that stands there is not the compiled one
   */
  async function create(
    account: PrivateKeyAccount,
    journal: Journal,
    {
      name,
      artifact = readArtifact(name),
      args = [],
    }: { name: string; artifact?: Artifact; args?: readonly unknown[] },
  ): Promise<{ address: Address; codeHash: Hex; startBlock: number }> {
    const { abi, bytecode } = artifact;
    const data = encodeDeployData({ abi, bytecode, args });
    const initCodeHash = keccak256(data);
    const earlier = await recall(account, journal.underWay[name], initCodeHash);
    let startBlock = earlier?.fromBlock;
    let address = earlier?.address;
    if (earlier?.stands !== true || address === undefined) {
      const nonce =
        earlier?.nonce ?? (await reader.getTransactionCount({ address: account.address, blockTag: 'pending' }));
      address = getContractAddress({ from: account.address, nonce: BigInt(nonce) });
      const fromBlock = Number(await reader.getBlockNumber());
      journal.underWay[name] = { address, nonce, initCodeHash, fromBlock };
      journal.save();
      startBlock = Number((await send(account, { data, nonce })).blockNumber);
    }
    const code = await codeAt(address);
    if (code === undefined || logicHash(code, artifact) !== logicHash(artifact.deployedBytecode, artifact)) {
      throw new Error(`code hash mismatch: what stands at ${address} is not the compiled ${name}; nothing was cut in`);
    }
    log(`${name} ${address}${earlier?.stands === true ? ' (created by an earlier run)' : ''}`);
    return { address, codeHash: keccak256(code), startBlock: startBlock ?? 0 };
  }

  return { chainId, genesisHash, reader, codeAt, send, create };
}
