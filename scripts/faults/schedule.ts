/**
 * The schedule of a run: phases of faults, each followed by a calm in which everything must come right. It follows from seed and
 * minutes alone and knows nothing of how a fault is done.
 */
import { Random } from './random.ts';

/** Where a worker kills itself: named lines of api/core (loader.ts). */
export const KILL_POINTS = ['stored', 'sent', 'receipt', 'ledger'] as const;
export type KillPoint = (typeof KILL_POINTS)[number];

/** What a node does with a request: `lost` carries it out and cuts the answer off, `back` and `fork` show an older or another head. */
export const TREATMENTS = [
  'drop',
  'duplicate',
  'delay',
  'busy',
  'bad_gateway',
  'hang',
  'lost',
  'back',
  'fork',
] as const;
export type Treatment = (typeof TREATMENTS)[number];

/** Which nodes: one of the network's three, all of them, or the one that wallets use. */
export type WhichNode = 0 | 1 | 2 | 'all' | 'wallets';

const ONE_NODE = [0, 1, 2] as const;
const ANY_NODE = [0, 1, 2, 'all', 'wallets'] as const;

/** One fault. Times are milliseconds. */
export type Fault =
  | { kind: 'api'; which: number; downMs: number }
  | { kind: 'worker'; which: number; downMs: number; point: KillPoint | null }
  | { kind: 'indexer'; what: 'child' | 'supervisor'; downMs: number }
  | { kind: 'postgres'; how: 'restart' | 'crash' | 'stop' | 'full disk'; downMs: number }
  | { kind: 'sessions' }
  | { kind: 'rpc'; node: WhichNode; treatment: Treatment; share: number; forMs: number }
  | { kind: 'reorg'; depth: number; kept: 'all' | 'some' | 'none' }
  | { kind: 'pool'; how: 'drop' | 'underprice' | 'outside' }
  | { kind: 'webhook'; how: 'fail' | 'hang' | 'twice' | 'cut'; forMs: number }
  | { kind: 'client'; how: 'slow' | 'oversized' }
  | { kind: 'tokens'; count: number }
  | { kind: 'clock'; advanceSeconds: number };

/** A fault and when it comes, in milliseconds from the start of its phase. */
export type Planned = Fault & { atMs: number };

/** A time of faults; one may come after it, when everything else is healed. */
export type Phase = { forMs: number; faults: Planned[] };

// Three fifths of a run are faults; the rest is for coming right and for looking.
const FAULTY_SHARE = 0.6;
const MINUTE_MS = 60_000;
// Rates of a minute, for which sixty give more than 200 kills of each, 50 of PostgreSQL, 100 reorgs and 10,000 forged tokens.
const PER_MINUTE = { api: 4, worker: 4, indexer: 4, rpc: 6, reorg: 2, webhook: 2, tokens: 1 };
const TOKENS_AT_ONCE = 200;
/** Blocks that make a fact count on the stage's network. */
export const CONFIRMATIONS = 3;
const DEEPEST_REORG = 8;
// Deeper than the confirmations: what had counted is taken back.
const DEEP_REORG = 6;
const UNDISTURBED_MS = 10_000;

/** The schedule of `minutes` (at least one phase), the same for the same seed and minutes. */
export function scheduleOf(seed: number, minutes: number): Phase[] {
  const random = new Random(seed);
  const phases = Math.max(1, Math.round(minutes));
  const forMs = Math.round((minutes * MINUTE_MS * FAULTY_SHARE) / phases);
  return Array.from({ length: phases }, (_, index) => ({
    forMs,
    faults: faultsOf(random.branch(), { index, phases, forMs }).sort((a, b) => a.atMs - b.atMs),
  }));
}

