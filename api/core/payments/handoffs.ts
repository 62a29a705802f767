/**
 * Owns handing a payment over to the hosted checkout, on a phone for instance: a code that works once, within minutes, and leads
 * back only to where the payment's node allows. Keeps the code's hash alone.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type Sql, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import type { PaymentKey } from './payments.ts';

/** A code before it is used. */
export type Handoff = { code: string; expiresAt: Date };

// Long enough to find a phone, short enough that a photograph of the screen is worth little.
const LIFETIME_SECONDS = 600;
const MAX_OPEN_PER_PAYMENT = 20;

/**
 * Makes a code for the payment. @throws invalid_request: the node does not allow that return URL · rate_limited: too many codes
 * wait to be used.
 */
export async function createHandoff(
  sql: Sql,
  { nodeId, paymentId }: PaymentKey,
  accessTokenVersion: number,
  returnUrl: string | null,
): Promise<Handoff> {
  if (returnUrl !== null) await requireAllowed(sql, nodeId, returnUrl);
  const code = randomBytes(32).toString('base64url');
  const expiresAt = new Date(Date.now() + LIFETIME_SECONDS * 1_000);
  await transact(sql, async (tx) => {
    // What is over is of no use to anybody.
    await tx`delete from handoff where expires_at < now() - interval '1 hour'`;
    const [open] = await tx<{ count: number }[]>`
      select count(*)::int as count from handoff
      where node_id = ${nodeId} and payment_id = ${paymentId} and redeemed_at is null and expires_at > now()`;
    if ((open?.count ?? 0) >= MAX_OPEN_PER_PAYMENT) {
      throw new CoreError('rate_limited', 'Too many codes of this payment wait to be used; try again in ten minutes.');
    }
    const row = { codeHash: hashOf(code), nodeId, paymentId, accessTokenVersion, returnUrl, expiresAt };
    await tx`insert into handoff ${tx(row)}`;
  });
  return { code, expiresAt };
}

/** Uses a code up. @throws unauthenticated: unknown, used, over, or the payment's access token was replaced since */
export async function redeemHandoff(sql: Sql, code: string): Promise<{ key: PaymentKey; returnUrl: string | null }> {
  const [row] = await sql<{ nodeId: string; paymentId: string; returnUrl: string | null }[]>`
    update handoff h set redeemed_at = now() from payment p
    where h.code_hash = ${hashOf(code)} and h.redeemed_at is null and h.expires_at > now()
      and p.node_id = h.node_id and p.id = h.payment_id and p.access_token_version = h.access_token_version
    returning h.node_id, h.payment_id, h.return_url`;
  if (!row) throw new CoreError('unauthenticated', 'The code was used already or is over.');
  const { nodeId, paymentId, returnUrl } = row;
  return { key: { nodeId, paymentId }, returnUrl };
}

async function requireAllowed(sql: Sql, nodeId: string, returnUrl: string): Promise<void> {
  const { origin } = new URL(returnUrl);
  const [allowed] = await sql`
    select 1 from node n join node above on above.id = any(n.path)
    where n.id = ${nodeId} and ${origin} = any(above.return_origins) limit 1`;
  if (allowed) return;
  throw new CoreError('invalid_request', 'Not valid: return_url.', [
    { pointer: '/return_url', message: "is of no origin in the node's return_origins" },
  ]);
}

function hashOf(code: string): Buffer {
  return createHash('sha256').update(code).digest();
}
