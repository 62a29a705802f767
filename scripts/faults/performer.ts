/** Carries out a phase of the schedule: each fault at its time, counted, and after each the seconds until payments are taken again. */

import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { disturbPool, reorganise } from './chain-faults.ts';
import { sendOversized, sendSlowly, tryTokens } from './client-faults.ts';
import type { Node } from './nodes.ts';
import { Patience } from './patience.ts';
import type { Random } from './random.ts';
import { describeFault, type Fault, type Phase, type Planned, type WhichNode } from './schedule.ts';
import type { Stage } from './stage.ts';
import type { Workload } from './workload.ts';

// Named lines are passed within a settle pass or two as long as payments move; while the database is away they do not.
const POINT_WITHIN_MS = 20_000;
const CHILD_WITHIN_MS = 10_000;
const RECOVERY_WITHIN_MS = 120_000;
const POLL_MS = 100;
// As long as the fullest disk lets anything happen at all.
const FULL_DISK_FOR_MS = 4_000;

/** What was done so far. */
export type Counts = {
  apiKilled: number;
  workerKilled: number;
  indexerKilled: number;
  postgresRestarted: number;
  rpcFaults: number;
  reorgs: number;
  webhookFaults: number;
  forgedTokens: number;
};

/** Performs faults on a stage. */
export class Performer {
  readonly forgedAccepted: string[] = [];
  /** Seconds from a fault's end until a payment was taken and prepared, and the mirror had come to where the chain was. */
  readonly recoveries: number[] = [];
  /** What should not have happened but breaks no invariant, by how often. */
  readonly notes = new Map<string, number>();
  readonly #stage: Stage;
  readonly #workload: Workload;
  readonly #random: Random;
  readonly #log: (text: string) => void;
  #indexerChildren = 0;
  #postgresRestarted = 0;
  #reorgs = 0;
  #forgedTokens = 0;
  #postgres: Promise<void> = Promise.resolve();
  // What a reorganisation has read of the chain must still be so when it takes that back.
  #chain: Promise<void> = Promise.resolve();

  constructor(stage: Stage, workload: Workload, random: Random, log: (text: string) => void) {
    this.#stage = stage;
    this.#workload = workload;
    this.#random = random;
    this.#log = log;
  }

  get counts(): Counts {
    const { apis, workers, indexer, nodes, walletNode, receiver } = this.#stage;
    const kills = (all: readonly { kills: number }[]) => all.reduce((sum, one) => sum + one.kills, 0);
    return {
      apiKilled: kills(apis),
      workerKilled: kills(workers),
      indexerKilled: indexer.kills + this.#indexerChildren,
      postgresRestarted: this.#postgresRestarted,
      rpcFaults: [...nodes, walletNode].reduce((sum, { treated }) => sum + treated, 0),
      reorgs: this.#reorgs,
      webhookFaults: receiver.treated,
      forgedTokens: this.#forgedTokens,
    };
  }

  /** Performs a phase; when its time is over nodes and receiver behave again. Resolves when every fault has ended. */
  async perform({ forMs, faults }: Phase): Promise<void> {
    const startedAt = Date.now();
    await Promise.all([
      sleep(forMs).then(() => this.#heal()),
      ...faults.map(async (planned) => {
        await sleep(Math.max(0, startedAt + planned.atMs - Date.now()));
        this.#log(describeFault(planned));
        await this.#one(planned).catch((error) => this.#note(`${planned.kind}: ${(error as Error).message}`));
      }),
    ]);
    await this.#postgres.catch(() => {});
  }

  #note(what: string): void {
    this.notes.set(what, (this.notes.get(what) ?? 0) + 1);
  }

