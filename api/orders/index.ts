// The orders surface (spec/002-orders.json) under /orders/v1, with its OpenAPI 3.1 document: marketplaces with many sellers.
import { scopes } from '../core/scopes.ts';
import { createRouter, type Services } from '../http.ts';
import { accountRoutes } from './accounts.ts';
import { orderRoutes } from './orders.ts';
import { payoutAmountRoutes } from './payout-amounts.ts';
import { payoutMerchantRoutes } from './payout-merchants.ts';
import { payoutRoutes } from './payouts.ts';
import { splitRoutes } from './splits.ts';
import { tokenRoutes } from './token.ts';
import { transactionRoutes } from './transactions.ts';
import { transferRoutes } from './transfers.ts';

/** What the surface's document says of it as a whole. */
export const ordersDescription = {
  title: 'Dealkeep orders',
  description:
    'A cart of many sellers, held in escrow and paid out by the marketplace, without a custodian. The merchant is an integration of `/api/v1`; its sellers are parties there, created with an `external_ids.orders`. Where the document of this dialect is silent (which values an enumeration has, what an error looks like), its inferred proposals hold, and it says `inferred` here; what it does not have at all is called an addition. Errors are the problem documents of `/api/v1`.',
  tags: [
    { name: 'Authentication', description: "A merchant's bearer token" },
    { name: 'Orders', description: 'Carts, and how they are split among sellers' },
    { name: 'Transactions', description: 'What buyers are asked to pay, and what goes back to them' },
    { name: 'Transfers', description: 'Subscriptions, fees and gestures between the marketplace and a seller' },
    { name: 'Payouts', description: 'What sellers and the marketplace are paid of what the escrow holds' },
    { name: 'Accounts', description: 'What the escrow holds for whom, from the ledger' },
  ],
};

const SCOPES = /^(orders|transactions|transfers|payouts):|^ledger:read$/;

/** The surface's router, to be mounted under `/orders/v1`. */
export function ordersSurface(services: Services) {
  const router = createRouter();
  router.route('/', tokenRoutes(services));
  router.route('/', orderRoutes(services));
  router.route('/', splitRoutes(services));
  router.route('/', transactionRoutes(services));
  router.route('/', transferRoutes(services));
  router.route('/', payoutRoutes(services));
  router.route('/', payoutAmountRoutes(services));
  router.route('/', payoutMerchantRoutes(services));
  router.route('/', accountRoutes(services));
  router.openAPIRegistry.registerComponent('securitySchemes', 'oauth2', {
    type: 'oauth2',
    description: 'The client credentials of an integration',
    flows: {
      clientCredentials: {
        tokenUrl: `${services.publicUrl}/orders/v1/oauth/token`,
        scopes: Object.fromEntries(Object.entries(scopes).filter(([scope]) => SCOPES.test(scope))),
      },
    },
  });
  return router;
}
