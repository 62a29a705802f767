/**
 * Ends the children of a process that died without ending them, as after `kill -9`. Started by processes.ts, which tells it
 * on standard input which process groups it has (`+pid SIGNAL`) and which are gone (`-pid`); the end of the input is the
 * end of the parent.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const GRACE_MS = 5_000;
const groups = new Map<number, NodeJS.Signals>();

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, name);
  } catch {
    return false;
  }
}

// A terminal's Ctrl-C is for the parent; this one has to outlive it.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const [pid, name] = line.slice(1).split(' ');
  if (line.startsWith('+')) groups.set(Number(pid), name as NodeJS.Signals);
  else groups.delete(Number(pid));
}

for (const [pid, name] of groups) signal(pid, name);
const deadline = Date.now() + GRACE_MS;
while ([...groups.keys()].some((pid) => signal(pid, 0)) && Date.now() < deadline) await sleep(50);
for (const pid of groups.keys()) signal(pid, 'SIGKILL');
