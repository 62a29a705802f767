// Owns which scope each operation needs, in one table. An operation that is not in it cannot be mounted.
import type { OpenAPIHono, RouteConfig } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { routePath } from 'hono/route';
import type { Scope } from './core/scopes.ts';

type ResponseConfig = RouteConfig['responses'][string];

/** Where an operation's documentation says which scope it needs. */
const SCOPE_FIELD = 'x-scope';

const operationScopes: Readonly<Record<string, Scope>> = {
  'POST /api/v1/payments': 'payments:create',
  'GET /api/v1/payments': 'payments:read',
  'GET /api/v1/payments/{id}': 'payments:read',
  'GET /api/v1/payments/{id}/logs': 'payments:read',
  'GET /api/v1/payments/{id}/operations': 'payments:read',
  'GET /api/v1/operations/{id}': 'payments:read',
  'POST /api/v1/payments/{id}/cancel': 'payments:cancel',
  'POST /api/v1/payments/{id}/release': 'payments:release',
  'POST /api/v1/payments/{id}/refund': 'payments:refund',
  'POST /api/v1/payments/{id}/refund-excess': 'payments:refund',
  'GET /api/v1/payments/{id}/attempts': 'payments:read',
  'POST /api/v1/payments/{id}/attempts': 'payments:retry',
  'POST /api/v1/payments/{id}/dispute': 'payments:dispute',
  'POST /api/v1/payments/{id}/withdraw-dispute': 'payments:dispute',
  'POST /api/v1/payments/{id}/resolve': 'payments:resolve',
  'POST /api/v1/payments/{id}/settle': 'payments:settle',
  'POST /api/v1/payments/{id}/return': 'payments:return',
  'POST /api/v1/payments/{id}/retry-send': 'payments:retry',
  'GET /api/v1/payments/{id}/payee-token': 'access_tokens:read',
  'POST /api/v1/payments/{id}/access-token/rotate': 'access_tokens:rotate',
  'GET /api/v1/refund-requests': 'payments:read',
  'POST /api/v1/refund-requests/{id}/decline': 'payments:refund',
  'GET /api/v1/unmatched-deals': 'payments:read',
  'POST /api/v1/unmatched-deals/{network_id}/{deal_hash}/refund': 'unmatched:refund',
  'GET /api/v1/reconciliations': 'reconciliations:read',
  'GET /api/v1/accounts': 'ledger:read',
  'GET /api/v1/accounts/{id}/entries': 'ledger:read',
  'POST /api/v1/parties': 'parties:create',
  'GET /api/v1/parties': 'parties:read',
  'GET /api/v1/parties/{id}': 'parties:read',
  'PATCH /api/v1/parties/{id}': 'parties:update',
  'DELETE /api/v1/parties/{id}': 'parties:erase',
  'GET /api/v1/parties/{id}/export': 'parties:export',
  'POST /api/v1/parties/{id}/payout-instruments': 'parties:update',
  'DELETE /api/v1/parties/{id}/payout-instruments/{instrument_id}': 'parties:update',
  'POST /api/v1/nodes': 'nodes:create',
  'GET /api/v1/nodes': 'nodes:read',
  'GET /api/v1/nodes/{id}': 'nodes:read',
  'PATCH /api/v1/nodes/{id}': 'nodes:update',
  'POST /api/v1/nodes/{id}/archive': 'nodes:archive',
  'POST /api/v1/nodes/{id}/restore': 'nodes:archive',
  'POST /api/v1/chains': 'chains:create',
  'GET /api/v1/chains': 'networks:read',
  'GET /api/v1/chains/{id}': 'networks:read',
  'PATCH /api/v1/chains/{id}': 'chains:update',
  'POST /api/v1/networks': 'networks:create',
  'GET /api/v1/networks': 'networks:read',
  'GET /api/v1/networks/{id}': 'networks:read',
  'PATCH /api/v1/networks/{id}': 'networks:update',
  'POST /api/v1/networks/{id}/archive': 'networks:archive',
  'POST /api/v1/networks/{id}/restore': 'networks:archive',
  'POST /api/v1/currencies': 'currencies:create',
  'GET /api/v1/currencies': 'networks:read',
  'GET /api/v1/currencies/{id}': 'networks:read',
  'PATCH /api/v1/currencies/{id}': 'currencies:update',
  'POST /api/v1/currencies/{id}/archive': 'currencies:archive',
  'POST /api/v1/currencies/{id}/restore': 'currencies:archive',
  'POST /api/v1/wallets': 'wallets:create',
  'GET /api/v1/wallets': 'wallets:read',
  'GET /api/v1/wallets/{id}': 'wallets:read',
  'PATCH /api/v1/wallets/{id}': 'wallets:update',
  'POST /api/v1/wallets/{id}/archive': 'wallets:archive',
  'POST /api/v1/wallets/{id}/restore': 'wallets:archive',
  'POST /api/v1/integrations': 'integrations:create',
  'GET /api/v1/integrations': 'integrations:read',
  'GET /api/v1/integrations/{id}': 'integrations:read',
  'PATCH /api/v1/integrations/{id}': 'integrations:update',
  'POST /api/v1/integrations/{id}/rotate-secret': 'integrations:rotate',
  'POST /api/v1/integrations/{id}/disable': 'integrations:disable',
  'POST /api/v1/integrations/{id}/enable': 'integrations:disable',
  'POST /api/v1/webhook-endpoints': 'webhooks:create',
  'GET /api/v1/webhook-endpoints': 'webhooks:read',
  'GET /api/v1/webhook-endpoints/{id}': 'webhooks:read',
  'PATCH /api/v1/webhook-endpoints/{id}': 'webhooks:update',
  'POST /api/v1/webhook-endpoints/{id}/rotate-secret': 'webhooks:rotate',
  'POST /api/v1/webhook-endpoints/{id}/archive': 'webhooks:archive',
  'POST /api/v1/webhook-endpoints/{id}/restore': 'webhooks:archive',
  'POST /api/v1/webhook-endpoints/{id}/disable': 'webhooks:update',
  'POST /api/v1/webhook-endpoints/{id}/enable': 'webhooks:update',
  'POST /api/v1/webhook-endpoints/{id}/test': 'webhooks:send',
  'POST /api/v1/webhook-endpoints/{id}/replay': 'webhooks:send',
  'GET /api/v1/webhook-deliveries': 'webhooks:read',
  'GET /api/v1/webhook-deliveries/{id}': 'webhooks:read',
  'POST /api/v1/webhook-deliveries/{id}/resend': 'webhooks:send',
  'GET /api/v1/nodes/{id}/notification-keys': 'webhooks:read',
  'POST /api/v1/nodes/{id}/notification-keys/rotate': 'webhooks:rotate',
  'GET /api/v1/events': 'events:read',
  'GET /api/v1/test-clock': 'clock:move',
  'POST /api/v1/test-clock': 'clock:move',
  'POST /orders/v1/orders': 'orders:create',
  'PATCH /orders/v1/orders/{orderId}': 'orders:update',
  'GET /orders/v1/orders': 'orders:read',
  'DELETE /orders/v1/orders/{orderId}': 'orders:delete',
  'POST /orders/v1/order-splits': 'orders:split',
  'POST /orders/v1/transactions': 'transactions:create',
  'GET /orders/v1/transactions': 'transactions:read',
  'GET /orders/v1/transactions/{transactionId}': 'transactions:read',
  'PATCH /orders/v1/transactions/{transactionId}': 'transactions:update',
  'DELETE /orders/v1/transactions/{transactionId}': 'transactions:delete',
  'POST /orders/v1/transfers': 'transfers:create',
  'GET /orders/v1/transfers': 'transfers:read',
  'GET /orders/v1/transfers/{transferId}': 'transfers:read',
  'DELETE /orders/v1/transfers/{transferId}': 'transfers:delete',
  'POST /orders/v1/payout-merchants': 'payouts:create',
  'GET /orders/v1/payout-merchants': 'payouts:read',
  'GET /orders/v1/payout-merchants/{payoutMerchantId}': 'payouts:read',
  'DELETE /orders/v1/payout-merchants/{payoutMerchantId}': 'payouts:delete',
  'POST /orders/v1/sellers/{sellerId}/payout-sellers': 'payouts:create',
  'GET /orders/v1/sellers/{sellerId}/payout-sellers': 'payouts:read',
  'GET /orders/v1/sellers/{sellerId}/payout-sellers/{payoutSellerId}': 'payouts:read',
  'DELETE /orders/v1/sellers/{sellerId}/payout-sellers/{payoutSellerId}': 'payouts:delete',
  'POST /orders/v1/sellers/{sellerId}/payout-seller-amounts': 'payouts:create',
  'GET /orders/v1/sellers/{sellerId}/payout-seller-amounts': 'payouts:read',
  'GET /orders/v1/sellers/{sellerId}/payout-seller-amounts/{payoutSellerAmountId}': 'payouts:read',
  'DELETE /orders/v1/sellers/{sellerId}/payout-seller-amounts/{payoutSellerAmountId}': 'payouts:delete',
  'GET /orders/v1/accounts': 'ledger:read',
  'GET /orders/v1/sellers/{sellerId}/accounts': 'ledger:read',
};

