/** A node that misbehaves on demand: passes JSON-RPC on to a real one, except for the methods that a test has told it about. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One JSON-RPC call as it arrived. */
export type RpcCall = { method: string; params: unknown[] };

/**
 * What happens to a call. `never`: it reaches nobody and is not answered. `lost`: it is carried out and the connection is cut.
 * `held`: it is carried out, the answer waits for ever. `busy`: status 429. `say`: this is the answer. `fail`: this is the error.
 */
export type Treatment =
  | 'never'
  | 'lost'
  | 'held'
  | 'busy'
  | { say: unknown }
  | { fail: { code: number; message: string } };

export type RpcProxy = {
  readonly url: string;
  /** Every call so far, in order. */
  readonly calls: RpcCall[];
  /** Treats calls of a method so, until told otherwise; undefined: passes them on again. */
  treat(method: string, treatment: Treatment | ((call: RpcCall) => Treatment | undefined) | undefined): void;
  /** Resolves when a call of the method has arrived and, unless it reaches nobody, was carried out. */
  reached(method: string): Promise<void>;
  stop(): Promise<void>;
};

const CORS = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': 'content-type' };

/** Starts a proxy before the node at `upstream`. */
export async function startRpcProxy(upstream: string): Promise<RpcProxy> {
  const treatments = new Map<string, Treatment | ((call: RpcCall) => Treatment | undefined)>();
  const waiting: { method: string; resolve: () => void }[] = [];
  const calls: RpcCall[] = [];

  const arrived = (method: string) => {
    for (const entry of waiting.splice(0)) {
      if (entry.method === method) entry.resolve();
      else waiting.push(entry);
    }
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page asks as well as a process does.
    if (request.method === 'OPTIONS') return void response.writeHead(204, CORS).end();
    let body = '';
    for await (const chunk of request) body += chunk;
    const { id, ...call } = JSON.parse(body) as RpcCall & { id: number };
    calls.push(call);
    const rule = treatments.get(call.method);
    const treatment = typeof rule === 'function' ? rule(call) : rule;
    const answer = (status: number, text: string) => {
      response.writeHead(status, { 'Content-Type': 'application/json', ...CORS }).end(text);
    };
    if (treatment === 'busy') return answer(429, '');
    if (typeof treatment === 'object') {
      const said = 'say' in treatment ? { result: treatment.say } : { error: treatment.fail };
      return answer(200, JSON.stringify({ jsonrpc: '2.0', id, ...said }));
    }
    if (treatment !== 'never') {
      const passed = await fetch(upstream, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
      const text = await passed.text();
      if (treatment === undefined) answer(passed.status, text);
      if (treatment === 'lost') response.destroy();
    }
    arrived(call.method);
  }

  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    treat(method, treatment) {
      if (treatment === undefined) treatments.delete(method);
      else treatments.set(method, treatment);
    },
    reached: (method) => new Promise((resolve) => waiting.push({ method, resolve })),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
