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
const HOWS = ['restart', 'crash', 'stop'] as const;
const KEPT = ['all', 'some', 'some', 'none'] as const;
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

const MINUTE_MS = 60_000;
// Long enough that coming right and looking, which take about a minute, are the lesser part; a short run still has two.
const LONGEST_PHASE_MINUTES = 3;
const SHORTEST_PHASE_MINUTES = 1.5;
// The rest is for coming right and for looking.
const FAULTY_SHARE = 0.6;
// Rates of a minute of faults, of which an hour has 36: more than 200 kills of each, 50 of PostgreSQL, 100 reorgs, 10,000 forged tokens.
const PER_MINUTE = { api: 6.6, worker: 6.6, indexer: 6.6, postgres: 1.65, rpc: 8, reorg: 1.2, webhook: 3, tokens: 1.2 };
const TOKENS_AT_ONCE = 300;
// For this part of a run one API, one worker and the supervisor are left alive, so that their memory has a course that can be judged.
const SPARING_SHARE = 0.25;
/** Blocks that make a fact count on the stage's network. */
export const CONFIRMATIONS = 3;
const DEEPEST_REORG = 8;
// Deeper than the confirmations: what had counted is taken back.
const DEEP_REORG = 6;
const UNDISTURBED_MS = 10_000;

/** Every kind of fault. */
export const KINDS = [
  ...(['api', 'worker', 'indexer', 'postgres', 'sessions', 'rpc', 'reorg', 'pool', 'webhook'] as const),
  ...(['client', 'tokens', 'clock'] as const),
] satisfies Fault['kind'][];

/** The schedule of `minutes` (at least one phase), the same for the same seed and minutes; `only` keeps faults of these kinds. */
export function scheduleOf(seed: number, minutes: number, only: readonly Fault['kind'][] = KINDS): Phase[] {
  const random = new Random(seed);
  const phaseMinutes = Math.min(LONGEST_PHASE_MINUTES, Math.max(SHORTEST_PHASE_MINUTES, minutes / 2));
  const phases = Math.max(1, Math.round(minutes / phaseMinutes));
  const forMs = Math.round((minutes * MINUTE_MS * FAULTY_SHARE) / phases);
  return Array.from({ length: phases }, (_, index) => {
    const isSparing = index < Math.floor(phases * SPARING_SHARE);
    const faults = faultsOf(random.branch(), { index, phases, forMs, isSparing });
    return { forMs, faults: faults.filter(({ kind }) => only.includes(kind)).sort((a, b) => a.atMs - b.atMs) };
  });
}

type Place = { index: number; phases: number; forMs: number; isSparing: boolean };

function faultsOf(random: Random, phase: Place): Planned[] {
  const { index, phases, forMs, isSparing } = phase;
  const faults: Planned[] = [];
  const often = (rate: number) => Math.max(1, Math.round((rate * forMs) / MINUTE_MS));
  const add = (fault: Fault, atMs = random.whole(0, Math.floor(forMs * 0.9))) => faults.push({ ...fault, atMs });
  const times = (count: number, make: (turn: number) => Fault) => {
    for (let turn = 0; turn < count; turn += 1) add(make(turn));
  };
  // Spread over the phase, so that what was killed is mostly up again when its next turn comes.
  const spread = (count: number, make: (turn: number) => Fault) => {
    for (let turn = 0; turn < count; turn += 1) {
      add(make(turn), Math.floor(((turn + random.next()) / count) * forMs * 0.9));
    }
  };
  const victim = () => (isSparing ? 0 : random.whole(0, 1));
  spread(often(PER_MINUTE.api), () => ({ kind: 'api', which: victim(), downMs: random.whole(0, 2_000) }));
  // Two of three at a named line, each line in turn; who comes there is nobody's choice, so that none is set while one is spared.
  spread(often(PER_MINUTE.worker), (turn) => ({
    ...{ kind: 'worker', which: victim(), downMs: random.whole(0, 3_000) },
    point: isSparing || turn % 3 === 2 ? null : pointOf(index + turn - Math.floor(turn / 3)),
  }));
  spread(often(PER_MINUTE.indexer), (turn) => ({
    ...{ kind: 'indexer', what: turn === 0 && !isSparing ? 'supervisor' : 'child', downMs: random.whole(0, 3_000) },
  }));
  const rpcFaults = often(PER_MINUTE.rpc);
  for (let turn = 0; turn < rpcFaults; turn += 1) {
    const treatment = TREATMENTS[(index * rpcFaults + turn) % TREATMENTS.length] ?? 'drop';
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
  times(often(PER_MINUTE.webhook), () => ({
    ...{ kind: 'webhook', how: random.pick(['fail', 'hang', 'twice', 'cut'] as const) },
    forMs: random.whole(1_000, 6_000),
  }));
  times(often(PER_MINUTE.tokens), () => ({ kind: 'tokens', count: TOKENS_AT_ONCE }));
  add({ kind: 'client', how: index % 2 === 0 ? 'oversized' : 'slow' });
  add({ kind: 'pool', how: (['drop', 'outside', 'underprice'] as const)[index % 3] ?? 'drop' });
  if (index % 3 === 2) add({ kind: 'clock', advanceSeconds: random.whole(60, 7_200) });
  if (index % 2 === 1) add({ kind: 'sessions' });
  const isFullDisk = index === Math.floor(phases / 2) && phases > 1;
  const stops = often(PER_MINUTE.postgres);
  for (let turn = 0; turn < stops; turn += 1) {
    const how = isFullDisk && turn === 0 ? 'full disk' : HOWS[(index + turn) % HOWS.length];
    // The last early enough for what comes after it to be disturbed too.
    const atMs = Math.floor(((turn + random.next()) / stops) * forMs * 0.8);
    add({ kind: 'postgres', how: how ?? 'restart', downMs: random.whole(0, 3_000) }, atMs);
  }
  times(often(PER_MINUTE.reorg), () => ({
    ...{ kind: 'reorg', depth: random.whole(1, DEEPEST_REORG), kept: random.pick(KEPT) },
  }));
  addReorgs(random, phase, add);
  return faults;
}

function pointOf(turn: number): KillPoint | null {
  return KILL_POINTS[turn % KILL_POINTS.length] ?? null;
}

function addReorgs(
  random: Random,
  { index, forMs, isSparing }: Place,
  add: (fault: Fault, atMs?: number) => void,
): void {
  const kept = () => random.pick(KEPT);
  // One takes back what had counted: it comes when payments had some seconds without any other fault.
  add({ kind: 'reorg', depth: random.whole(DEEP_REORG, DEEPEST_REORG), kept: kept() }, forMs + UNDISTURBED_MS);
  if (index % 3 === 0) {
    // While the indexer is down.
    const atMs = random.whole(0, Math.floor(forMs / 2));
    add({ kind: 'indexer', what: isSparing ? 'child' : 'supervisor', downMs: 3_000 }, atMs);
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
  }
}

/** A planned fault as one line. */
export function describeFault({ kind, atMs, ...rest }: Planned): string {
  const words = Object.entries(rest).flatMap(([name, value]) => (value === null ? [] : [`${name} ${value}`]));
  return `${(atMs / 1_000).toFixed(1).padStart(6)} s  ${kind}${words.length > 0 ? `: ${words.join(', ')}` : ''}`;
}
