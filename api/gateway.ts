// Owns how the indexer's processes reach the chains: one local HTTP server that answers with what a network's nodes say
// together (core/chain/quorum.ts). So they see a head that never goes back without a reorganisation, and never an RPC URL's key.
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Quorum } from './core/chain/quorum.ts';
import { RpcError } from './core/chain/rpc.ts';

const MAX_REQUEST_BYTES = 1024 * 1024;

/** What the server says of itself: `ready` decides the status of `GET /readyz`. */
export type Status = { ready: boolean; indexers: unknown };

export type Gateway = {
  readonly port: number;
  /** The URL under which requests reach `quorum`, which may be replaced at any time. */
  urlFor(name: string, quorum: () => Quorum): string;
  close(): Promise<void>;
};

/** Listens on 127.0.0.1, on a free port when it is 0. @throws Error when the port is taken */
export async function openGateway(port: number, status: () => Status): Promise<Gateway> {
  // The nodes' quota is ours: nobody else on this machine shall use it up.
  const token = randomBytes(16).toString('hex');
  const quorums = new Map<string, () => Quorum>();

  const server = createServer((request, response) => {
    const quorum = quorums.get(request.url ?? '');
    if (request.method === 'POST' && quorum) void forward(request, response, quorum());
    else if (request.method === 'GET') report(request, response, status());
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    port: bound,
    urlFor(name, quorum) {
      const path = `/${token}/${name}`;
      quorums.set(path, quorum);
      return `http://127.0.0.1:${bound}${path}`;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function report(request: IncomingMessage, response: ServerResponse, status: Status): void {
  const json = { 'Content-Type': 'application/json' };
  if (request.url === '/readyz') {
    response.writeHead(status.ready ? 200 : 503, json).end(JSON.stringify({ ready: status.ready }));
  } else if (request.url === '/') response.writeHead(200, json).end(JSON.stringify(status));
  else response.writeHead(404).end();
}

async function forward(request: IncomingMessage, response: ServerResponse, quorum: Quorum): Promise<void> {
  let id: unknown = null;
  const answer = (status: number, body: object) => {
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, ...body }));
  };
  try {
    const { id: given, method, params } = JSON.parse(await textOf(request));
    id = given;
    answer(200, { result: await quorum.request({ method, params }) });
  } catch (error) {
    if (error instanceof RpcError) {
      answer(200, { error: { code: error.code, message: error.message, data: error.data } });
    } else {
      // To the indexer this is a node that is down for the moment: it asks again.
      answer(503, { error: { code: -32_603, message: error instanceof Error ? error.message : 'unexpected' } });
    }
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_REQUEST_BYTES) throw new Error('the request is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
