// Owns what makes a repeated request harmless: the first one's answer is kept beside what it wrote, in one transaction.
import type { Sql, Transaction } from './db.ts';
import { CoreError } from './errors.ts';

/** A request that carries an idempotency key; the route is method and path. */
export type KeyedRequest = { integrationId: string; route: string; key: string; bodyHash: Buffer };

/**
 * Claims the key for this transaction; null: nobody has used it. Otherwise the sealed answer of the request that did.
 * @throws in_flight while another request with the key runs · idempotency_mismatch when its body was another.
 */
export async function claimKey(tx: Transaction, request: KeyedRequest): Promise<Buffer | null> {
  const { integrationId, route, key, bodyHash } = request;
  const name = `${integrationId} ${route} ${key}`;
  const [lock] = await tx<{ free: boolean }[]>`
    select pg_try_advisory_xact_lock(hashtextextended(${name}, 1)) as free`;
  if (!lock?.free) throw new CoreError('in_flight', 'A request with this Idempotency-Key is still running.');
  const [known] = await tx<{ bodyHash: Buffer; answer: Buffer }[]>`
    select body_hash, answer from idempotent_request
    where integration_id = ${integrationId} and route = ${route} and key = ${key}`;
  if (!known) {
    await tx`insert into idempotent_request ${tx({ integrationId, route, key, bodyHash })}`;
    return null;
  }
  if (!known.bodyHash.equals(bodyHash)) {
    throw new CoreError('idempotency_mismatch', 'This Idempotency-Key was used with another body.');
  }
  return known.answer;
}

/** Keeps the sealed answer to a claimed request; it exists exactly when what the request did exists. */
export async function keepAnswer(
  tx: Transaction,
  { integrationId, route, key }: KeyedRequest,
  answer: Uint8Array,
): Promise<void> {
  await tx`
    update idempotent_request set answer = ${answer}
    where integration_id = ${integrationId} and route = ${route} and key = ${key}`;
}

/** Forgets answers that are older than two days; a key is kept for at least one. */
export async function forgetOldAnswers(sql: Sql): Promise<void> {
  await sql`delete from idempotent_request where created_at < now() - interval '2 days'`;
}
