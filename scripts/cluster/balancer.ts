/**
 * A small HTTP balancer for `npm run start:cluster`: round robin over backends whose /readyz answers 200. A request that a backend
 * never answered goes to the next one when repeating it is harmless; nothing is kept in memory but what streams through.
 */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';

const CHECK_INTERVAL_MS = 500;
const CHECK_TIMEOUT_MS = 2_000;
const REPEATABLE = new Set(['GET', 'HEAD', 'OPTIONS']);

type Backend = { url: URL; isReady: boolean };

/** A running balancer. */
export type Balancer = { url: string; ready(): string[]; stop(): Promise<void> };

/** Listens on 127.0.0.1 and answers once every backend was asked. @throws Error when the port is taken */
export async function startBalancer(port: number, urls: readonly string[]): Promise<Balancer> {
  const backends: Backend[] = urls.map((url) => ({ url: new URL(url), isReady: false }));
  let turn = 0;

  const check = async (backend: Backend) => {
    const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
    backend.isReady = await fetch(new URL('/readyz', backend.url), { signal }).then(
      (response) => response.ok,
      () => false,
    );
  };

  function forward(incoming: IncomingMessage, outgoing: ServerResponse, tried: ReadonlySet<Backend>): void {
    const candidates = backends.filter((backend) => backend.isReady && !tried.has(backend));
    turn += 1;
    const backend = candidates[turn % candidates.length];
    if (!backend) {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(503, { 'Retry-After': '1' }).end('No API is ready.\n');
      return;
    }
    const { method = 'GET', url: path = '/', headers } = incoming;
    const forwarded = { ...headers, 'x-forwarded-for': incoming.socket.remoteAddress ?? '' };
    const onward = request(new URL(path, backend.url), { method, headers: forwarded }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
      answer.on('error', () => outgoing.destroy());
    });
    onward.on('error', () => {
      backend.isReady = false;
      if (outgoing.headersSent) outgoing.destroy();
      else if (REPEATABLE.has(method)) forward(incoming, outgoing, new Set([...tried, backend]));
      // What was sent may have been done; an Idempotency-Key makes asking again safe.
      else outgoing.writeHead(502).end('The API ended before it answered.\n');
    });
    outgoing.on('close', () => onward.destroy());
    if (REPEATABLE.has(method)) onward.end();
    else incoming.pipe(onward);
  }

  await Promise.all(backends.map(check));
  const timer = setInterval(() => void Promise.all(backends.map(check)), CHECK_INTERVAL_MS);
  const server: Server = createServer((incoming, outgoing) => forward(incoming, outgoing, new Set()));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${port}`,
    ready: () => backends.filter(({ isReady }) => isReady).map(({ url }) => url.origin),
    stop() {
      clearInterval(timer);
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