  #heal(): void {
    const { nodes, walletNode, receiver } = this.#stage;
    for (const node of [...nodes, walletNode]) node.heal();
    receiver.heal();
  }

  async #one(fault: Planned): Promise<void> {
    const { apis, workers } = this.#stage;
    switch (fault.kind) {
      case 'api':
        await apis[fault.which]?.kill(fault.downMs);
        return await this.#recover();
      case 'worker':
        if (fault.point !== null && (await this.#killAtPoint(fault.point))) return await this.#recover();
        await workers[fault.which]?.kill(fault.downMs);
        return await this.#recover();
      case 'indexer':
        await this.#killIndexer(fault.what, fault.downMs);
        return await this.#recover();
      case 'postgres':
        // One after the other: what is down cannot be stopped.
        this.#postgres = this.#postgres.catch(() => {}).then(() => this.#treatPostgres(fault.how, fault.downMs));
        await this.#postgres;
        return await this.#recover();
      case 'sessions':
        await this.#endSessions();
        return await this.#recover();
      case 'rpc':
        return await this.#treatNodes(fault);
      case 'reorg':
        this.#chain = this.#chain.catch(() => {}).then(() => reorganise(this.#stage, this.#random, fault));
        await this.#chain;
        this.#reorgs += 1;
        return;
      case 'pool':
        return await disturbPool(this.#stage, fault.how);
      case 'webhook':
        this.#stage.receiver.misbehave(fault.how);
        await sleep(fault.forMs);
        return this.#stage.receiver.heal();
      case 'client':
        return await this.#beAClumsyClient(fault.how);
      case 'tokens':
        return await this.#forge(fault.count);
      case 'clock':
        await moveClock(this.#stage, fault.advanceSeconds);
        return;
    }
  }

  /** Arms a named line; whichever worker comes to it first is killed there. */
  async #killAtPoint(point: string): Promise<boolean> {
    const armed = join(this.#stage.folder, `kill-${point}`);
    await writeFile(armed, '');
    const deaths = this.#stage.workers.map(async (worker) => {
      if (!(await worker.dies(POINT_WITHIN_MS))) throw new Error('It lives.');
    });
    const died = await Promise.any(deaths).then(
      () => true,
      () => false,
    );
    await rm(armed, { force: true });
    if (!died) this.#note(`no worker came to the line "${point}" in time; one was killed elsewhere`);
    return died;
  }

  async #killIndexer(what: 'child' | 'supervisor', downMs: number): Promise<void> {
    const { indexer, indexerUrl } = this.#stage;
    if (what === 'supervisor') return await indexer.kill(downMs);
    const patience = new Patience(CHILD_WITHIN_MS);
    while (!patience.isOver) {
      const pid = await childOf(indexerUrl);
      // It may be gone since the supervisor spoke of it.
      if (pid !== undefined && isKilled(pid)) {
        this.#indexerChildren += 1;
        return;
      }
      await sleep(POLL_MS);
    }
    await indexer.kill(downMs);
  }

  async #treatPostgres(how: Extract<Fault, { kind: 'postgres' }>['how'], downMs: number): Promise<void> {
    const { postgres } = this.#stage;
    if (how === 'crash') await postgres.process.kill();
    else if (how === 'full disk') await this.#fillDisk();
    else await postgres.stop();
    if (how === 'stop') await sleep(downMs);
    // Its children leave a moment after it, and hold its memory as long.
    for (let tries = 0; ; tries += 1) {
      try {
        await postgres.restart();
        break;
      } catch (error) {
        if (tries === 20) throw error;
        await sleep(500);
      }
    }
    this.#postgresRestarted += 1;
  }

  /** For some seconds the largest of its files cannot grow, and soon none can: then it has room again. */
  async #fillDisk(): Promise<void> {
    const { postgres, sql } = this.#stage;
    const [largest] = await sql<{ bytes: number }[]>`select max(pg_relation_size(oid))::int as bytes from pg_class`;
    await postgres.stop();
    await postgres.restart({ largestFileBytes: Math.max(largest?.bytes ?? 0, 65_536) }).catch(() => {});
    await sleep(FULL_DISK_FOR_MS);
    await postgres.stop();
  }

  async #endSessions(): Promise<void> {
    await this.#stage.sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`;
  }

  async #treatNodes({ node, treatment, share, forMs }: Extract<Fault, { kind: 'rpc' }>): Promise<void> {
    const nodes = this.#nodesOf(node);
    for (const one of nodes) one.treat(treatment, share);
    await sleep(forMs);
    for (const one of nodes) one.heal();
    if (node !== 'wallets') await this.#recover();
  }

  #nodesOf(which: WhichNode): Node[] {
    const { nodes, walletNode } = this.#stage;
    if (which === 'wallets') return [walletNode];
    return nodes.filter((_, index) => which === 'all' || which === index);
  }

  async #beAClumsyClient(how: 'slow' | 'oversized'): Promise<void> {
    if (how === 'slow') return await sendSlowly(this.#stage);
    const status = await sendOversized(this.#stage);
    if (status !== null && (status < 400 || (status >= 500 && status !== 502 && status !== 503))) {
      this.#note(`a body of 8 MB was answered with ${status}`);
    }
  }

  async #forge(count: number): Promise<void> {
    while (this.#workload.made.size < 2) await sleep(POLL_MS);
    const { tried, letIn } = await tryTokens(this.#stage, this.#workload, this.#random, count);
    this.#forgedTokens += tried;
    this.forgedAccepted.push(...letIn);
  }

  /** Measures how long it takes until a payment is taken and prepared, and the mirror has come to where the chain is now. */
  async #recover(): Promise<void> {
    const startedAt = Date.now();
    const patience = new Patience(RECOVERY_WITHIN_MS);
    const { chain, sql } = this.#stage;
    const head = await chain.getBlockNumber();
    const until = async (what: string, probe: () => Promise<boolean>) => {
      while (!(await probe().catch(() => false))) {
        if (patience.isOver) throw new Error(`${what} did not recover within two minutes`);
        await sleep(POLL_MS);
      }
    };
    await until('taking payments', async () => await this.#workload.probe());
    await until('the mirror', async () => {
      const [row] = await sql<{ block: bigint }[]>`select block from chain.position where is_ready`;
      // A reorganisation may have left the chain shorter for a moment.
      return (row?.block ?? 0n) + 8n >= head;
    });
    this.recoveries.push((Date.now() - startedAt) / 1_000);
  }
}

async function childOf(indexerUrl: string): Promise<number | undefined> {
  return await fetch(indexerUrl).then(
    async (answer) => {
      const { indexers } = (await answer.json()) as { indexers: { pids: number[] }[] };
      return indexers.flatMap(({ pids }) => pids)[0];
    },
    () => undefined,
  );
}

function isKilled(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

/** Moves the installation's clock by the API, and with it the chain's. */
export async function moveClock(stage: Stage, seconds: number): Promise<void> {
  const { status, json } = await stage.client.call('POST', '/test-clock', { body: { advance_seconds: seconds } });
  if (status !== 200) throw new Error(`the clock does not move: ${status} ${JSON.stringify(json)}`);
}
