/**
 * Child processes of a stack: each leads its own process group, so that stopping it also stops what it started, and
 * each writes to its own log file. They end with us, however we end. Nothing here ends a process that it did not start.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

export type ProcessOptions = {
  name: string;
  command: string;
  args: readonly string[];
  logPath: string;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Run as this user and group; only root may ask for it. */
  uid?: number;
  gid?: number;
  stopSignal?: NodeJS.Signals;
  /** How long a stop may take before the whole group is killed. */
  stopTimeoutMs?: number;
};

export type Exit = { code: number | null; signal: NodeJS.Signals | null; error?: Error };

/** A started child and the ways to watch and end it. */
export type RunningProcess = {
  readonly name: string;
  readonly pid: number | undefined;
  readonly logPath: string;
  /** Resolves once, when the child is gone, for whatever reason. */
  readonly exited: Promise<Exit>;
  isRunning(): boolean;
  /** The last lines that the child wrote. */
  tail(lines?: number): string;
  /** Asks the group to end, waits, then kills what is left. */
  stop(): Promise<void>;
  /** Ends the whole group at once, as a crash would. */
  kill(): Promise<void>;
};

const DEFAULT_STOP_TIMEOUT_MS = 10_000;
const live = new Set<RunningProcess>();
let closing = false;
let guardian: Writable | undefined;

/** Tells the guardian, which ends our children when we can't: it is started with the first of them. */
function tellGuardian(line: string): void {
  if (guardian === undefined) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'guardian.ts')], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    child.unref();
    guardian = child.stdin;
    // It must neither keep us alive nor take us along.
    if (guardian instanceof Socket) guardian.unref();
    guardian.on('error', () => {});
  }
  guardian.write(`${line}\n`);
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  if (child.pid === undefined) return false;
  try {
    return process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}

async function groupGone(child: ChildProcess, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (signalGroup(child, 0)) {
    if (Date.now() > deadline) return false;
    await sleep(20);
  }
  return true;
}

/** Starts a child as leader of its own process group, with both of its outputs appended to `logPath`. */
export function startProcess(options: ProcessOptions): RunningProcess {
  if (closing) throw new Error(`${options.name} was not started: everything is being stopped.`);
  mkdirSync(dirname(options.logPath), { recursive: true });
  const log = openSync(options.logPath, 'a', 0o600);
  const child = spawn(options.command, options.args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  closeSync(log);

  let running = true;
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', (error) => {
      running = false;
      resolve({ code: null, signal: null, error });
    });
    child.once('exit', (code, signal) => {
      running = false;
      resolve({ code, signal });
    });
  });

  const kill = async () => {
    signalGroup(child, 'SIGKILL');
    await exited;
    await groupGone(child, 5_000);
  };

  const started: RunningProcess = {
    name: options.name,
    pid: child.pid,
    logPath: options.logPath,
    exited,
    isRunning: () => running,
    tail: (lines = 15) => readFileSync(options.logPath, 'utf8').trimEnd().split('\n').slice(-lines).join('\n'),
    kill,
    async stop() {
      signalGroup(child, options.stopSignal ?? 'SIGTERM');
      if (!(await groupGone(child, options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS))) await kill();
      await exited;
    },
  };
  live.add(started);
  if (child.pid !== undefined) tellGuardian(`+${child.pid} ${options.stopSignal ?? 'SIGTERM'}`);
  void exited.then(async () => {
    live.delete(started);
    // What it started itself may outlive it for a moment; until then the group is ours to end.
    if (await groupGone(child, options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS)) tellGuardian(`-${child.pid}`);
  });
  return started;
}

/** Stops every child that still runs, those that are only starting too, and starts none from now on. */
export async function stopEverything(): Promise<void> {
  closing = true;
  await Promise.all([...live].map((child) => child.stop()));
}

/** Waits for `ready`, but no longer than the child lives. @throws Error with the tail of its log when it ends first. */
export async function readyOrDead<T>(child: RunningProcess, ready: Promise<T>): Promise<T> {
  const died = child.exited.then((exit) => {
    throw new Error(`${child.name} ended while starting (${describeExit(exit)}):\n${child.tail()}`);
  });
  return await Promise.race([ready, died]);
}

/** How a child ended, in words. */
export function describeExit({ code, signal, error }: Exit): string {
  if (error !== undefined) return error.message;
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}
