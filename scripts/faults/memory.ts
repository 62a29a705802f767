/** What each process has in memory through a run, and whether that is flat. */
import { readFile } from 'node:fs/promises';
import type { Stage } from './stage.ts';

type Sample = { pid: number; ageMs: number; megabytes: number };

/** Two thirds of a process's course beside each other: within one life, or over many lives of the same age. */
export type Course = { name: string; of: 'one life' | 'many lives'; earlierMegabytes: number; laterMegabytes: number };

const SAMPLE_INTERVAL_MS = 3_000;
// A process reads its code, fills its pools and has its first collections of garbage within it.
const WARM_AFTER_MS = 15_000;
// Of that age are most that are killed once in ten seconds, when the calm lets them live.
const YOUNG_UNTIL_MS = 45_000;
const LONG_LIFE_MS = 6 * 60_000;
const LEAST_SAMPLES = 9;
/** Flat is what grows by no more than that from the second to the last third of a course. */
const MOST_GROWTH = 1.15;

/** Looks at every process again and again until it is stopped. */
export class MemoryWatch {
  readonly #stage: Stage;
  readonly #samples = new Map<string, Sample[]>();
  readonly #bornAt = new Map<number, number>();
  #stopped = false;
  readonly #watching: Promise<void>;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#watching = this.#watch();
  }

  /** The courses that are long enough to say something. */
  get courses(): Course[] {
    return [...this.#samples].flatMap(([name, samples]) => coursesOf(name, samples));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      for (const [name, pid] of await this.#processes()) await this.#look(name, pid);
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_INTERVAL_MS));
    }
  }

  async #processes(): Promise<[string, number][]> {
    const { apis, workers, indexer, postgres } = this.#stage;
    const named: [string, number | undefined][] = [...apis, ...workers, indexer].map(({ name, pid }) => [name, pid]);
    const children = indexer.pid === undefined ? [] : await childrenOf(indexer.pid);
    named.push(
      ['postgres', postgres.process.pid],
      ...children.map((pid) => ["indexer's child", pid] as [string, number]),
    );
    return named.filter((one): one is [string, number] => one[1] !== undefined);
  }

  async #look(name: string, pid: number): Promise<void> {
    const megabytes = await residentMegabytes(pid);
    if (megabytes === null) return;
    const now = Date.now();
    const bornAt = this.#bornAt.get(pid) ?? now;
    this.#bornAt.set(pid, bornAt);
    const samples = this.#samples.get(name) ?? [];
    this.#samples.set(name, samples);
    samples.push({ pid, ageMs: now - bornAt, megabytes });
  }
}

/** The courses of one name's samples, which are in the order of their time. */
export function coursesOf(name: string, samples: readonly Sample[]): Course[] {
  const lives = [...Map.groupBy(samples, ({ pid }) => pid).values()];
  const long = lives.filter((life) => (life.at(-1)?.ageMs ?? 0) >= LONG_LIFE_MS);
  const young = samples.filter(({ ageMs }) => ageMs >= WARM_AFTER_MS && ageMs <= YOUNG_UNTIL_MS);
  return [
    ...long.flatMap((life) => compare(name, 'one life', life)),
    ...(long.length === lives.length ? [] : compare(name, 'many lives', young)),
  ];
}

function compare(name: string, of: Course['of'], samples: readonly Sample[]): Course[] {
  if (samples.length < LEAST_SAMPLES) return [];
  const third = Math.floor(samples.length / 3);
  return [
    {
      ...{ name, of },
      earlierMegabytes: mean(samples.slice(third, 2 * third)),
      laterMegabytes: mean(samples.slice(2 * third)),
    },
  ];
}

/** Whether a course is flat. */
export function isFlat({ earlierMegabytes, laterMegabytes }: Course): boolean {
  return laterMegabytes <= earlierMegabytes * MOST_GROWTH;
}

function mean(samples: readonly Sample[]): number {
  return Math.round(samples.reduce((sum, { megabytes }) => sum + megabytes, 0) / samples.length);
}

async function childrenOf(pid: number): Promise<number[]> {
  const list = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return list.split(' ').filter(Boolean).map(Number);
}

/** What a process has in memory, by /proc; null elsewhere, or when it is gone. */
async function residentMegabytes(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) / 1_024;
}
