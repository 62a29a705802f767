// Owns what makes a repeated request harmless: the first one's answer is kept beside what it wrote, in one transaction.

import { CoreError } from '../errors.ts';
import type { Sql, Transaction } from './db.ts';

/** A request that carries an idempotency key; the route is method and path. */
export type KeyedRequest = { integrationId: string; route: string; key: string; bodyHash: Buffer };

/**
 * Claims the key for this transaction; null: nobody has used it. Otherwise the sealed answer of the request that did.
 * @throws in_flight while another request with the key runs · idempotency_mismatch when its body was another.
 */
export async function claimKey(tx: Transaction, request: KeyedRequest): Promise<Buffer | null> {
  const [claim = null] = await claimKeys(tx, [request]);
  if (claim instanceof CoreError) throw claim;
  return claim;
}

/** {@link claimKey} for several requests, in their order; one without a key claims nothing. */
export async function claimKeys(
  tx: Transaction,
  requests: readonly (KeyedRequest | undefined)[],
): Promise<(Buffer | CoreError | null)[]> {
  const keyed = requests.filter((request) => request !== undefined);
  if (keyed.length === 0) return requests.map(() => null);
  const names = keyed.map(nameOf);
  const parts = (['integrationId', 'route', 'key'] as const).map((part) => keyed.map((request) => request[part]));
  const [integrationIds = [], routes = [], keys = []] = parts;
  // Two statements: what the second one reads was written before the first one got the lock.
  const [locks, answers] = await Promise.all([
    tx<{ name: string; free: boolean }[]>`
      select name, pg_try_advisory_xact_lock(hashtextextended(name, 1)) as free from unnest(${names}::text[]) name`,
    // One by one: a plan that was made while the table was small would read all of it.
    tx<(KeyedRequest & { answer: Buffer })[]>`
      select kept.*
      from unnest(${integrationIds}::uuid[], ${routes}::text[], ${keys}::text[]) as asked(integration_id, route, key),
        lateral (
          select integration_id, route, key, body_hash, answer from idempotent_request r
          where (r.integration_id, r.route, r.key) = (asked.integration_id, asked.route, asked.key) limit 1
        ) kept`,
  ]);
  const free = new Set(locks.filter((lock) => lock.free).map((lock) => lock.name));
  const known = new Map(answers.map((answer) => [nameOf(answer), answer]));
  return requests.map((request) => {
    if (!request) return null;
    const name = nameOf(request);
    const answer = known.get(name);
    if (answer) {
      if (answer.bodyHash.equals(request.bodyHash)) return answer.answer;
      return new CoreError('idempotency_mismatch', 'This Idempotency-Key was used with another body.');
    }
    // Of two with one key that are claimed together, the second comes while the first runs.
    if (free.delete(name)) return null;
    return new CoreError('in_flight', 'A request with this Idempotency-Key is still running.');
  });
}

function nameOf({ integrationId, route, key }: Pick<KeyedRequest, 'integrationId' | 'route' | 'key'>): string {
  return `${integrationId} ${route} ${key}`;
}

/** Keeps the sealed answers to claimed requests; each exists exactly when what its request did exists. */
export async function keepAnswers(
  tx: Transaction,
  answers: readonly (KeyedRequest & { answer: Uint8Array })[],
): Promise<void> {
  if (answers.length === 0) return;
  const rows = answers.map(({ integrationId, route, key, bodyHash, answer }) => ({
    integration_id: integrationId,
    route,
    key,
    body_hash: bodyHash.toString('base64'),
    answer: Buffer.from(answer).toString('base64'),
  }));
  // Base64, because bytes as such travel in hex: half as much again.
  await tx`
    insert into idempotent_request (integration_id, route, key, body_hash, answer)
    select integration_id, route, key, decode(body_hash, 'base64'), decode(answer, 'base64')
    from json_to_recordset(${JSON.stringify(rows)}::text::json)
      as kept(integration_id uuid, route text, key text, body_hash text, answer text)`;
}

/** Forgets answers that are older than two days; a key is kept for at least one. */
export async function forgetOldAnswers(sql: Sql): Promise<void> {
  await sql`delete from idempotent_request where created_at < now() - interval '2 days'`;
}
