// Owns what the RPC URLs of one network say together. What decides about money must be said alike by more than half of them;
// everything else is asked of one that is well. One URL is its own quorum.
import { BaseError } from 'viem';
import {
  type BlockPlace,
  type NodeReport,
  RefusedNode,
  RpcError,
  RpcNode,
  type RpcRequest,
  SilentNode,
} from './rpc.ts';

/** What a quorum's nodes do not say alike, or too few of them say at all. */
export class NoQuorum extends BaseError {
  override name = 'NoQuorum';
}

// How long the slower half may take once the faster one has answered.
const GRACE_MS = 150;
// Passes and readers that come at once share an answer.
const HEAD_FRESH_MS = 100;
// Two nodes may stand on different newest blocks; that far below they agree, or one of them is on a fork.
const DISPUTED_BLOCKS = 8n;
const REMEMBERED_HEADS = 256;
// Answers that another node may give better: its own fault, its limits, or what it does not have.
const ANOTHER_MAY_KNOW = new Set([-32_601, -32_602, -32_603, -32_005, -32_001, -32_002, -32_000]);

/** The RPC URLs of one network. */
export class Quorum {
  readonly #nodes: RpcNode[];
  readonly #eip155Id: bigint;
  /** How many must say the same. */
  readonly #needed: number;
  readonly #agreed = new Map<bigint, BlockPlace>();
  #head: BlockPlace | null = null;
  #asking: { at: number; head: Promise<BlockPlace> } | null = null;

  constructor(urls: readonly string[], eip155Id: bigint, { local }: { local: boolean }) {
    this.#nodes = urls.map((url) => new RpcNode(url, eip155Id, { restful: urls.length > 1, local }));
    this.#eip155Id = eip155Id;
    this.#needed = Math.floor(urls.length / 2) + 1;
  }

  /** How many URLs there are. */
  get size(): number {
    return this.#nodes.length;
  }

  /** How each URL does, in the order of the record. */
  report(): NodeReport[] {
    return this.#nodes.map((node) => node.report);
  }

  /**
   * The newest block that a quorum has reached and agrees on. Never one before an earlier answer, unless the chain was
   * reorganised. @throws NoQuorum
   */
  head(): Promise<BlockPlace> {
    if (this.#asking === null || Date.now() - this.#asking.at > HEAD_FRESH_MS) {
      this.#asking = { at: Date.now(), head: this.#findHead() };
    }
    return this.#asking.head;
  }

  /** A block at or below the head as a quorum has it. @throws NoQuorum */
  async block(number: bigint): Promise<BlockPlace> {
    const head = await this.head();
    return number === head.number ? head : await this.#agreedBlock(number);
  }

  /**
   * What `read` finds, said alike by a quorum; two answers are alike when `keyOf` says so. A node that throws anything but
   * silence or refusal fails the whole. @throws NoQuorum
   */
  async agree<T>(
    read: (request: (request: RpcRequest) => Promise<unknown>) => Promise<T>,
    keyOf: (answer: T) => string,
  ): Promise<T> {
    return await this.#poll((node) => read((request) => node.request(request)), keyOf);
  }

  /** Asks as any client would: the head is the quorum's, a transaction goes to every node, the rest to one that is well. */
  async request({ method, params = [] }: RpcRequest): Promise<unknown> {
    const [tag, full] = Array.isArray(params) ? params : [];
    if (method === 'eth_chainId') {
      await this.#askOne({ method, params });
      return `0x${this.#eip155Id.toString(16)}`;
    }
    if (method === 'eth_blockNumber') return `0x${(await this.head()).number.toString(16)}`;
    if (method === 'eth_getBlockByNumber' && tag === 'latest') {
      const { hash } = await this.head();
      return await this.#askOne({ method: 'eth_getBlockByHash', params: [hash, full] }, (answer) => answer !== null);
    }
    if (method === 'eth_sendRawTransaction') return await this.#tellAll({ method, params });
    return await this.#askOne({ method, params });
  }

