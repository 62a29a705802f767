/** An integration as a careful one is written: whatever is not answered is asked again with the same key. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Seed } from '../dev/seed.ts';
import { Patience } from './patience.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers are read as any client would, without our types.
export type Json = any;
export type Answer = { status: number; json: Json };

const TIMEOUT_MS = 10_000;
const PAUSE_MS = 400;
const TOKEN_FRESH_MS = 20 * 60_000;
const PATIENCE_MS = 90_000;

/** Speaks to the cluster at `url`. */
export class Client {
  readonly url: string;
  /** Answers that say that we are at fault (5xx but 502 and 503), by their text. */
  readonly faults = new Map<string, number>();
  readonly #seeded: Seed;
  #token = '';
  #tokenAt = 0;

  constructor(url: string, seeded: Seed) {
    this.url = url;
    this.#seeded = seeded;
  }

  /** Signs in. @throws Error when it is refused */
  async open(): Promise<void> {
    const { clientId: client_id, clientSecret: client_secret } = this.#seeded;
    const { json } = await this.call('POST', '/auth/token', { body: { client_id, client_secret }, token: null });
    this.#token = json.access_token;
    this.#tokenAt = Date.now();
  }

  /** Has every event of the node sent to this URL; answers the secret that signs them. */
  async addEndpoint(url: string): Promise<string> {
    const { json } = await this.call('POST', '/webhook-endpoints', { body: { node_id: this.#seeded.nodeId, url } });
    return json.signing_secret;
  }

  /** The integration's token. */
  async token(): Promise<string> {
    if (Date.now() - this.#tokenAt > TOKEN_FRESH_MS && this.#token !== '') await this.open();
    return this.#token;
  }

  /** Asks once. @throws when nobody answers */
  async once(
    method: string,
    path: string,
    { body, token, key }: { body?: unknown; token?: string | null; key?: string } = {},
  ): Promise<Answer> {
    const bearer = token === undefined ? await this.token() : token;
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        ...(bearer !== null && { Authorization: `Bearer ${bearer}` }),
        ...(key !== undefined && { 'Idempotency-Key': key }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: parse(text) };
  }

  /** Asks until it is answered with something other than 429 or 5xx. @throws Error after a minute and a half */
  async call(method: string, path: string, options: Parameters<Client['once']>[2] = {}): Promise<Answer> {
    const patience = new Patience(PATIENCE_MS);
    for (;;) {
      const answer = await this.once(method, path, options).catch((error: Error) => error);
      if (!(answer instanceof Error) && answer.status === 401 && options.token === undefined && !patience.isOver) {
        // The clock was moved past its end.
        await this.open();
        continue;
      }
      if (!(answer instanceof Error) && answer.status < 500 && answer.status !== 429) return answer;
      if (!(answer instanceof Error) && answer.status !== 502 && answer.status !== 503 && answer.status !== 429) {
        const fault = `${method} ${path.replaceAll(/[0-9a-f-]{36}/g, '{id}')}: ${answer.status} ${JSON.stringify(answer.json)}`;
        const known = fault.replaceAll(/"request_id":"[^"]*"|"instance":"[^"]*"/g, '');
        this.faults.set(known, (this.faults.get(known) ?? 0) + 1);
      }
      if (patience.isOver) throw new Error(`${method} ${path} was not answered: ${said(answer)}`);
      await sleep(PAUSE_MS);
    }
  }
}

function said(answer: Answer | Error): string {
  return answer instanceof Error ? answer.message : `${answer.status} ${JSON.stringify(answer.json)}`;
}

function parse(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
