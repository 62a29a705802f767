// Owns reading the chain by RPC. Writes nothing.
// Everything that a node answers is checked where it decides about money.
import {
  type Address,
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  decodeErrorResult,
  fallback,
  type Hex,
  http,
  type PublicClient,
  RawContractError,
} from 'viem';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { CoreError, type FieldFaults } from './errors.ts';
import type { CurrencyRow, NetworkRow } from './schema.ts';

// Long enough for a busy public node, short enough that a request or a pass does not hang on a dead one.
const RPC_TIMEOUT_MS = 5_000;

/** RPC clients by network. One lives as long as the process. */
export class Chain {
  readonly #clients = new Map<string, PublicClient>();

  /** The client of a network, over all of its RPC URLs. */
  client(network: NetworkRow): PublicClient {
    const key = `${network.id} ${network.rpcUrls.join(' ')}`;
    let client = this.#clients.get(key);
    if (!client) {
      const transports = network.rpcUrls.map((url) => http(url, { timeout: RPC_TIMEOUT_MS, retryCount: 1 }));
      client = createPublicClient({ transport: fallback(transports), cacheTime: 0, pollingInterval: 250 });
      this.#clients.set(key, client);
    }
    return client;
  }

  /**
   * Checks that terms for this network and currency can be paid: chain id, code at the diamond's address, the token's
   * policy and its decimals.
   * @throws upstream_unavailable when the network does not answer or is not what its record says.
   */
  async checkPayable(network: NetworkRow, currency: CurrencyRow): Promise<void> {
    const client = this.client(network);
    const { diamondAddress: address } = network;
    const { tokenAddress: token } = currency;
    if (!token) throw new CoreError('upstream_unavailable', `Network ${network.name}: ${currency.code} is no token.`);
    const [chainId, code, policy, decimals] = await reachable(network, () =>
      Promise.all([
        client.getChainId(),
        client.getCode({ address }),
        client
          .readContract({ address, abi: escrowAbi, functionName: 'tokenPolicy', args: [token] })
          .catch(contractOnly),
        client.readContract({ address: token, abi: usdcAbi, functionName: 'decimals' }).catch(contractOnly),
      ]),
    );
    const refuse = (why: string) => new CoreError('upstream_unavailable', `Network ${network.name}: ${why}.`);
    if (BigInt(chainId) !== network.eip155Id) throw refuse(`its node serves chain ${chainId}, not ${network.eip155Id}`);
    if (!code) throw refuse('there is no contract at the diamond address');
    if (!policy) throw refuse('the contract at the diamond address is not an escrow');
    if (!policy.allowed) throw refuse(`the escrow does not allow ${currency.code}`);
    if (policy.paused) throw refuse(`deposits of ${currency.code} are paused`);
    if (decimals !== currency.decimals) throw refuse(`${currency.code} has ${decimals} decimals on chain`);
  }

  /**
   * Checks what a network's record claims: each RPC URL serves the chain, an escrow is at the diamond's address, and the chain
   * has as many blocks as make a fact count. What is wrong is added to `faults` under the record's fields.
   * @throws upstream_unavailable when a URL does not answer.
   */
  async checkNetwork(network: NetworkRow, faults: FieldFaults): Promise<void> {
    const { diamondAddress: address } = network;
    for (const [index, url] of network.rpcUrls.entries()) {
      const client = createPublicClient({
        transport: http(url, { timeout: RPC_TIMEOUT_MS, retryCount: 1 }),
        cacheTime: 0,
      });
      const [chainId, code, head, policy] = await reachable(network, () =>
        Promise.all([
          client.getChainId(),
          client.getCode({ address }),
          client.getBlockNumber(),
          client
            .readContract({ address, abi: escrowAbi, functionName: 'tokenPolicy', args: [address] })
            .catch(contractOnly),
        ]),
      );
      if (BigInt(chainId) !== network.eip155Id) {
        faults.add(`/rpc_urls/${index}`, `serves chain ${chainId}, not ${network.eip155Id}`);
        continue;
      }
      if (index > 0) continue;
      if (!code) faults.add('/diamond_address', 'has no contract on the chain');
      else if (!policy) faults.add('/diamond_address', 'is not an escrow');
      if (head + 1n < BigInt(network.confirmations)) {
        faults.add('/confirmations', `is more than the ${head + 1n} blocks of the chain`);
      }
    }
  }

