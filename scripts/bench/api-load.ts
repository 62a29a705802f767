/**
 * The load of `npm run bench:api`: HTTP/1.1 over kept-alive sockets, closed loop (each connection asks again when it was
 * answered) or open loop (requests arrive at a fixed rate, whether or not earlier ones were answered). Nothing here runs in the
 * process that is measured.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A request as it goes over the wire. */
export type Call = { method: 'GET' | 'POST'; path: string; headers?: Record<string, string>; body?: unknown };

/** What a load came to; latencies in milliseconds, sorted. */
export type Load = { perSecond: number; latenciesMs: Float64Array };

/** Writes a request down, so that sending it costs the sender next to nothing. */
function encode({ method, path, headers = {}, body }: Call): string {
  const text = body === undefined ? '' : JSON.stringify(body);
  const lines = Object.entries({
    Host: '127.0.0.1',
    ...headers,
    ...(body !== undefined && {
      'Content-Type': 'application/json',
      'Content-Length': String(Buffer.byteLength(text)),
    }),
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${text}`;
}

/** One connection, one request at a time. */
class Connection {
  readonly #socket: Socket;
  #received = '';
  #answered: { resolve(status: number): void; reject(error: Error): void } | undefined;

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    // Only lengths matter, so that a character a byte is enough.
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (chunk) => this.#read(String(chunk)));
    this.#socket.on('error', (error) => this.#answered?.reject(error));
    this.#socket.on('close', () => this.#answered?.reject(new Error('The API closed the connection.')));
  }

  #read(chunk: string): void {
    this.#received += chunk;
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#received.slice(0, end);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    const whole =
      length === undefined ? this.#received.endsWith('0\r\n\r\n') : this.#received.length >= end + 4 + Number(length);
    if (!whole) return;
    this.#received = '';
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.resolve(Number(head.slice(9, 12)));
  }

  async send(text: string): Promise<number> {
    return await new Promise((resolve, reject) => {
      this.#answered = { resolve, reject };
      this.#socket.write(text);
    });
  }

  /** False once the API has closed it, as it does with one that is idle for some seconds. */
  get isOpen(): boolean {
    return !this.#socket.destroyed && !this.#socket.readableEnded;
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Sends requests to one API. */
export class LoadGenerator {
  readonly #port: number;

  constructor(url: string) {
    this.#port = Number(new URL(url).port);
  }

  /** `connections` ask one request after another, for `seconds`. @throws Error when an answer has another status. */
  async closedLoop(
    { connections, seconds, status }: { connections: number; seconds: number; status: number },
    next: () => Call,
  ): Promise<Load> {
    const latencies: number[] = [];
    const opened = Array.from({ length: connections }, () => new Connection(this.#port));
    const startedAt = performance.now();
    const endsAt = startedAt + seconds * 1_000;
    await Promise.all(
      opened.map(async (connection) => {
        while (performance.now() < endsAt) {
          const call = next();
          const text = encode(call);
          const sentAt = performance.now();
          expectStatus(await connection.send(text), status, call);
          latencies.push(performance.now() - sentAt);
        }
      }),
    );
    const elapsedMs = performance.now() - startedAt;
    for (const connection of opened) connection.close();
    return { perSecond: (latencies.length * 1_000) / elapsedMs, latenciesMs: Float64Array.from(latencies).sort() };
  }

  /**
   * Requests arrive at `perSecond`. A latency counts from when the request was due, also when it had to wait for one of the
   * `connections` or for us.
   */
  async openLoop(
    {
      perSecond,
      seconds,
      connections,
      status,
    }: { perSecond: number; seconds: number; connections: number; status: number },
    next: () => Call,
  ): Promise<Load> {
    const latencies: number[] = [];
    const opened = Array.from({ length: connections }, () => new Connection(this.#port));
    const idle = [...opened];
    const due: { text: string; call: Call; dueAt: number }[] = [];
    const failures: unknown[] = [];
    const port = this.#port;
    const total = Math.round(perSecond * seconds);
    const startedAt = performance.now();

    function sendDue(): void {
      while (due.length > 0 && idle.length > 0) {
        // In turn, so that none is idle for long.
        const first = idle.shift()!;
        const connection = first.isOpen ? first : new Connection(port);
        const { text, call, dueAt } = due.shift()!;
        connection.send(text).then(
          (got) => {
            latencies.push(performance.now() - dueAt);
            idle.push(connection);
            if (got !== status) failures.push(new Error(`${call.method} ${call.path} was answered ${got}.`));
            sendDue();
          },
          (error) => failures.push(error),
        );
      }
    }

    for (let sent = 0; sent < total; ) {
      const now = performance.now();
      for (; sent < total && startedAt + (sent * 1_000) / perSecond <= now; sent += 1) {
        const call = next();
        due.push({ text: encode(call), call, dueAt: startedAt + (sent * 1_000) / perSecond });
      }
      sendDue();
      await sleep(1);
    }
    while (latencies.length < total && failures.length === 0) await sleep(5);
    const elapsedMs = performance.now() - startedAt;
    for (const connection of idle) connection.close();
    if (failures.length > 0) throw failures[0];
    return { perSecond: (total * 1_000) / elapsedMs, latenciesMs: Float64Array.from(latencies).sort() };
  }
}

function expectStatus(got: number, wanted: number, { method, path }: Call): void {
  if (got !== wanted) throw new Error(`${method} ${path} was answered ${got} instead of ${wanted}.`);
}

/** The latency that a share of all requests stays within; `latenciesMs` sorted. */
export function percentile(latenciesMs: Float64Array, share: number): number {
  return latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(latenciesMs.length * share))] ?? Number.NaN;
}