function faultsOf(random: Random, phase: { index: number; phases: number; forMs: number }): Planned[] {
  const { index, phases, forMs } = phase;
  const faults: Planned[] = [];
  const add = (fault: Fault, atMs = random.whole(0, Math.floor(forMs * 0.9))) => faults.push({ ...fault, atMs });
  const times = (count: number, make: (turn: number) => Fault) => {
    for (let turn = 0; turn < count; turn += 1) add(make(turn));
  };
  times(PER_MINUTE.api, () => ({ kind: 'api', which: random.whole(0, 1), downMs: random.whole(0, 2_000) }));
  // Every second one at a named line; which comes first differs from phase to phase.
  times(PER_MINUTE.worker, (turn) => ({
    ...{ kind: 'worker', which: random.whole(0, 1), downMs: random.whole(0, 3_000) },
    point: turn % 2 === 0 ? (KILL_POINTS[(index * 2 + turn / 2) % KILL_POINTS.length] ?? null) : null,
  }));
  times(PER_MINUTE.indexer, (turn) => ({
    ...{ kind: 'indexer', what: turn === 0 ? 'supervisor' : 'child', downMs: random.whole(0, 3_000) },
  }));
  for (let turn = 0; turn < PER_MINUTE.rpc; turn += 1) {
    const treatment = TREATMENTS[(index * PER_MINUTE.rpc + turn) % TREATMENTS.length] ?? 'drop';
    // What lies must be outvoted; what only fails may be everybody.
    const node = random.pick(treatment === 'back' || treatment === 'fork' ? ONE_NODE : ANY_NODE);
    const atMs = random.whole(0, Math.floor(forMs * 0.9));
    const forkMs = treatment === 'fork' ? 3_000 : 0;
    add(
      { kind: 'rpc', node, treatment, share: random.pick([0.2, 0.5, 1]), forMs: random.whole(1_000, 6_000) + forkMs },
      atMs,
    );
    // A node is a fork behind once there is a fork.
    if (treatment === 'fork') add({ kind: 'reorg', depth: random.whole(1, 4), kept: 'some' }, atMs + 1_000);
  }
  times(PER_MINUTE.webhook, () => ({
    ...{ kind: 'webhook', how: random.pick(['fail', 'hang', 'twice', 'cut'] as const) },
    forMs: random.whole(1_000, 6_000),
  }));
  times(PER_MINUTE.tokens, () => ({ kind: 'tokens', count: TOKENS_AT_ONCE }));
  add({ kind: 'client', how: index % 2 === 0 ? 'oversized' : 'slow' });
  add({ kind: 'pool', how: (['drop', 'outside', 'underprice'] as const)[index % 3] ?? 'drop' });
  if (index % 3 === 2) add({ kind: 'clock', advanceSeconds: random.whole(60, 7_200) });
  if (index % 2 === 1) add({ kind: 'sessions' });
  const isFullDisk = index === Math.floor(phases / 2) && phases > 1;
  const how = isFullDisk ? 'full disk' : (['restart', 'crash', 'stop'] as const)[index % 3];
  // Early enough for the calm after it.
  add({ kind: 'postgres', how: how ?? 'restart', downMs: random.whole(0, 3_000) }, random.whole(0, forMs / 2));
  addReorgs(random, phase, add);
  return faults;
}

function addReorgs(
  random: Random,
  { index, forMs }: { index: number; forMs: number },
  add: (fault: Fault, atMs?: number) => void,
): void {
  const kept = () => random.pick(['all', 'some', 'some', 'none'] as const);
  // One takes back what had counted: it comes when payments had some seconds without any other fault.
  add({ kind: 'reorg', depth: random.whole(DEEP_REORG, DEEPEST_REORG), kept: kept() }, forMs + UNDISTURBED_MS);
  if (index % 3 === 0) {
    // While the indexer is down.
    const atMs = random.whole(0, Math.floor(forMs / 2));
    add({ kind: 'indexer', what: 'supervisor', downMs: 3_000 }, atMs);
    add({ kind: 'reorg', depth: random.whole(1, DEEPEST_REORG), kept: kept() }, atMs + 1_000);
  } else if (index % 3 === 1) {
    // Several within seconds.
    const atMs = random.whole(0, Math.floor(forMs / 2));
    for (let turn = 0; turn < 3; turn += 1) {
      add(
        { kind: 'reorg', depth: random.whole(1, DEEPEST_REORG), kept: kept() },
        atMs + turn * random.whole(200, 1_200),
      );
    }
  } else add({ kind: 'reorg', depth: random.whole(1, DEEPEST_REORG), kept: kept() });
}

/** A planned fault as one line. */
export function describeFault({ kind, atMs, ...rest }: Planned): string {
  const words = Object.entries(rest).flatMap(([name, value]) => (value === null ? [] : [`${name} ${value}`]));
  return `${(atMs / 1_000).toFixed(1).padStart(6)} s  ${kind}${words.length > 0 ? `: ${words.join(', ')}` : ''}`;
}
