// Owns one RPC URL of a chain: asking it, and whether to believe it. It is refused while it serves another chain or has gone
// back to blocks that it had left behind. Nothing that it throws holds its URL, which often carries a key.
import { BaseError, type Hex } from 'viem';
import { DestinationError, type IncomingAnswer, send } from '../destinations.ts';

/** A JSON-RPC request as EIP-1193 has it. */
export type RpcRequest = { method: string; params?: unknown };

/** A block's place in the chain. */
export type BlockPlace = { number: bigint; hash: Hex; parentHash: Hex; timestamp: bigint };

/** How an RPC URL does; without the URL. */
export type NodeReport = { state: 'ok' | 'silent' | 'refused' | 'unknown'; reason: string | null; head: bigint | null };

/** The node did not answer, or not with JSON-RPC. */
export class SilentNode extends BaseError {
  override name = 'SilentNode';
}

/** The node answered, and is not believed. */
export class RefusedNode extends BaseError {
  override name = 'RefusedNode';
}

/** The node answered with a JSON-RPC error. */
export class RpcError extends Error {
  override name = 'RpcError';
  readonly code: number;
  readonly data: unknown;

  constructor({ code, message, data }: { code?: unknown; message?: unknown; data?: unknown }) {
    super(typeof message === 'string' ? message : 'The node reports an error.');
    this.code = typeof code === 'number' ? code : -32_603;
    this.data = data;
  }
}

// Long enough for a busy public node, short enough that a request or a pass does not hang on a dead one.
const TIMEOUT_MS = 5_000;
// What an indexer reads in bulk may take longer; Ponder itself gives up after 10 s.
const BULK_TIMEOUT_MS = 9_000;
const BULK = new Set(['eth_getLogs', 'eth_getBlockReceipts']);
// Some 80,000 logs. An indexer halves its range when told so.
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
// A URL may be pointed at another chain at any time; asking costs one small request.
const CHAIN_CHECK_EVERY_MS = 60_000;
// Deeper than any reorg that a chain in use has seen; each step of proving one is a request.
const REMEMBERED_BLOCKS = 256;
const MAX_REST_MS = 5_000;

/**
 * One RPC URL. `restful`: after silence it is left alone for a while, which only makes sense beside others. `local`: it may lead
 * to a private address.
 */
export class RpcNode {
  readonly #url: string;
  readonly #eip155Id: bigint;
  readonly #restful: boolean;
  readonly #local: boolean;
  readonly #heads = new Map<bigint, Hex>();
  #head: bigint | null = null;
  #chainCheckedAt = Number.NEGATIVE_INFINITY;
  #silences = 0;
  #restUntil = 0;
  #report: Omit<NodeReport, 'head'> = { state: 'unknown', reason: null };
  #requestId = 0;

  constructor(url: string, eip155Id: bigint, { restful, local }: { restful: boolean; local: boolean }) {
    this.#url = url;
    this.#eip155Id = eip155Id;
    this.#restful = restful;
    this.#local = local;
  }

