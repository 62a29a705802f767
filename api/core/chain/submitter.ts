// Owns when signers send and follow: any number of workers may run, and of each signer on each network one of them sends and
// one follows at a time, by an advisory lock that dies with its session. Hints wake it; the tables alone say what there is to do.
import type { Logger } from 'pino';
import type { Hex } from 'viem';
import { escrowAbi } from '../../../contracts/abi.ts';
import { connect, type Sql } from '../database/db.ts';
import { listNetworks } from '../platform/platform.ts';
import type { NetworkRow } from '../schema.ts';
import { type Chain, reachable } from './chain.ts';
import { follow, type HeadOfLine, lookBack, PATIENCE, type Patience } from './follower.ts';
import { hasWaiting, type LaneWork, longWaiting, sendWaiting } from './sender.ts';
import type { Signer } from './signers.ts';
import { busyNetworks } from './transactions.ts';

// A hint may be lost with the worker that had it; this finds what it left.
const LOOK_INTERVAL_MS = 1_000;
// The lock is held for one pass, a few round trips to the node.
const BUSY_RETRY_MS = 25;
// A receipt is looked for this often at first (test chains and rollups), then at the pace of slower ones.
const FOLLOW_FAST_MS = 100;
const FOLLOW_FAST_FOR_MS = 2_000;
const FOLLOW_SLOW_MS = 500;
const RETRY_AFTER_ERROR_MS = 1_000;
// Three questions to each node; nobody waits for it, and a reorganisation that goes so deep is rare.
const LOOK_BACK_INTERVAL_MS = 5_000;
// Another worker that has the key would have sent it by then.
const LONG_WAITING_SECONDS = 5;
// A delegate that was dropped is noticed by a refused call at once; one that was named, after this long.
const DELEGATE_TTL_MS = 30_000;

export type SubmitterServices = {
  sql: Sql;
  /** For the session that holds the locks. */
  databaseUrl: string;
  chain: Chain;
  signers: readonly Signer[];
  log: Logger;
  patience?: Partial<Patience>;
};

/** Sends and follows the operations that its signers may send, until stopped. */
export class Submitter {
  readonly #services: SubmitterServices;
  readonly #patience: Patience;
  readonly #locks: Sql;
  readonly #lanes = new Map<string, { send: Loop; follow: Loop }>();
  readonly #delegates = new Map<string, { allowed: boolean; untilMs: number }>();
  readonly #timer: NodeJS.Timeout;
  readonly #unserved = new Set<string>();
  #networks = new Map<string, NetworkRow>();
  #stopped = false;

