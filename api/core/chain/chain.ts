// Owns reading the chain by RPC. Writes nothing. What decides about money is what a quorum of the network's nodes says
// (quorum.ts); everything that a node answers is checked against what we know ourselves.
import {
  type Address,
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  custom,
  decodeErrorResult,
  decodeEventLog,
  type Hex,
  isAddressEqual,
  type Log,
  type PublicClient,
  parseEventLogs,
  RawContractError,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from 'viem';
import { escrowAbi, usdcAbi } from '../../../contracts/abi.ts';
import { decodeDealState } from '../../../contracts/terms.ts';
import { CoreError, type FieldFaults } from '../errors.ts';
import type { CurrencyRow, NetworkRow } from '../schema.ts';
import { Quorum } from './quorum.ts';
import { type NodeReport, RefusedNode, RpcError, type RpcRequest } from './rpc.ts';

type Access = { urls: string; quorum: Quorum; client: PublicClient };

/** What the last event that moved a deal says, as the mirror has it. */
export type Moved = {
  eventName: string;
  /** Of the deal, or of an offer that was closed. */
  dealId: Hex;
  releasedUnits: bigint;
  refundedUnits: bigint;
  blockNumber: bigint;
  transactionHash: Hex;
  logIndex: number;
};

/** A withdrawal as the mirror has it. */
export type MovedCredit = Omit<Moved, 'eventName' | 'dealId' | 'releasedUnits' | 'refundedUnits'> & {
  token: Address;
  account: Address;
  amountUnits: bigint;
};

/** A deal that a receipt says was opened. */
export type SeenDeposit = { id: Hex; payer: Address; transactionHash: Hex };

/** RPC clients by network. One lives as long as the process, and knows by then what each URL is worth. */
export class Chain {
  readonly #accesses = new Map<string, Access>();

  /** The client of a network, over all of its RPC URLs. */
  client(network: NetworkRow): PublicClient {
    return this.#access(network).client;
  }

  /** How each RPC URL of a network does, in the order of its record, as far as this process has asked them. */
  report(network: NetworkRow): NodeReport[] {
    return this.#access(network).quorum.report();
  }

  /** The RPC URLs of a network as one: for whoever reads by requests of his own. */
  quorum(network: NetworkRow): Quorum {
    return this.#access(network).quorum;
  }

  /**
   * The block in which a network's diamond was created, found by asking for its code at ever fewer blocks.
   * @throws invalid_request when a node that keeps no old state cannot tell · upstream_unavailable.
   */
  async findStartBlock(network: NetworkRow): Promise<bigint> {
    const { quorum } = this.#access(network);
    const head = await reachable(network, async () => (await quorum.head()).number);
    const isThere = async (block: bigint) => {
      const params = [network.diamondAddress, `0x${block.toString(16)}`];
      const code = await quorum.request({ method: 'eth_getCode', params }).catch((error) => {
        if (!(error instanceof RpcError)) throw error;
        throw new CoreError('invalid_request', 'Not valid: start_block.', [
          { pointer: '/start_block', message: 'is required: the RPC node keeps no state so old that it could tell' },
        ]);
      });
      return code !== '0x';
    };
    return await reachable(network, async () => {
      let [without, there] = [-1n, head];
      while (there - without > 1n) {
        const middle = (without + there) / 2n;
        if (await isThere(middle)) there = middle;
        else without = middle;
      }
      return there;
    });
  }

  #access(network: NetworkRow): Access {
    const urls = `${network.local} ${network.rpcUrls.join(' ')}`;
    const known = this.#accesses.get(network.id);
    if (known?.urls === urls) return known;
    const quorum = new Quorum(network.rpcUrls, network.eip155Id, network);
    const access = { urls, quorum, client: clientOf((request) => quorum.request(request)) };
    this.#accesses.set(network.id, access);
    return access;
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
    const [code, policy, decimals] = await reachable(network, () =>
      Promise.all([
        client.getCode({ address }),
        client
          .readContract({ address, abi: escrowAbi, functionName: 'tokenPolicy', args: [token] })
          .catch(contractOnly),
        client.readContract({ address: token, abi: usdcAbi, functionName: 'decimals' }).catch(contractOnly),
      ]),
    );
    const refuse = (why: string) => new CoreError('upstream_unavailable', `Network ${network.name}: ${why}.`);
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
      const node = new Quorum([url], network.eip155Id, network);
      const client = clientOf((request) => node.request(request));
      const refusal = await reachable(network, () => node.head().catch(refusalOnly));
      if (refusal instanceof RefusedNode) {
        faults.add(`/rpc_urls/${index}`, refusal.shortMessage);
        continue;
      }
      if (index > 0) continue;
      const head = refusal.number;
      const [code, policy] = await reachable(network, () =>
        Promise.all([
          client.getCode({ address }),
          client
            .readContract({ address, abi: escrowAbi, functionName: 'tokenPolicy', args: [address] })
            .catch(contractOnly),
        ]),
      );
      if (!code) faults.add('/diamond_address', 'has no contract on the chain');
      else if (!policy) faults.add('/diamond_address', 'is not an escrow');
      if (code && network.startBlock !== null) await checkStartBlock(client, network, head, faults);
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

  /** The newest block that is deep enough to count, not above `atMost`, as a quorum has it. @throws upstream_unavailable */
  async safeBlock(network: NetworkRow, atMost: bigint): Promise<{ number: bigint; timestamp: bigint; head: bigint }> {
    const { quorum } = this.#access(network);
    return await reachable(network, async () => {
      const head = (await quorum.head()).number;
      const deep = head - BigInt(network.confirmations - 1);
      const number = deep < atMost ? deep : atMost;
      const { timestamp } = await quorum.block(number > 0n ? number : 0n);
      return { number, timestamp, head };
    });
  }

  /** A deal's slot at the head as a quorum has it, whatever the mirror says. @throws upstream_unavailable */
  async deal(network: NetworkRow, dealId: Hex): Promise<{ released: bigint; refunded: bigint; status: number }> {
    const { quorum } = this.#access(network);
    const address = network.diamondAddress;
    return await reachable(network, async () => {
      const { number: blockNumber } = await quorum.head();
      return await quorum.agree(
        (request) =>
          clientOf(request).readContract({
            address,
            abi: escrowAbi,
            functionName: 'getDeal',
            args: [dealId],
            blockNumber,
          }),
        ({ released, refunded, status }) => `${released} ${refunded} ${status}`,
      );
    });
  }

  /**
   * How many transactions an address has sent: in the newest block, and in the newest that is deep enough, as a quorum has it.
   * @throws upstream_unavailable
   */
  async sentCounts(
    network: NetworkRow,
    address: Address,
  ): Promise<{ head: bigint; deep: bigint; atHead: bigint; atDeep: bigint }> {
    const { quorum } = this.#access(network);
    return await reachable(network, async () => {
      const { number: head } = await quorum.head();
      const deep = head - BigInt(network.confirmations - 1);
      const count = async (blockNumber: bigint) =>
        await quorum.agree((request) => clientOf(request).getTransactionCount({ address, blockNumber }), String);
      const atHead = await count(head);
      return {
        head,
        deep,
        atHead: BigInt(atHead),
        atDeep: deep < 0n ? 0n : BigInt(deep === head ? atHead : await count(deep)),
      };
    });
  }

  /** The receipt of a transaction as a quorum has it; null when it is in no block. @throws upstream_unavailable */
  async receipt(network: NetworkRow, hash: Hex): Promise<TransactionReceipt | null> {
    const { quorum } = this.#access(network);
    const read = async (client: PublicClient): Promise<TransactionReceipt | null> => {
      try {
        const receipt = await client.getTransactionReceipt({ hash });
        return receipt.transactionHash === hash ? receipt : null;
      } catch (error) {
        if (error instanceof TransactionReceiptNotFoundError) return null;
        throw error;
      }
    };
    return await reachable(network, () =>
      quorum.agree(
        (request) => read(clientOf(request)),
        (receipt) => (receipt ? `${receipt.blockHash} ${receipt.status}` : 'none'),
      ),
    );
  }

  /** What `read` finds through the network's nodes, said alike by a quorum as far as `keyOf` goes. @throws upstream_unavailable */
  async agree<T>(
    network: NetworkRow,
    read: (client: PublicClient) => Promise<T>,
    keyOf: (answer: T) => string,
  ): Promise<T> {
    return await reachable(network, () => this.quorum(network).agree((request) => read(clientOf(request)), keyOf));
  }

  /**
   * The deals that a transaction opened in the network's diamond, as a quorum has its receipt; none when it is in no block or was
   * reverted. @throws upstream_unavailable
   */
  async depositsOf(network: NetworkRow, transactionHash: Hex): Promise<SeenDeposit[]> {
    const { quorum } = this.#access(network);
    return await reachable(network, async () => {
      const logs = await quorum.agree(
        (request) => receiptLogs(request, transactionHash),
        (found) => JSON.stringify(found),
      );
      const ours = logs.filter(({ address }) => isAddressEqual(address, network.diamondAddress));
      return parseEventLogs({ abi: escrowAbi, eventName: 'Deposited', logs: ours as unknown as Log[] }).map(
        ({ args: { id, payer } }) => ({ id, payer, transactionHash }),
      );
    });
  }

  /**
   * Whether an event that the mirror has is on chain as a quorum has it. The mirror follows one node at a time, so a second
   * one is asked where there is one; of a single node nothing more can be known. @throws upstream_unavailable
   */
  async isWitnessed(network: NetworkRow, moved: Moved): Promise<boolean> {
    const event = await this.#witness(network, moved);
    if (event === 'unasked') return true;
    if (event?.eventName !== moved.eventName || !('id' in event.args) || event.args.id !== moved.dealId) return false;
    const { released, refunded } =
      'state' in event.args ? decodeDealState(event.args.state) : { released: 0n, refunded: 0n };
    return released === moved.releasedUnits && refunded === moved.refundedUnits;
  }

  /** The same of a withdrawal. @throws upstream_unavailable */
  async isWithdrawalWitnessed(network: NetworkRow, moved: MovedCredit): Promise<boolean> {
    const event = await this.#witness(network, moved);
    if (event === 'unasked') return true;
    if (event?.eventName !== 'Withdrawn') return false;
    const { token, account, amount } = event.args;
    return isAddressEqual(token, moved.token) && isAddressEqual(account, moved.account) && amount === moved.amountUnits;
  }

  /** The diamond's event at this place as a quorum has it; `unasked` where one node is all there is: the mirror is its word. */
  async #witness(network: NetworkRow, moved: Pick<Moved, 'transactionHash' | 'logIndex' | 'blockNumber'>) {
    const { quorum } = this.#access(network);
    if (quorum.size === 1) return 'unasked' as const;
    const log = await reachable(network, () =>
      quorum.agree(
        (request) => receiptLog(request, moved),
        (found) => JSON.stringify(found),
      ),
    );
    if (log === null || BigInt(log.blockNumber) !== moved.blockNumber) return undefined;
    if (!isAddressEqual(log.address, network.diamondAddress)) return undefined;
    return decodeEventLog({ abi: escrowAbi, data: log.data, topics: log.topics });
  }
}