  async #findHead(): Promise<BlockPlace> {
    const heads = await this.#answers((node) => node.head());
    const numbers = heads.map(({ number }) => number).sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
    const reached = numbers[this.#needed - 1];
    if (reached === undefined) throw this.#noQuorum(`${heads.length} of ${this.size} nodes answer`);
    const agreed = await this.#newestAgreed(reached, heads);
    if (this.#head !== null && agreed.number < this.#head.number && !(await this.#branchedOff(agreed)))
      return this.#head;
    this.#agreed.set(agreed.number, agreed);
    this.#head = agreed;
    for (const number of this.#agreed.keys()) {
      if (number > agreed.number || number <= agreed.number - BigInt(REMEMBERED_HEADS)) this.#agreed.delete(number);
    }
    return agreed;
  }

  async #newestAgreed(reached: bigint, heads: readonly BlockPlace[]): Promise<BlockPlace> {
    const atReached = heads.filter(({ number }) => number === reached);
    const votes = atReached.filter(({ hash }) => hash === atReached[0]?.hash);
    if (votes[0] && votes.length >= this.#needed) return votes[0];
    for (let number = reached; ; number -= 1n) {
      try {
        return await this.#agreedBlock(number);
      } catch (error) {
        if (!(error instanceof NoQuorum) || number === 0n || reached - number >= DISPUTED_BLOCKS) throw error;
      }
    }
  }

  async #agreedBlock(number: bigint): Promise<BlockPlace> {
    return await this.#poll(
      async (node) => {
        const block = await node.block(number);
        if (block === null) throw new RefusedNode(`has no block ${number}`);
        return block;
      },
      ({ hash }) => hash,
    );
  }

  /** Whether a block below the head is of another branch than what was agreed before. */
  async #branchedOff(agreed: BlockPlace): Promise<boolean> {
    const known = [...this.#agreed.keys()].filter((number) => number <= agreed.number);
    const newest = known.reduce<bigint | null>(
      (best, number) => (best === null || number > best ? number : best),
      null,
    );
    if (newest === null) return false;
    const now = newest === agreed.number ? agreed : await this.#agreedBlock(newest);
    return now.hash !== this.#agreed.get(newest)?.hash;
  }

  /** The first answer that a quorum gives alike. */
  async #poll<T>(ask: (node: RpcNode) => Promise<T>, keyOf: (answer: T) => string): Promise<T> {
    const answers = await this.#answers(ask);
    const votes = new Map<string, number>();
    for (const answer of answers) {
      const key = keyOf(answer);
      const count = (votes.get(key) ?? 0) + 1;
      votes.set(key, count);
      if (count >= this.#needed) return answer;
    }
    const said =
      answers.length < this.#needed ? `${answers.length} of ${this.size} nodes answer` : 'its nodes disagree';
    throw this.#noQuorum(said);
  }

  /** What the nodes answer that are well; the slow ones are not waited for once a quorum has answered. */
  async #answers<T>(ask: (node: RpcNode) => Promise<T>): Promise<T[]> {
    const answers: T[] = [];
    let faulty: unknown;
    const asked = this.#nodes.filter((node) => !node.isResting);
    const enough = Promise.withResolvers<void>();
    const all = asked.map(async (node) => {
      try {
        answers.push(await ask(node));
        if (answers.length >= this.#needed) enough.resolve();
      } catch (error) {
        // One URL has nobody to outvote it, so its own words say most.
        if (this.size === 1 || !isNodesFault(error)) faulty ??= error;
      }
    });
    const rest = Promise.all(all);
    if (this.size === 1) await rest;
    else await Promise.race([rest, enough.promise.then(() => new Promise((resolve) => setTimeout(resolve, GRACE_MS)))]);
    if (faulty !== undefined && answers.length < this.#needed) throw faulty;
    return [...answers];
  }

  /** The first usable answer of one node after the other. */
  async #askOne(request: RpcRequest, isUsable: (answer: unknown) => boolean = () => true): Promise<unknown> {
    let last: unknown = this.#noQuorum('no node has the block');
    for (const node of this.#bestFirst()) {
      try {
        const answer = await node.request(request);
        if (isUsable(answer)) return answer;
      } catch (error) {
        if (error instanceof RpcError && !mayBeKnownElsewhere(error)) throw error;
        // What a node says beats that another one said nothing.
        if (!(last instanceof RpcError)) last = error;
      }
    }
    throw last;
  }

  async #tellAll(request: RpcRequest): Promise<unknown> {
    const told = await Promise.allSettled(
      this.#nodes.filter((node) => !node.isResting).map((node) => node.request(request)),
    );
    const accepted = told.find((answer) => answer.status === 'fulfilled');
    if (accepted) return accepted.value;
    const refusals = told.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
    throw refusals.find((reason) => reason instanceof RpcError) ?? refusals[0] ?? this.#noQuorum('no node answers');
  }

  /** Nodes that are well and have come to the head before those that lag, those before the silent and the refused. */
  #bestFirst(): RpcNode[] {
    const rank = (node: RpcNode) => {
      const { state, head } = node.report;
      if (node.isResting || state === 'refused' || state === 'silent') return 2;
      return head !== null && this.#head !== null && head >= this.#head.number ? 0 : 1;
    };
    return this.#nodes.toSorted((a, b) => rank(a) - rank(b));
  }

  #noQuorum(said: string): NoQuorum {
    const faults = this.report().flatMap(({ reason }, index) =>
      reason === null ? [] : [`node ${index + 1}: ${reason}`],
    );
    return new NoQuorum(`${said}, ${this.#needed} must agree${faults.length > 0 ? ` (${faults.join('; ')})` : ''}`);
  }
}

function isNodesFault(error: unknown): boolean {
  return error instanceof SilentNode || error instanceof RefusedNode || error instanceof RpcError;
}

function mayBeKnownElsewhere({ code, data, message }: RpcError): boolean {
  // A contract's refusal is the same everywhere, and so is a transaction's.
  if (data !== undefined || /revert|nonce|funds|known|underpriced|gas/i.test(message)) return false;
  return ANOTHER_MAY_KNOW.has(code);
}
