// Owns the keys that webhooks are signed with, and the signing, by Standard Webhooks: HMAC-SHA256 under a secret that both sides
// hold (v1), or Ed25519 under a key whose public half the receiver knows (v1a). Private halves are sealed and never leave.
import { createPrivateKey, generateKeyPairSync, type JsonWebKey, randomBytes, sign } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { v7 as uuidv7 } from 'uuid';
import type { Sql, Transaction } from '../database/db.ts';
import type { Place, Vault } from '../vault.ts';

/** How a webhook is signed. */
export type SignatureScheme = 'hmac' | 'ed25519';

/** Whose key: an endpoint's, or with `endpointId` null the node's own, for its payments' notify_urls. */
export type KeyOwner = { nodeId: string; endpointId: string | null };

/** A key as it is shown; the secret of an HMAC key only when it is made. */
export type KeyRecord = { version: number; publicKey: string | null; validUntil: Date | null };

/** A key that signs. */
export type SigningKey = { signature: 'hmac'; secret: string } | { signature: 'ed25519'; jwk: JsonWebKey };

/** Where a key is sealed. */
export function keyPlace({ nodeId, id }: { nodeId: string; id: string }): Place {
  return ['webhook_key', nodeId, id];
}

const SECRET_BYTES = 32;

function newKey(signature: SignatureScheme): { key: SigningKey; publicKey: string | null } {
  if (signature === 'hmac') {
    return { key: { signature, secret: `whsec_${randomBytes(SECRET_BYTES).toString('base64')}` }, publicKey: null };
  }
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const publicKey = `whpk_${Buffer.from(jwk.x ?? '', 'base64url').toString('base64')}`;
  return { key: { signature, jwk }, publicKey };
}

/** Makes the owner's current key of a version, unless there is a current one. */
export async function makeKey(
  tx: Sql | Transaction,
  vault: Vault,
  owner: KeyOwner,
  { signature, version }: { signature: SignatureScheme; version: number },
): Promise<void> {
  const { key, publicKey } = newKey(signature);
  const row = { ...owner, id: uuidv7(), version, signature, publicKey };
  await tx`
    insert into webhook_key ${tx({ ...row, sealed: vault.seal(keyPlace(row), key) })}
    on conflict (node_id, endpoint_id) where valid_until is null do nothing`;
}

/** Puts a new key in the current one's place, which stays valid for `overlapSeconds`: until then both sign. */
export async function rotateKey(tx: Transaction, vault: Vault, owner: KeyOwner, overlapSeconds: number): Promise<void> {
  const [known] = await tx<{ signature: SignatureScheme; version: number }[]>`
    update webhook_key set valid_until = now() + make_interval(secs => ${overlapSeconds})
    where ${ownedBy(tx, owner)} and valid_until is null returning signature, version`;
  if (!known) throw new Error('There is no key to rotate.');
  await makeKey(tx, vault, owner, { signature: known.signature, version: known.version + 1 });
}

function ownedBy(sql: Sql | Transaction, { nodeId, endpointId }: KeyOwner) {
  return sql`node_id = ${nodeId} and endpoint_id is not distinct from ${endpointId}::uuid`;
}

/** The owner's valid keys, the current one first. */
export async function listKeys(sql: Sql | Transaction, owner: KeyOwner): Promise<KeyRecord[]> {
  return await sql<KeyRecord[]>`
    select version, public_key, valid_until from webhook_key
    where ${ownedBy(sql, owner)} and (valid_until is null or valid_until > now()) order by version desc`;
}

type SealedKey = { nodeId: string; id: string; sealed: Buffer };

/** The owner's keys that are valid at a time, the current one first. */
export async function openKeys(
  sql: Sql | Transaction,
  vault: Vault,
  owner: KeyOwner,
  now: Date,
): Promise<SigningKey[]> {
  const rows = await sql<SealedKey[]>`
    select node_id, id, sealed from webhook_key
    where ${ownedBy(sql, owner)} and (valid_until is null or valid_until > ${now}) order by version desc`;
  return rows.map((row) => vault.open<SigningKey>(keyPlace(row), row.sealed));
}

/** The secret of an owner's HMAC key of that version, while it is valid; else null. */
export async function recoverSecret(
  sql: Sql | Transaction,
  vault: Vault,
  owner: KeyOwner,
  version: number,
): Promise<string | null> {
  const [row] = await sql<SealedKey[]>`
    select node_id, id, sealed from webhook_key
    where ${ownedBy(sql, owner)} and version = ${version} and (valid_until is null or valid_until > now())`;
  if (!row) return null;
  const key = vault.open<SigningKey>(keyPlace(row), row.sealed);
  return key.signature === 'hmac' ? key.secret : null;
}

/** The headers of a webhook: its id, the time of the attempt, and a signature by each key. */
export function signedHeaders(
  keys: readonly SigningKey[],
  { id, body, now }: { id: string; body: string; now: Date },
): Record<string, string> {
  const timestamp = Math.floor(now.getTime() / 1000);
  const signatures = keys.map((key) => {
    if (key.signature === 'hmac') return new Webhook(key.secret).sign(id, now, body);
    const content = Buffer.from(`${id}.${timestamp}.${body}`);
    return `v1a,${sign(null, content, createPrivateKey({ key: key.jwk, format: 'jwk' })).toString('base64')}`;
  });
  return { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': signatures.join(' ') };
}