type ReceiptLog = { address: Address; blockNumber: Hex; data: Hex; topics: [Hex, ...Hex[]]; logIndex: Hex };

/** One log of a mined transaction, or null when the node does not have it. */
async function receiptLog(
  request: (request: RpcRequest) => Promise<unknown>,
  { transactionHash, logIndex }: Pick<Moved, 'transactionHash' | 'logIndex'>,
): Promise<ReceiptLog | null> {
  const logs = await receiptLogs(request, transactionHash);
  return logs.find((log) => Number(log.logIndex) === logIndex) ?? null;
}

/** The logs of a mined transaction; none when the node does not have it, or it was reverted. */
async function receiptLogs(request: (request: RpcRequest) => Promise<unknown>, hash: Hex): Promise<ReceiptLog[]> {
  const receipt = await request({ method: 'eth_getTransactionReceipt', params: [hash] });
  const { status, transactionHash, blockNumber, logs } = Object(receipt ?? {});
  if (status !== '0x1' || transactionHash !== hash || !Array.isArray(logs)) return [];
  return logs.map(({ address, data, topics, logIndex }) => ({ address, blockNumber, data, topics, logIndex }));
}

function clientOf(request: (request: RpcRequest) => Promise<unknown>): PublicClient {
  // A refused or silent node has been passed over already; asking all of them again would only take longer.
  return createPublicClient({ transport: custom({ request }, { retryCount: 0 }), cacheTime: 0, pollingInterval: 250 });
}

