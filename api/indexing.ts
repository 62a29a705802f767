// The indexer's supervisor: keeps one process of the indexer for each diamond that a network names, starts it again when it has
// ended, hangs, or falls behind, and lets readers see a new mirror only when it has everything that the old one has. Any
// number of supervisors may run; one of them works.
import type { Logger } from 'pino';
import { Chain, reachable } from './core/chain/chain.ts';
import {
  type Deployment,
  dropOldSchemas,
  type IndexerRow,
  listDeployments,
  listIndexers,
  positionOf,
  publish,
  rememberStartBlock,
  reportIndexer,
  type SchemaPosition,
} from './core/chain/deployments.ts';
import type { Quorum } from './core/chain/quorum.ts';
import { connect, type Sql } from './core/database/db.ts';
import { CoreError } from './core/errors.ts';
import type { NetworkRow } from './core/schema.ts';
import { type Gateway, openGateway } from './gateway.ts';
import { freePort, Ponder, type PonderTarget, releaseLock, schemaName } from './ponder.ts';

// How soon a new network, an end or a lag is noticed.
const TICK_MS = 500;
// Ponder answers its health check within milliseconds, even while it indexes; starting takes it a few seconds.
const HUNG_MS = 10_000;
const STARTING_MS = 60_000;
const MAX_BACKOFF_MS = 30_000;
// Nobody else takes this key: two supervisors of one database wait for each other.
const LEADER_LOCK = 4_210_156n;
const QUERY_TIMEOUT_MS = 10_000;
// How often what has not changed is written again, so that it can be seen to be alive.
const REPORT_EVERY_MS = 5_000;
// Blocks that arrive while one looks do not make a mirror late.
const NEAR_HEAD = 2n;

export type IndexingOptions = {
  databaseUrl: string;
  log: Logger;
  /** Of the status page and of the gateway to the chains; 0: any. */
  port: number;
  /** A mirror that has not come within this time to where the head was is behind, and its process is started again. */
  behindMs?: number;
};

