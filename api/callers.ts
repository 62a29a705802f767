// Owns what every surface asks of the integration that calls: who it is in a log, and whether it may see a widget's access token.
import type { Actor } from './core/log.ts';
import type { PaymentRecord } from './core/payments/payments.ts';
import type { Tokens } from './core/platform/auth.ts';
import type { Integration } from './core/platform/platform.ts';
import { hasScope } from './core/scopes.ts';

/** Who acts when an integration asks. */
export function actorOf(integration: Integration): Actor {
  return { type: 'integration', id: integration.id };
}

/** The access token of a payment's widget, for who may read it; derived, stored nowhere. */
export function accessTokenOf(
  tokens: Tokens,
  { scopes }: Integration,
  { payment, deals }: PaymentRecord,
): string | null {
  if (!hasScope(scopes, 'access_tokens:read')) return null;
  return widgetAccessToken(tokens, { payment, deals });
}

/** The access token of a payment's widget; with a leg, of that leg's payee, who sees no more than the leg. */
export function widgetAccessToken(
  tokens: Tokens,
  { payment, deals }: Pick<PaymentRecord, 'payment' | 'deals'>,
  payeeOfLeg?: number,
): string {
  const [deal] = deals;
  if (!deal) throw new Error(`Payment ${payment.id} has no leg.`);
  return tokens.accessToken({
    paymentId: payment.id,
    version: payment.accessTokenVersion,
    issuedAt: payment.createdAt,
    lastDeadline: deal.resolutionDeadline,
    ...(payeeOfLeg !== undefined && { payeeOfLeg }),
  });
}