/** A start block that comes too late would hide deals; one that comes too early only costs time. */
async function checkStartBlock(
  client: PublicClient,
  { diamondAddress: address, startBlock }: NetworkRow,
  head: bigint,
  faults: FieldFaults,
): Promise<void> {
  if (startBlock === null || startBlock === 0n) return;
  if (startBlock > head) return faults.add('/start_block', `is after the newest block, ${head}`);
  // A node that keeps no old state cannot tell: then the operator's word stands.
  const before = await client.getCode({ address, blockNumber: startBlock - 1n }).catch(() => undefined);
  if (before) faults.add('/start_block', 'is after the block in which the diamond was created');
}

function refusalOnly(error: unknown): RefusedNode {
  if (error instanceof RefusedNode) return error;
  throw error;
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

/** Whether a failed call or estimate failed in the contract, not on the way to it. */
export function isRevert(error: unknown): boolean {
  if (revertData(error) !== undefined) return true;
  return error instanceof BaseError && /revert|invalid opcode/i.test(`${error.shortMessage} ${error.details}`);
}

/** For a read's `catch`: a contract that answers wrongly is a fact about the contract; a node that does not answer is not. */
export function contractOnly(error: unknown): undefined {
  if (error instanceof BaseError && error.name === 'ContractFunctionExecutionError') {
    const cause = error.cause;
    if (cause instanceof BaseError && /Revert|ZeroData/.test(cause.name)) return undefined;
  }
  throw error;
}
