/** A door before a chain's node: closed, it is a node that is down; with an `intercept` it is one that lies or lags. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

type Request = { method: string; params: unknown[] };
type Answer = { result?: unknown; error?: { code: number; message: string } };

export type Door = {
  readonly url: string;
  open: boolean;
  /** How often a method was asked for. */
  readonly asked: Map<string, number>;
  /** Answers in the node's place; `forward` asks the node. */
  intercept: (request: Request, forward: (request: Request) => Promise<Answer>) => Promise<Answer>;
  close(): void;
};

/** Opens a door before the node at `rpcUrl`, on a free port of 127.0.0.1. */
export async function openDoor(rpcUrl: string): Promise<Door> {
  const server = createServer(async (incoming, response) => {
    if (!door.open) {
      incoming.socket.destroy();
      return;
    }
    const text = await new Response(incoming as unknown as ReadableStream).text();
    const { id, ...request }: Request & { id: number } = JSON.parse(text);
    door.asked.set(request.method, (door.asked.get(request.method) ?? 0) + 1);
    const answer = await door.intercept(request, async (forwarded) => {
      const body = JSON.stringify({ ...forwarded, jsonrpc: '2.0', id });
      const headers = { 'Content-Type': 'application/json' };
      return JSON.parse(await (await fetch(rpcUrl, { method: 'POST', body, headers })).text());
    });
    response
      .writeHead(200, { 'Content-Type': 'application/json' })
      .end(JSON.stringify({ ...answer, jsonrpc: '2.0', id }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const door: Door = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open: true,
    asked: new Map(),
    intercept: (request, forward) => forward(request),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return door;
}

/** Lets the node behind the door know no block after `number`, as one does that has fallen behind. */
export function lagAt(door: Door, number: bigint): void {
  const tag = `0x${number.toString(16)}`;
  door.intercept = async (request, forward) => {
    if (request.method === 'eth_blockNumber') return { result: tag };
    if (request.method !== 'eth_getBlockByNumber') return await forward(request);
    const [wanted, ...rest] = request.params;
    if (wanted === 'latest') return await forward({ ...request, params: [tag, ...rest] });
    return BigInt(String(wanted)) > number ? { result: null } : await forward(request);
  };
}