/** Starts a supervisor; `stop` ends the processes that it has started. */
export async function startIndexing({
  databaseUrl,
  log,
  port,
  behindMs = 30_000,
}: IndexingOptions): Promise<{ port: number; stop(): Promise<void> }> {
  const sql = connect(databaseUrl, { maxConnections: 4 });
  const leadership = new Leadership(databaseUrl);
  const followers = new Map<string, Follower>();
  const chain = new Chain();
  let stopped = false;
  /** Why every process had to be started again. */
  let reason: string | null = null;
  let leads = false;
  const gateway = await openGateway(port, () => ({
    ready: leads && [...followers.values()].every((follower) => follower.isReady),
    indexers: [...followers.values()].map((follower) => follower.status),
  }));

  async function stopAll(): Promise<void> {
    const running = [...followers.values()];
    followers.clear();
    await Promise.all(running.map((follower) => follower.stop()));
  }

  async function tick(): Promise<void> {
    if (!(await leadership.isHeld())) {
      leads = false;
      // Whoever leads now starts processes of its own on the same schemas; and Ponder does not recover from the restart of
      // the database that may have ended our session.
      if (followers.size > 0) log.warn('the session that leads has ended; every process is stopped');
      if (followers.size > 0) reason = 'the database ended the session of its supervisor';
      await stopAll();
      if (!(await leadership.take())) return;
    }
    const deployments = new Map((await listDeployments(sql)).map((one) => [`${one.eip155Id}-${one.diamond}`, one]));
    for (const [name, deployment] of deployments) {
      const known = followers.get(name);
      if (known) known.network = deployment.network;
      else
        followers.set(
          name,
          new Follower(name, deployment, { sql, databaseUrl, log, gateway, chain, behindMs }, reason),
        );
    }
    leads = true;
    for (const [name, follower] of followers) {
      if (deployments.has(name)) follower.tick();
      else {
        followers.delete(name);
        await follower.forget();
      }
    }
  }

  const ticking = (async () => {
    let failing = false;
    while (!stopped) {
      try {
        await tick();
        if (failing) log.info('supervising works again');
        failing = false;
      } catch (err) {
        // Said once, not at every tick.
        if (!failing) log.warn({ err }, 'supervising fails; every tick tries again');
        failing = true;
      }
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  })();

  return {
    port: gateway.port,
    async stop() {
      stopped = true;
      await ticking;
      await stopAll();
      await leadership.giveUp();
      await gateway.close();
      await sql.end({ timeout: 1 });
    },
  };
}

/** The lead among the supervisors of a database: a lock of one session, which ends with it. */
class Leadership {
  readonly #sql: Sql;
  #session: string | null = null;

  constructor(databaseUrl: string) {
    this.#sql = connect(databaseUrl, { maxConnections: 1 });
  }

  /** Whether the lead is still ours: not when our session is another one by now, or the database does not answer. */
  async isHeld(): Promise<boolean> {
    const session = await this.#ask(this.#sql`true`).catch(() => null);
    if (session === null || session.name !== this.#session) this.#session = null;
    return this.#session !== null;
  }

  /** Takes the lead unless another supervisor has it. */
  async take(): Promise<boolean> {
    const session = await this.#ask(this.#sql`pg_try_advisory_lock(${LEADER_LOCK})`);
    this.#session = session.ours ? session.name : null;
    return session.ours;
  }

  async giveUp(): Promise<void> {
    await this.#sql.end({ timeout: 1 });
  }

  async #ask(question: ReturnType<Sql>): Promise<{ name: string; ours: boolean }> {
    const query = this.#sql<{ name: string; ours: boolean }[]>`
      select pg_backend_pid() || ' ' || pg_postmaster_start_time() as name, ${question} as ours`;
    const [row] = await within(query, QUERY_TIMEOUT_MS);
    if (!row) throw new Error('The statement returned no row.');
    return row;
  }
}

type FollowerServices = {
  sql: Sql;
  databaseUrl: string;
  log: Logger;
  gateway: Gateway;
  chain: Chain;
  behindMs: number;
};

/** One diamond's mirror: the process that fills it, and the one that is built beside it. */
class Follower {
  /** Its RPC URLs may change at any time. */
  network: NetworkRow;
  readonly #key: Pick<Deployment, 'eip155Id' | 'diamond'>;
  readonly #services: FollowerServices;
  readonly #log: Logger;
  readonly #rpcUrl: string;
  readonly #runners = new Map<string, Runner>();
  #target: (PonderTarget & { schema: string }) | null = null;
  #working: Promise<void> | null = null;
  #stopped = false;
  #restarts: number | null = null;
  #reason: string | null;
  #reported = { what: '', at: 0 };
  #row: IndexerRow | undefined;
  #state: IndexerRow['state'] = 'waiting';
  #head: bigint | null = null;
  #indexed: bigint | null = null;

  constructor(
    name: string,
    { network, eip155Id, diamond }: Deployment,
    services: FollowerServices,
    reason: string | null,
  ) {
    this.#reason = reason;
    this.network = network;
    this.#key = { eip155Id, diamond };
    this.#services = services;
    this.#log = services.log.child({ chain: eip155Id.toString(), diamond });
    this.#rpcUrl = services.gateway.urlFor(name, () => this.#quorum);
  }

  get #quorum(): Quorum {
    return this.#services.chain.quorum(this.network);
  }

  /** Whether readers see a mirror that follows its chain. */
  get isReady(): boolean {
    return this.#state === 'following';
  }

  get status(): object {
    return {
      eip155_id: Number(this.#key.eip155Id),
      diamond: this.#key.diamond,
      state: this.#state,
      schema: this.#row?.schema ?? null,
      head_block: this.#head === null ? null : Number(this.#head),
      indexed_block: this.#indexed === null ? null : Number(this.#indexed),
      restarts: this.#restarts ?? 0,
      reason: this.#reason,
      pids: [...this.#runners.values()].map(({ ponder }) => ponder.pid),
      nodes: this.#quorum.report().map(({ state, reason }) => ({ state, reason })),
    };
  }

  /** Looks after it once more, unless it is being looked after. */
  tick(): void {
    this.#working ??= this.#look()
      .catch((err) => this.#log.warn({ err }, 'looking after an indexer fails; every tick tries again'))
      .finally(() => {
        this.#working = null;
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#working;
    await Promise.all([...this.#runners.keys()].map((schema) => this.#end(schema)));
  }

  /** Stops it for good: no network names the diamond any more. */
  async forget(): Promise<void> {
    await this.stop();
    await publish(this.#services.sql, this.#key, null);
    await this.#dropOld();
    this.#log.info('no network names this diamond any more');
  }

  async #look(): Promise<void> {
    const { sql } = this.#services;
    this.#row = (await listIndexers(sql)).find(
      ({ eip155Id, diamond }) => eip155Id === this.#key.eip155Id && diamond === this.#key.diamond,
    );
    this.#restarts ??= (this.#row?.restarts ?? 0) + (this.#reason === null ? 0 : 1);
    this.#head = await this.#quorum.head().then(
      ({ number }) => number,
      () => null,
    );
    try {
      this.#target = await this.#findTarget();
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      return await this.#report(
        'waiting',
        error.faults.map(({ message }) => `start_block ${message}`)[0] ?? error.message,
        null,
      );
    }
    const { schema } = this.#target;
    if (!this.#runners.has(schema)) await this.#start(this.#target);
    for (const runner of this.#runners.values()) await this.#watch(runner);
    if (this.#stopped) return;
    const position = await positionOf(sql, schema);
    const shown = this.#row?.schema ?? null;
    if (shown !== schema && (await this.#mayShow(position, shown))) await this.#show(schema, shown);
    const live = this.#row?.schema ?? null;
    const liveRunner = live === null ? undefined : this.#runners.get(live);
    const block = live === null ? null : ((await positionOf(sql, live))?.block ?? null);
    const follows = liveRunner?.hasReachedHead && block !== null && block + NEAR_HEAD >= (this.#head ?? 0n);
    const state = this.#head === null ? 'waiting' : follows ? 'following' : 'catching_up';
    await this.#report(state, this.#reason, block);
  }

  /** What is to be indexed now; a start block that nobody knows is looked for. @throws CoreError */
  async #findTarget(): Promise<PonderTarget & { schema: string }> {
    const known = this.#target;
    if (known && (this.network.startBlock === null || this.network.startBlock === known.startBlock)) return known;
    const { chain, sql } = this.#services;
    const startBlock = this.network.startBlock ?? (await chain.findStartBlock(this.network));
    if (this.network.startBlock === null) await rememberStartBlock(sql, this.#key, startBlock);
    const { hash: startBlockHash } = await reachable(this.network, () => this.#quorum.block(startBlock));
    const target = { ...this.#key, startBlock, startBlockHash };
    return { ...target, schema: schemaName(target) };
  }

  async #start(target: PonderTarget & { schema: string }): Promise<void> {
    if (this.#stopped) return;
    const { sql, databaseUrl, behindMs } = this.#services;
    // Whoever held its lock before is gone: this database has one supervisor at a time.
    await releaseLock(sql, target.schema);
    const ponder = new Ponder({ target, databaseUrl, rpcUrl: this.#rpcUrl, port: await freePort() });
    const before = this.#runners.get(target.schema);
    this.#runners.set(target.schema, new Runner(ponder, behindMs, before));
    this.#log.info({ schema: target.schema, pid: ponder.pid }, 'indexer started');
    if (this.#row?.schema !== target.schema) await reportIndexer(sql, this.#key, { nextSchema: target.schema });
  }

  /** Starts a process again when it has to be; a process that ends again and again is started ever less often. */
  async #watch(runner: Runner): Promise<void> {
    const { schema } = runner.ponder;
    const position = runner.ponder.ending === null ? await positionOf(this.#services.sql, schema) : null;
    const fault = await runner.fault(this.#head, position);
    if (fault === null || this.#stopped || runner.isBackingOff) return;
    this.#restarts = (this.#restarts ?? 0) + 1;
    this.#reason = fault;
    this.#log.warn({ schema, fault, restarts: this.#restarts }, 'the indexer is started again');
    await runner.ponder.kill();
    if (this.#target?.schema === schema) await this.#start(this.#target);
    else this.#runners.delete(schema);
  }

  /** A new mirror is shown once it has what the old one has, and the chain's head, or all that can be read of it. */
  async #mayShow(next: SchemaPosition | null, shown: string | null): Promise<boolean> {
    if (!next?.isReady || next.block === null || this.#head === null) return false;
    const old = shown === null ? null : await positionOf(this.#services.sql, shown);
    const least = [this.#head - NEAR_HEAD, old?.block ?? 0n];
    return least.every((block) => next.block !== null && next.block >= block);
  }

  async #show(schema: string, shown: string | null): Promise<void> {
    const { sql } = this.#services;
    await publish(sql, this.#key, schema);
    if (this.#row) this.#row = { ...this.#row, schema };
    this.#log.info({ schema, instead: shown }, 'readers see the new mirror');
    for (const other of this.#runners.keys()) if (other !== schema) await this.#end(other);
    await this.#dropOld();
  }

  async #dropOld(): Promise<void> {
    const { sql } = this.#services;
    const building = (await listIndexers(sql)).flatMap(({ nextSchema }) => nextSchema ?? []);
    const dropped = await dropOldSchemas(sql, [...building, ...this.#runners.keys()]);
    if (dropped.length > 0) this.#log.info({ dropped }, 'old schemas dropped');
  }

  async #end(schema: string): Promise<void> {
    const runner = this.#runners.get(schema);
    this.#runners.delete(schema);
    await runner?.ponder.stop();
    await releaseLock(this.#services.sql, schema);
  }

  async #report(state: IndexerRow['state'], reason: string | null, indexed: bigint | null): Promise<void> {
    if (state !== this.#state) this.#log.info({ state, reason }, 'the mirror is in another state');
    this.#state = state;
    this.#indexed = indexed;
    const report = { state, reason, headBlock: this.#head, indexedBlock: indexed, restarts: this.#restarts ?? 0 };
    const what = Object.values(report).join(' ');
    if (what === this.#reported.what && Date.now() - this.#reported.at < REPORT_EVERY_MS) return;
    await reportIndexer(this.#services.sql, this.#key, report);
    this.#reported = { what, at: Date.now() };
  }
}

/** Watches one process: what is wrong with it, and since when. */
class Runner {
  readonly ponder: Ponder;
  readonly #behindMs: number;
  /** How often in a row it was started without coming to the head. */
  readonly #failures: number;
  #reachedHead = false;
  #silentSince: number | null = null;
  #goal: { block: bigint; until: number } | null = null;

  constructor(ponder: Ponder, behindMs: number, before?: Runner) {
    this.ponder = ponder;
    this.#behindMs = behindMs;
    this.#failures = before && !before.#reachedHead ? before.#failures + 1 : 0;
  }

  /** Whether it has come to the head since it was started. */
  get hasReachedHead(): boolean {
    return this.#reachedHead;
  }

  /** Whether it has to wait before it is started again. */
  get isBackingOff(): boolean {
    if (this.#failures === 0) return false;
    return Date.now() - this.ponder.startedAt < Math.min(MAX_BACKOFF_MS, 1_000 * 2 ** this.#failures);
  }

  /** Why it must be started again; null: it is well, or not known not to be. */
  async fault(head: bigint | null, position: SchemaPosition | null): Promise<string | null> {
    if (this.ponder.ending !== null) return `it ended (${this.ponder.ending})`;
    if (await this.ponder.answers()) this.#silentSince = null;
    else this.#silentSince ??= Date.now();
    const patience = this.#reachedHead ? HUNG_MS : STARTING_MS;
    if (this.#silentSince !== null && Date.now() - this.#silentSince > patience) return 'it does not answer';
    return this.#lag(head, position);
  }

  // A mirror at work always comes, in time, to where the head was. Before it is ready it indexes what was long ago, and has
  // as long as it takes; while the head is unknown nothing can be said.
  #lag(head: bigint | null, position: SchemaPosition | null): string | null {
    // What the process before it has left is not its own.
    const isOwn = position !== null && position.takenAt >= this.ponder.startedAt;
    const block = isOwn && position.isReady ? position.block : null;
    if (head === null || block === null || block >= head) {
      this.#goal = null;
      this.#reachedHead ||= head !== null && block !== null;
      return null;
    }
    if (this.#goal === null || block >= this.#goal.block) {
      this.#goal = { block: head, until: Date.now() + this.#behindMs };
    }
    if (Date.now() < this.#goal.until) return null;
    return `it is at block ${block}, not at ${this.#goal.block}, where the head was ${this.#behindMs / 1_000} s ago`;
  }
}

async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