  constructor(services: SubmitterServices) {
    this.#services = services;
    this.#patience = { ...PATIENCE, ...services.patience };
    this.#locks = connect(services.databaseUrl, { maxConnections: 1 });
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS);
    this.#look();
  }

  /** Whether transactions of this address (lowercase) can be signed here. */
  holdsKey(address: string): boolean {
    return this.#services.signers.some((signer) => signer.address === address);
  }

  /** Says that something waits on a network. */
  async wake(networkId: string): Promise<void> {
    if (!this.#networks.has(networkId)) await this.#readNetworks();
    for (const signer of this.#services.signers) this.#lane(networkId, signer)?.send.wake();
  }

  /** Lets what is under way end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await Promise.all([...this.#lanes.values()].flatMap(({ send, follow }) => [send.stop(), follow.stop()]));
    await this.#locks.end({ timeout: 5 });
  }

  #look(): void {
    const looking = async () => {
      const busy = await busyNetworks(this.#services.sql);
      if (busy.length > 0) await this.#readNetworks();
      for (const networkId of busy) {
        await this.wake(networkId);
        for (const signer of this.#services.signers) this.#lane(networkId, signer)?.follow.wake();
      }
      // A network that does not answer holds up no other; its lanes say that it does not.
      await Promise.all(busy.map((networkId) => this.#noteUnserved(networkId).catch(() => {})));
    };
    looking().catch((err) => this.#services.log.warn({ err }, 'waiting operations cannot be read'));
  }

  /** Says once of each signer that nobody seems to have: its operations wait, and nothing else would show it. */
  async #noteUnserved(networkId: string): Promise<void> {
    const { sql, signers, log } = this.#services;
    const network = this.#networks.get(networkId);
    const waiting = await longWaiting(sql, networkId, LONG_WAITING_SECONDS);
    if (!network || waiting.length === 0) return;
    const served = await Promise.all(signers.map((signer) => this.#operators(networkId, signer)));
    for (const needed of waiting) {
      if (served.flat().includes(needed) || this.#unserved.has(`${networkId} ${needed}`)) continue;
      this.#unserved.add(`${networkId} ${needed}`);
      log.error({ network: network.name, signer: needed }, 'operations wait for a key that this worker does not have');
    }
  }

  async #readNetworks(): Promise<void> {
    this.#networks = new Map((await listNetworks(this.#services.sql)).map((network) => [network.id, network]));
  }

  #lane(networkId: string, signer: Signer): { send: Loop; follow: Loop } | undefined {
    if (this.#stopped || !this.#networks.has(networkId)) return undefined;
    const key = `${networkId} ${signer.address}`;
    const known = this.#lanes.get(key);
    if (known) return known;
    const onError = (err: unknown) => {
      const network = this.#networks.get(networkId)?.name;
      this.#services.log.warn({ network, signer: signer.address, err }, 'a pass failed; it is tried again');
    };
    const deferred = new Map<string, number>();
    let head: HeadOfLine | undefined;
    let quickUntilMs = 0;
    let lookedBackMs = 0;
    const follow_ = new Loop(async () => {
      const work = this.#work(networkId, signer, [signer.address], deferred);
      if (!work) return undefined;
      return await this.#locked(`follow ${key}`, async () => {
        const result = await follow(work, this.#patience, head);
        head = result.head;
        if (result.followed === 0) {
          if (Date.now() - lookedBackMs < LOOK_BACK_INTERVAL_MS) return undefined;
          lookedBackMs = Date.now();
          await lookBack(work);
          return undefined;
        }
        return Date.now() < quickUntilMs ? FOLLOW_FAST_MS : FOLLOW_SLOW_MS;
      });
    }, onError);
    const send = new Loop(async () => {
      const work = this.#work(networkId, signer, await this.#operators(networkId, signer), deferred);
      if (!work || !(await hasWaiting(work))) return undefined;
      // Networks of one chain share the nonces of a key.
      const next = await this.#locked(`send ${work.network.chainId} ${signer.address}`, async () => {
        await sendWaiting(work);
        return undefined;
      });
      quickUntilMs = Date.now() + FOLLOW_FAST_FOR_MS;
      follow_.wake();
      return next;
    }, onError);
    const lane = { send, follow: follow_ };
    this.#lanes.set(key, lane);
    return lane;
  }

  #work(
    networkId: string,
    signer: Signer,
    operators: readonly Hex[],
    deferred: Map<string, number>,
  ): LaneWork | undefined {
    const network = this.#networks.get(networkId);
    if (!network) return undefined;
    const { sql, chain, log } = this.#services;
    const mayStillAct = (operator: Hex) => this.#isDelegate(network, operator, signer.address, { fresh: true });
    return { sql, chain, log, network, signer, operators, mayStillAct, deferred };
  }

  /** In whose name a signer may act on a network: its own, and the operator's that named it a delegate. */
  async #operators(networkId: string, { address }: Signer): Promise<Hex[]> {
    const network = this.#networks.get(networkId);
    if (!network || network.operatorAddress === address) return [address];
    const delegate = await this.#isDelegate(network, network.operatorAddress, address);
    return delegate ? [address, network.operatorAddress] : [address];
  }

  async #isDelegate(network: NetworkRow, operator: Hex, delegate: Hex, { fresh = false } = {}): Promise<boolean> {
    const key = `${network.id} ${operator} ${delegate}`;
    const known = this.#delegates.get(key);
    if (known && !fresh && Date.now() < known.untilMs) return known.allowed;
    const allowed = await reachable(network, () =>
      this.#services.chain.client(network).readContract({
        address: network.diamondAddress,
        abi: escrowAbi,
        functionName: 'isDelegate',
        args: [operator, delegate],
      }),
    );
    this.#delegates.set(key, { allowed, untilMs: Date.now() + DELEGATE_TTL_MS });
    return allowed;
  }

  /** Runs `work` under a lock of our session; answers to come again soon when another worker holds it. */
  async #locked(name: string, work: () => Promise<number | undefined>): Promise<number | undefined> {
    const [lock] = await this.#locks<{ held: boolean }[]>`
      select pg_try_advisory_lock(hashtextextended(${name}, 0)) as held`;
    if (!lock?.held) return BUSY_RETRY_MS;
    try {
      return await work();
    } finally {
      await this.#locks`select pg_advisory_unlock(hashtextextended(${name}, 0))`;
    }
  }
}

/** Runs a pass when woken, never two at once, and again after as many milliseconds as the pass answers. */
class Loop {
  readonly #pass: () => Promise<number | undefined>;
  readonly #onError: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #woken = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #failing = false;

  constructor(pass: () => Promise<number | undefined>, onError: (error: unknown) => void) {
    this.#pass = pass;
    this.#onError = onError;
  }

  wake(): void {
    this.#woken = true;
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#woken && !this.#stopped) {
      this.#woken = false;
      clearTimeout(this.#timer);
      const againMs = await this.#once();
      if (againMs !== undefined && !this.#stopped) this.#timer = setTimeout(() => this.wake(), againMs);
    }
    this.#running = undefined;
  }

  async #once(): Promise<number | undefined> {
    try {
      const againMs = await this.#pass();
      this.#failing = false;
      return againMs;
    } catch (error) {
      // Said once, not at every try.
      if (!this.#failing) this.#onError(error);
      this.#failing = true;
      return RETRY_AFTER_ERROR_MS;
    }
  }
}