  /**
   * A token's decimals on chain; null, with a fault under `/token_address`, when the escrow does not allow it or it has none.
   * @throws upstream_unavailable
   */
  async tokenDecimals(network: NetworkRow, token: Address, faults: FieldFaults): Promise<number | null> {
    const client = this.client(network);
    const { diamondAddress: address } = network;
    const [policy, decimals] = await reachable(network, () =>
      Promise.all([
        client.readContract({ address, abi: escrowAbi, functionName: 'tokenPolicy', args: [token] }),
        client.readContract({ address: token, abi: usdcAbi, functionName: 'decimals' }).catch(contractOnly),
      ]),
    );
    if (!policy.allowed) faults.add('/token_address', 'is not allowed by the escrow of the network');
    else if (decimals === undefined) faults.add('/token_address', 'does not say how many decimals it has');
    return decimals ?? null;
  }

  /** The newest block that is deep enough to count and not above `atMost`. @throws upstream_unavailable */
  async safeBlock(network: NetworkRow, atMost: bigint): Promise<{ number: bigint; timestamp: bigint; head: bigint }> {
    const client = this.client(network);
    return await reachable(network, async () => {
      const head = await client.getBlockNumber();
      const deep = head - BigInt(network.confirmations - 1);
      const number = deep < atMost ? deep : atMost;
      const block = await client.getBlock({ blockNumber: number > 0n ? number : 0n });
      return { number, timestamp: block.timestamp, head };
    });
  }

  /** A deal's slot at the head, whatever the mirror says. @throws upstream_unavailable */
  async deal(network: NetworkRow, dealId: Hex): Promise<{ released: bigint; refunded: bigint; status: number }> {
    return await reachable(network, () =>
      this.client(network).readContract({
        address: network.diamondAddress,
        abi: escrowAbi,
        functionName: 'getDeal',
        args: [dealId],
      }),
    );
  }
}

/** Runs an RPC read. @throws upstream_unavailable in place of whatever the transport threw; its URLs stay inside. */
export async function reachable<T>(network: NetworkRow, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof CoreError) throw error;
    throw new CoreError('upstream_unavailable', `Network ${network.name} does not answer: ${reasonOf(error)}.`);
  }
}

/** A revert as text: the custom error and its arguments, or viem's short message, which holds no URL. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof BaseError)) return 'unexpected answer';
  const reverted = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  if (reverted instanceof ContractFunctionRevertedError && reverted.data) {
    return `${reverted.data.errorName}(${(reverted.data.args ?? []).join(', ')})`;
  }
  return revertText(revertData(error)) ?? error.shortMessage.split('\n')[0]?.replace(/\.$/, '') ?? 'unexpected answer';
}

/** The revert data of a failed call or estimate, if a contract gave any. */
export function revertData(error: unknown): Hex | undefined {
  if (!(error instanceof BaseError)) return undefined;
  const raw = error.walk((cause) => cause instanceof RawContractError || 'data' in (cause as object));
  const data = (raw as { data?: Hex | { data?: Hex } } | null)?.data;
  const hex = typeof data === 'object' ? data?.data : data;
  return typeof hex === 'string' && hex.startsWith('0x') && hex.length >= 10 ? hex : undefined;
}

/** Revert data of the escrow as `Error(arguments)`. */
function revertText(data: Hex | undefined): string | undefined {
  if (!data) return undefined;
  try {
    const { errorName, args } = decodeErrorResult({ abi: escrowAbi, data });
    return `${errorName}(${(args ?? []).join(', ')})`;
  } catch {
    return undefined;
  }
}

// A contract that answers wrongly is a fact about the contract; a node that does not answer is not.
function contractOnly(error: unknown): undefined {
  if (error instanceof BaseError && error.name === 'ContractFunctionExecutionError') {
    const cause = error.cause;
    if (cause instanceof BaseError && /Revert|ZeroData/.test(cause.name)) return undefined;
  }
  throw error;
}
