/** A receiver of webhooks on loopback that answers as it is told and keeps what it got, in the order of arrival. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A webhook as it arrived; `event` is its body, parsed. */
export type Received = {
  url: string;
  headers: Record<string, string>;
  body: string;
  // biome-ignore lint/suspicious/noExplicitAny: read as any receiver would, without our types.
  event: any;
};

export type Receiver = {
  url: string;
  /** Everything that came, whatever it was answered. */
  received: Received[];
  /** What came and was answered with 2xx. */
  accepted: Received[];
  /** How to answer from now on: a status, or by hand. */
  answer: number | ((webhook: Received, response: ServerResponse, request: IncomingMessage) => void);
  stop(): Promise<void>;
};

/** Starts a receiver that answers 204. */
export async function startReceiver(): Promise<Receiver> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const headers = request.headers as Record<string, string>;
      const webhook = { url: request.url ?? '', headers, body, event: JSON.parse(body) };
      receiver.received.push(webhook);
      if (typeof receiver.answer === 'function') receiver.answer(webhook, response, request);
      else response.writeHead(receiver.answer).end();
      if (response.statusCode < 300 && response.headersSent) receiver.accepted.push(webhook);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: [],
    accepted: [],
    answer: 204,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
  return receiver;
}
