// Owns speaking to the API: where it is, as whom, and what its refusals mean to a person.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { findStackFile } from '../dev/stackfile.ts';
import { Failure } from './failure.ts';

/** What every command may be given. */
export type Settings = { url?: string; credentials?: string; data: string; json: boolean; yes: boolean };

// biome-ignore lint/suspicious/noExplicitAny: answers are shown as they come; the API's own tests hold their shapes.
export type Answer = any;

type Credentials = { client_id: string; client_secret: string };
type Place = {
  url: string;
  credentials: Credentials | undefined;
  nodeId?: string;
  rpcUrl?: string;
  diamond?: string;
  databaseUrl?: string;
};

/** The settings of a command, its parents' included. */
export function settingsOf(command: Command): Settings {
  return command.optsWithGlobals();
}

/** Where the API is and as whom to speak: the flags, the environment, or the stack that `npm start` runs here. @throws Failure */
export function placeOf({ url, credentials: file, data }: Settings): Place {
  if (file) {
    const { url: own, ...credentials } = readCredentials(file);
    const found = url ?? own;
    if (!found) throw new Failure(`${file} names no url: give --url as well.`, 2);
    return { url: found, credentials };
  }
  if (url) return { url, credentials: credentialsOfEnvironment() };
  const stack = findStackFile(data);
  if (!stack) {
    throw new Failure(
      `No stack runs in ${data}, and neither --url nor --credentials is given: start one with npm start, or say where the API is.`,
      2,
    );
  }
  return {
    url: stack.api_url,
    credentials: credentialsOfEnvironment() ?? stack.integration,
    nodeId: stack.node_id,
    rpcUrl: stack.rpc_url,
    diamond: stack.diamond,
    databaseUrl: stack.database_url,
  };
}

/** The database: the one that is named, or that of the stack that runs here. @throws Failure */
export function databaseOf({ data }: Settings, named: string | undefined): string {
  const url = named ?? findStackFile(data)?.database_url;
  if (!url) throw new Failure(`No stack runs in ${data}: name the database with --database-url.`, 2);
  return url;
}

function readCredentials(file: string): Credentials & { url?: string } {
  try {
    const { client_id, client_secret, url } = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof client_id === 'string' && typeof client_secret === 'string') {
      return { client_id, client_secret, ...(url && { url }) };
    }
  } catch {
    // Said below; what is in the file stays there.
  }
  throw new Failure(`${file} cannot be read as JSON with client_id and client_secret.`, 2);
}

function credentialsOfEnvironment(): Credentials | undefined {
  const { DEALKEEP_CLIENT_ID: client_id, DEALKEEP_CLIENT_SECRET: client_secret } = process.env;
  return client_id && client_secret ? { client_id, client_secret } : undefined;
}

/** The API, signed in. */
export class Api {
  readonly place: Place;
  readonly #token: string;

  private constructor(place: Place, token: string) {
    this.place = place;
    this.#token = token;
  }

  /** Signs in. @throws Failure */
  static async open(settings: Settings): Promise<Api> {
    const place = placeOf(settings);
    if (!place.credentials) {
      const ways = '--credentials FILE, or DEALKEEP_CLIENT_ID and DEALKEEP_CLIENT_SECRET';
      throw new Failure(`Say as whom: ${ways}.`, 2);
    }
    const { access_token } = await request(place.url, 'POST', '/auth/token', { body: place.credentials });
    return new Api(place, access_token);
  }

  /** Reads; undefined query values are left out. @throws Failure with the API's words */
  get(path: string, query: Record<string, string | number | undefined> = {}): Promise<Answer> {
    return request(this.place.url, 'GET', withQuery(path, query), { token: this.#token });
  }

  /** Asks for something to be done. @throws Failure with the API's words */
  post(path: string, body?: unknown, query: Record<string, string | undefined> = {}): Promise<Answer> {
    return request(this.place.url, 'POST', withQuery(path, query), { token: this.#token, body: body ?? {} });
  }

  /** Changes fields. @throws Failure with the API's words */
  patch(path: string, body: unknown): Promise<Answer> {
    return request(this.place.url, 'PATCH', path, { token: this.#token, body });
  }

  /** The node that a list is of: the one that is named, or the stack's own. @throws Failure */
  nodeId(named: string | undefined): string {
    const id = named ?? this.place.nodeId;
    if (!id) throw new Failure('Name the node: --node ID (npx dealkeep nodes list shows them).', 2);
    return id;
  }
}

function withQuery(path: string, query: Record<string, string | number | undefined>): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

/** One request. @throws Failure: 3 when nothing answers, 1 with the API's words when it refuses */
export async function request(
  url: string,
  method: 'GET' | 'POST' | 'PATCH',
  path: string,
  { token, body }: { token?: string; body?: unknown } = {},
): Promise<Answer> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: {
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  }).catch(() => {
    throw new Failure(`${url} does not answer: is it the right address, and does the API run?`, 3);
  });
  const answer: Answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  const faults = (answer?.errors ?? []).map(
    ({ pointer, message }: { pointer: string; message: string }) => `  ${pointer} ${message}`,
  );
  const words = answer?.detail ?? answer?.title ?? `The API answered ${response.status}.`;
  const id = answer?.request_id ? `(${answer.code}, request ${answer.request_id})` : `(${response.status})`;
  throw new Failure([`${words} ${id}`, ...faults].join('\n'), response.status === 503 ? 3 : 1);
}
