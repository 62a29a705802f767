// Owns the Idempotency-Key header: a request that carries one runs in a transaction that also keeps its answer, and the same
// request again gets that answer. Refused requests are not kept, so they can be mended and sent again.
import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import type { Context, TypedResponse } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type Sql, type Transaction, transact } from './core/database/db.ts';
import { claimKey, type KeyedRequest, keepAnswers } from './core/database/replay.ts';
import { CoreError } from './core/errors.ts';
import { type Env, jsonNumber, type Services } from './http.ts';

/** The header as the OpenAPI document shows it; {@link once} checks it. */
export const keyHeader = z.object({
  'Idempotency-Key': z
    .string()
    .optional()
    .openapi({ description: 'The same key again, within a day, gets the first answer; visible ASCII, at most 255' }),
});

/** Why a request with a key may be refused. */
export const keyRefusals = ['in_flight', 'idempotency_mismatch'] as const;

type Json = Record<string, unknown>;

/** Puts what is never stored back into an answer that is sent again. */
export type Restore<Body extends Json> = (sql: Sql | Transaction, body: Body) => Promise<Body>;

const KEY = /^[\x21-\x7e]{1,255}$/;

/** Fields of answers that hold secrets. */
const SECRETS = ['access_token', 'accessToken', 'client_secret', 'signing_secret'];

/** A request's Idempotency-Key, and answers as they are stored under it: sealed, without secrets. */
export type Keyed<Body extends Json> = KeyedRequest & {
  seal(body: Body): Uint8Array;
  open(answer: Buffer): Body;
};

/** The request's key; undefined: it has none. @throws invalid_request for a key that is none. */
export async function keyOf<Body extends Json>(
  c: Context<Env>,
  { vault }: Pick<Services, 'vault'>,
): Promise<Keyed<Body> | undefined> {
  const key = c.req.header('Idempotency-Key');
  if (key === undefined) return undefined;
  if (!KEY.test(key)) {
    throw new CoreError('invalid_request', 'The Idempotency-Key must be 1 to 255 visible ASCII characters.', [
      { pointer: '/Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' },
    ]);
  }
  const request: KeyedRequest = {
    integrationId: c.get('integration').id,
    route: `${c.req.method} ${c.req.path}`,
    key,
    bodyHash: createHash('sha256')
      .update(await c.req.text())
      .digest(),
  };
  const place = ['idempotent_request', request.integrationId, request.route, key] as const;
  return {
    ...request,
    seal: (body) => vault.sealText(place, JSON.stringify(withoutSecrets(body))),
    open: (answer) => parseAnswer<Body>(vault.openText(place, answer)),
  };
}

/** Answers with the outcome of an earlier request, and says so. */
export function replay<Body extends Json, Status extends ContentfulStatusCode>(
  c: Context<Env>,
  status: Status,
  body: Body,
): Response & TypedResponse<Body, Status, 'json'> {
  c.header('Idempotent-Replayed', 'true');
  return c.json(body, status) as unknown as Response & TypedResponse<Body, Status, 'json'>;
}

/**
 * Answers with `status` and what `handle` returns, once for each Idempotency-Key of an integration and route; without the
 * header, every time.
 * @throws invalid_request for a key that is none · in_flight · idempotency_mismatch.
 */
export async function once<Body extends Json, Status extends ContentfulStatusCode>(
  c: Context<Env>,
  services: Pick<Services, 'sql' | 'vault'>,
  status: Status,
  handle: (sql: Sql | Transaction) => Promise<Body>,
  restore: Restore<Body> = async (_sql, body) => body,
): Promise<Response & TypedResponse<Body, Status, 'json'>> {
  const { sql } = services;
  const answer = (body: Body) => c.json(body, status) as unknown as Response & TypedResponse<Body, Status, 'json'>;
  const keyed = await keyOf<Body>(c, services);
  if (!keyed) return answer(await handle(sql));
  return await transact(sql, async (tx) => {
    const stored = await claimKey(tx, keyed);
    if (stored) return replay(c, status, await restore(tx, keyed.open(stored)));
    const body = await handle(tx);
    await keepAnswers(tx, [{ ...keyed, answer: keyed.seal(body) }]);
    return answer(body);
  });
}

function withoutSecrets(body: Json): Json {
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [name, SECRETS.includes(name) ? null : value]));
}

/** Parses a stored answer with its numbers digit for digit. */
function parseAnswer<Body>(text: string): Body {
  return JSON.parse(text, (_name, value, context?: { source?: string }) =>
    typeof value === 'number' && context?.source !== undefined ? jsonNumber(context.source) : value,
  );
}