/** Whether an integration's token opens what the request in `c` asks for; false too when there is nothing of the kind. */
export function isSecured(c: Context): boolean {
  return keyOf(c, routePath(c, -1)) in operationScopes;
}

/** The scope that the operation in `c` needs. @throws Error for one that the table lacks. */
export function scopeOfOperation(c: Context): Scope {
  return scopeOf(keyOf(c, routePath(c)));
}

function keyOf(c: Context, path: string): string {
  return `${c.req.method === 'HEAD' ? 'GET' : c.req.method} ${path.replace(/:(\w+)/g, '{$1}')}`;
}

function scopeOf(key: string): Scope {
  const scope = operationScopes[key];
  if (!scope) throw new Error(`${key} has no scope in api/scopes.ts.`);
  return scope;
}

/** Writes each operation's scope, and the answer to who lacks it, into its documentation. @throws Error when one has none. */
export function documentScopes(
  registry: OpenAPIHono['openAPIRegistry'],
  lacking: Readonly<Record<string, ResponseConfig>>,
): void {
  for (const definition of registry.definitions) {
    if (definition.type !== 'route') continue;
    const { route } = definition;
    const scheme = ['integration', 'oauth2'].find((name) => route.security?.some((known) => name in known));
    if (!scheme) continue;
    const scope = scopeOf(`${route.method.toUpperCase()} ${route.path}`);
    // OpenAPI has a place for scopes under OAuth 2 alone; the login of the payments surface is not its token endpoint.
    if (scheme === 'oauth2') route.security = [{ oauth2: [scope] }];
    Object.assign(route, { [SCOPE_FIELD]: scope });
    route.responses = { ...lacking, ...route.responses };
    route.description = [route.description, `Scope: \`${scope}\`.`].filter(Boolean).join(' ');
  }
}
