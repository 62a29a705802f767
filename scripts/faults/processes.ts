/** Processes that are started again whenever they end, as an orchestrator would, and killed as the schedule says. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningProcess } from '../dev/processes.ts';
import { Patience } from './patience.ts';

// Whoever restarts a process at once, for ever, takes the machine from the others.
const LEAST_PAUSE_MS = 250;
const UP_WITHIN_MS = 60_000;

type Starting = (turn: number) => Promise<{ process: RunningProcess }>;

/** One process of the stage through all its lives. */
export class Kept {
  readonly name: string;
  /** How often the suite killed it. */
  kills = 0;
  /** How it ended when nobody had killed it, with what it last wrote. */
  readonly ended: string[] = [];
  readonly #start: Starting;
  #process: RunningProcess | undefined;
  #downUntil = 0;
  #expected = false;
  #stopped = false;
  #lives = 0;
  #running: Promise<void>;

  constructor(name: string, start: Starting) {
    this.name = name;
    this.#start = start;
    this.#running = this.#live();
  }

  /** Its process id while it is up. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Waits until it is up. @throws Error when it does not come up in time */
  async up(): Promise<void> {
    const patience = new Patience(UP_WITHIN_MS);
    while (this.#process === undefined) {
      if (patience.isOver) throw new Error(`${this.name} does not come up; its last end: ${this.ended.at(-1)}`);
      await sleep(25);
    }
  }

  /** Kills it outright and leaves it down for so long. A process that is not up yet is waited for. @throws Error when it never is */
  async kill(downMs: number): Promise<void> {
    await this.up();
    this.#expected = true;
    this.#downUntil = Date.now() + downMs;
    if (this.#process === undefined) return;
    this.kills += 1;
    await this.#process.kill();
  }

  /** Says that it is about to be ended by what the suite has set up; answers whether it was, in time. */
  async dies(withinMs: number): Promise<boolean> {
    const life = this.#process;
    if (life === undefined) return false;
    const died = await Promise.race([life.exited.then(({ signal }) => signal === 'SIGKILL'), sleep(withinMs, false)]);
    if (died) this.kills += 1;
    return died;
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#downUntil = 0;
    await this.#process?.stop();
    await this.#running;
  }

  async #live(): Promise<void> {
    while (!this.#stopped) {
      this.#lives += 1;
      this.#expected = false;
      try {
        const { process } = await this.#start(this.#lives);
        this.#process = process;
        if (this.#stopped) await process.stop();
        const { code, signal } = await process.exited;
        if (signal !== 'SIGKILL' && !this.#stopped) this.#note(`code ${code}, signal ${signal}\n${process.tail(5)}`);
      } catch (error) {
        this.#note(error instanceof Error ? error.message : String(error));
      }
      this.#process = undefined;
      const pause = Math.max(LEAST_PAUSE_MS, this.#downUntil - Date.now());
      if (!this.#stopped) await sleep(pause);
    }
  }

  #note(what: string): void {
    if (!this.#stopped && !this.#expected) this.ended.push(what);
  }
}