  get report(): NodeReport {
    return { ...this.#report, head: this.#head };
  }

  get isResting(): boolean {
    return Date.now() < this.#restUntil;
  }

  /** Asks the node, once it is known to serve the chain. @throws SilentNode · RefusedNode · RpcError */
  async request(request: RpcRequest): Promise<unknown> {
    await this.#checkChain();
    return await this.#ask(request);
  }

  /**
   * The node's newest block. A number below an earlier one is only taken when parent hashes lead from it past a block that
   * was another before to one that was the same: a reorganisation, and not a node that has lost what it had.
   * @throws SilentNode · RefusedNode · RpcError
   */
  async head(): Promise<BlockPlace> {
    const block = await this.block('latest');
    if (block === null) throw this.#refuse('has no newest block');
    const isOld = this.#head !== null && block.number <= this.#head;
    if (isOld && this.#heads.get(block.number) !== block.hash) await this.#proveBranch(block);
    else if (isOld && block.number !== this.#head) throw this.#wentBack(block);
    this.#heads.set(block.number - 1n, block.parentHash).set(block.number, block.hash);
    this.#head = block.number;
    for (const number of this.#heads.keys()) {
      if (number > block.number || number <= block.number - BigInt(REMEMBERED_BLOCKS)) this.#heads.delete(number);
    }
    this.#report = { state: 'ok', reason: null };
    return block;
  }

  /** A block by number or `latest`; null when the node has none. @throws SilentNode · RefusedNode · RpcError */
  async block(number: bigint | 'latest'): Promise<BlockPlace | null> {
    const tag = number === 'latest' ? number : `0x${number.toString(16)}`;
    return this.#place(await this.request({ method: 'eth_getBlockByNumber', params: [tag, false] }));
  }

  async #proveBranch(tip: BlockPlace): Promise<void> {
    let block = tip;
    let differs = false;
    for (let step = 0; step < REMEMBERED_BLOCKS; step += 1) {
      const known = this.#heads.get(block.number);
      if (known === block.hash) break;
      differs ||= known !== undefined;
      // Nothing is remembered below: then nothing can be proved.
      if (![...this.#heads.keys()].some((number) => number < block.number)) break;
      if (differs && this.#heads.get(block.number - 1n) === block.parentHash) return;
      const parent = this.#place(await this.#ask({ method: 'eth_getBlockByHash', params: [block.parentHash, false] }));
      if (parent === null || parent.hash !== block.parentHash || parent.number !== block.number - 1n) break;
      block = parent;
    }
    throw this.#wentBack(tip);
  }

  #wentBack({ number }: BlockPlace): RefusedNode {
    return this.#refuse(`went back from block ${this.#head} to ${number}`);
  }

  #place(answer: unknown): BlockPlace | null {
    if (answer === null) return null;
    const { number, hash, parentHash, timestamp } = Object(answer);
    if (![number, hash, parentHash, timestamp].every((value) => typeof value === 'string')) {
      throw this.#refuse('answers with a block that is none');
    }
    return { number: BigInt(number), hash, parentHash, timestamp: BigInt(timestamp) };
  }

  async #checkChain(): Promise<void> {
    if (Date.now() - this.#chainCheckedAt < CHAIN_CHECK_EVERY_MS) return;
    const answer = await this.#ask({ method: 'eth_chainId', params: [] });
    const served = typeof answer === 'string' && /^0x[0-9a-f]+$/i.test(answer) ? BigInt(answer) : null;
    if (served !== this.#eip155Id) throw this.#refuse(`serves chain ${served}, not ${this.#eip155Id}`);
    this.#chainCheckedAt = Date.now();
  }

  async #ask({ method, params = [] }: RpcRequest): Promise<unknown> {
    this.#requestId += 1;
    const body = JSON.stringify({ jsonrpc: '2.0', id: this.#requestId, method, params });
    const timeoutMs = BULK.has(method) ? BULK_TIMEOUT_MS : TIMEOUT_MS;
    let answer: { error?: object; result?: unknown } | null;
    try {
      // A connection that was kept open may be closed by the other side just then: that is worth one more try.
      const { body: text, complete } = await this.#post(body, timeoutMs).catch((error) =>
        isUnreachable(error) ? this.#post(body, timeoutMs) : Promise.reject(error),
      );
      if (!complete && text.length === MAX_ANSWER_BYTES) {
        throw new RpcError({ code: -32_005, message: 'backend response too large' });
      }
      // Some nodes report an error of JSON-RPC with a status of HTTP; what is not JSON is no answer.
      answer = JSON.parse(text.toString()) as typeof answer;
    } catch (error) {
      if (error instanceof RpcError) throw error;
      throw this.#fallSilent(error instanceof DestinationError ? REASONS[error.code] : 'no usable answer');
    }
    if (answer === null || typeof answer !== 'object' || !('result' in answer || 'error' in answer)) {
      throw this.#fallSilent('no usable answer');
    }
    this.#silences = 0;
    this.#restUntil = 0;
    if (answer.error) throw new RpcError(answer.error);
    if (this.#report.state === 'silent') this.#report = { state: 'unknown', reason: null };
    return answer.result;
  }

  async #post(body: string, timeoutMs: number): Promise<IncomingAnswer> {
    return await send(this.#url, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/json' },
      local: this.#local,
      timeoutMs,
      maxAnswerBytes: MAX_ANSWER_BYTES,
    });
  }

  #fallSilent(reason: string): SilentNode {
    this.#silences += 1;
    // After an outage it may be another node that answers.
    this.#chainCheckedAt = Number.NEGATIVE_INFINITY;
    if (this.#restful) this.#restUntil = Date.now() + Math.min(MAX_REST_MS, 250 * 2 ** this.#silences);
    this.#report = { state: 'silent', reason };
    return new SilentNode(reason);
  }

  #refuse(reason: string): RefusedNode {
    this.#report = { state: 'refused', reason };
    return new RefusedNode(reason);
  }
}

const REASONS: Record<DestinationError['code'], string> = {
  refused: 'its URL leads to a private address',
  timeout: 'no answer in time',
  unreachable: 'no usable answer',
};

function isUnreachable(error: unknown): boolean {
  return error instanceof DestinationError && error.code === 'unreachable';
}
