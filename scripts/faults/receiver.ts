/** A receiver of webhooks that fails, hangs, answers twice or cuts off as it is told, and remembers what it accepted. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { Random } from './random.ts';

export type Mischief = 'fail' | 'hang' | 'twice' | 'cut';

/** An event as it was first accepted; `place`: its order of arrival among those. */
export type Accepted = { eventId: string; paymentId: string; type: string; place: number };

export type Receiver = {
  readonly url: string;
  /** What signatures are checked with. */
  secret: string;
  /** By the event's id. */
  readonly accepted: Map<string, Accepted>;
  /** What came with a signature that does not hold. */
  readonly badlySigned: string[];
  /** How many requests met with mischief. */
  readonly treated: number;
  misbehave(mischief: Mischief): void;
  heal(): void;
  stop(): Promise<void>;
};

const FAILURES = [500, 503, 404, 302] as const;

/** Starts one on loopback that answers 204. */
export async function startReceiver(random: Random): Promise<Receiver> {
  const accepted = new Map<string, Accepted>();
  const badlySigned: string[] = [];
  const hanging = new Set<ServerResponse>();
  let mischief: Mischief | undefined;
  let treated = 0;

  function take(request: IncomingMessage, body: string): void {
    const headers = request.headers as Record<string, string>;
    try {
      new Webhook(receiver.secret).verify(body, headers);
    } catch {
      // By the test clock a signature may be hours ahead of this machine's; then the signature alone is looked at.
      if (!isSigned(receiver.secret, headers, body)) badlySigned.push(headers['webhook-id'] ?? 'without an id');
    }
    const { id, type, data } = JSON.parse(body) as { id: string; type: string; data: { payment_id: string } };
    if (accepted.has(id)) return;
    accepted.set(id, { eventId: id, paymentId: data.payment_id, type, place: accepted.size });
  }

  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const now = mischief;
    if (now !== undefined) treated += 1;
    switch (now) {
      case 'fail':
        response.writeHead(random.pick(FAILURES)).end('not now');
        return;
      case 'hang':
        hanging.add(response);
        return;
      case 'cut':
        response.destroy();
        return;
      case 'twice':
        take(request, body);
        response.socket?.end(
          'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n',
        );
        return;
    }
    take(request, body);
    response.writeHead(204).end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const release = () => {
    for (const response of hanging) response.destroy();
    hanging.clear();
  };
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    secret: '',
    accepted,
    badlySigned,
    get treated() {
      return treated;
    },
    misbehave(kind) {
      release();
      mischief = kind;
    },
    heal() {
      mischief = undefined;
      release();
    },
    async stop() {
      release();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
  return receiver;
}

function isSigned(secret: string, headers: Record<string, string>, body: string): boolean {
  const { 'webhook-id': id = '', 'webhook-timestamp': seconds = '', 'webhook-signature': signatures = '' } = headers;
  const expected = new Webhook(secret).sign(id, new Date(Number(seconds) * 1_000), body);
  return signatures.split(' ').includes(expected);
}
