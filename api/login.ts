// Owns the exchange of an integration's credentials for its token, however a surface asks for it.
import type { Context } from 'hono';
import { clientAddress } from './address.ts';
import { CoreError } from './core/errors.ts';
import { loginWaitSeconds, recordFailedLogin } from './core/platform/logins.ts';
import { authenticate, type Integration } from './core/platform/platform.ts';
import { requireAllowedAddress, type Services } from './http.ts';

/** What an integration signs in with. */
export type Credentials = { clientId: string; clientSecret: string };

/**
 * The integration with these credentials, which are asked for at most so often.
 * @throws unauthenticated · forbidden: it may not call from here · rate_limited after too many failures.
 */
export async function logIn(
  c: Context,
  services: Services,
  { clientId, clientSecret }: Credentials,
): Promise<Integration> {
  const { sql, trustedProxies } = services;
  const attempt = { clientId, address: clientAddress(c, trustedProxies) };
  const waitSeconds = await loginWaitSeconds(sql, attempt);
  if (waitSeconds > 0) {
    c.header('Retry-After', String(waitSeconds));
    throw new CoreError('rate_limited', `Too many failed logins: wait ${waitSeconds} seconds.`);
  }
  const integration = await authenticate(sql, clientId, clientSecret).catch(async (error: unknown) => {
    if (error instanceof CoreError) await recordFailedLogin(sql, attempt);
    throw error;
  });
  requireAllowedAddress(c, services, integration);
  c.header('Cache-Control', 'no-store');
  return integration;
}
