/** TCP ports of 127.0.0.1: finding a free one, refusing a busy one, waiting until one answers. */
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from './problem.ts';

const HOST = '127.0.0.1';

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: HOST, port, exclusive: true }, () => {
      const address = server.address();
      const bound = address !== null && typeof address === 'object' ? address.port : port;
      server.close(() => resolve(bound));
    });
  });
}

/** A port that was free a moment ago, chosen by the operating system. */
export function freePort(): Promise<number> {
  return listenOnce(0);
}

/** @throws Problem naming `flag` when something else listens on `port`, or when it may not be bound. */
export async function requireFreePort(port: number, flag: string, what: string): Promise<void> {
  try {
    await listenOnce(port);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const reason =
      code === 'EADDRINUSE' ? 'is in use' : code === 'EACCES' ? 'may not be bound by this user' : 'cannot be bound';
    throw new Problem(`Port ${port} (${what}) ${reason}: stop what holds it or choose another with ${flag} <port>.`);
  }
}

/** True when something accepts TCP connections on `port`. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port });
    const settle = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.setTimeout(1_000, () => settle(false));
  });
}

/** Polls `probe` until it is true. @throws Error naming `what` after `timeoutMs`. */
export async function waitUntil(
  what: string,
  probe: () => Promise<boolean>,
  { timeoutMs = 60_000, everyMs = 50 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await probe())) {
    if (Date.now() > deadline) throw new Error(`${what}: not there after ${Math.round(timeoutMs / 1000)} s`);
    await sleep(everyMs);
  }
}
