// The payments surface (spec/004-payments.json) under /api/v1, with its OpenAPI 3.1 document.
import { createRouter, type Services } from '../http.ts';
import { accountRoutes } from './accounts.ts';
import { actionRoutes } from './actions.ts';
import { currencyRoutes } from './currencies.ts';
import { deliveryRoutes } from './deliveries.ts';
import { endpointRoutes } from './endpoints.ts';
import { eventRoutes } from './events.ts';
import { handoffRoutes } from './handoffs.ts';
import { integrationRoutes } from './integrations.ts';
import { keyRoutes } from './keys.ts';
import { loginRoutes } from './login.ts';
import { chainRoutes, networkRoutes } from './networks.ts';
import { nodeRoutes } from './nodes.ts';
import { operationRoutes } from './operations.ts';
import { partyRoutes } from './parties.ts';
import { paymentRoutes } from './payments.ts';
import { railRoutes } from './rails.ts';
import { reconciliationRoutes } from './reconciliations.ts';
import { refundRequestRoutes } from './refund-requests.ts';
import { reserveRoutes } from './reserves.ts';
import { splitProposalRoutes } from './split-proposals.ts';
import { testClockRoutes } from './test-clock.ts';
import { unmatchedRoutes } from './unmatched.ts';
import { walletRoutes } from './wallets.ts';
import { widgetRoutes } from './widget.ts';
import { widgetEventRoutes } from './widget-events.ts';

/** The tags of the surface's operations, in the order of its document. */
export const paymentsTags = [
  { name: 'Authentication', description: "An integration's bearer token, and the keys that verify it" },
  { name: 'Payments', description: 'Requests for money, each funded by a deal on chain, and what can be done with it' },
  { name: 'Widget', description: "The buyer's side: one payment, opened by its access token" },
  { name: 'Operations', description: 'What was asked of deals on chain, and how it ended' },
  { name: 'Refund requests', description: 'What buyers ask back of money that is held' },
  { name: 'Unmatched deals', description: 'Deals on chain that fund no payment' },
  { name: 'Reserves', description: 'What the escrow has and what it owes, for everybody to see' },
  { name: 'Ledger', description: 'Accounts, their balances and their entries' },
  { name: 'Parties', description: 'People and firms, and where they can be paid' },
  { name: 'Nodes', description: 'The tree of merchants, each with its deal policy' },
  { name: 'Networks', description: 'Chains, and the networks on them where payments can be made' },
  { name: 'Currencies', description: 'What payments can be made in' },
  { name: 'Wallets', description: "A node's payee addresses" },
  { name: 'Events', description: 'What happened to payments, in one order, to be pulled' },
  { name: 'Webhooks', description: 'Events sent to you, signed by Standard Webhooks, with a log of every attempt' },
  { name: 'Test clock', description: 'Time, where no money is real' },
  { name: 'Integrations', description: 'Clients of the API, their scopes and secrets' },
];

/** The surface's router, to be mounted under `/api/v1`. */
export function paymentsSurface(services: Services) {
  const router = createRouter();
  router.route('/', loginRoutes(services));
  router.route('/', paymentRoutes(services));
  router.route('/', actionRoutes(services));
  router.route('/', railRoutes(services));
  router.route('/', operationRoutes(services));
  router.route('/', widgetRoutes(services));
  router.route('/', widgetEventRoutes(services));
  router.route('/', handoffRoutes(services));
  router.route('/', refundRequestRoutes(services));
  router.route('/', splitProposalRoutes(services));
  router.route('/', unmatchedRoutes(services));
  router.route('/', reserveRoutes(services));
  router.route('/', reconciliationRoutes(services));
  router.route('/', accountRoutes(services));
  router.route('/', partyRoutes(services));
  router.route('/', nodeRoutes(services));
  router.route('/', chainRoutes(services));
  router.route('/', networkRoutes(services));
  router.route('/', currencyRoutes(services));
  router.route('/', walletRoutes(services));
  router.route('/', eventRoutes(services));
  router.route('/', endpointRoutes(services));
  router.route('/', deliveryRoutes(services));
  router.route('/', integrationRoutes(services));
  router.route('/', keyRoutes(services));
  router.route('/', testClockRoutes(services));
  router.openAPIRegistry.registerComponent('securitySchemes', 'integration', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'From POST /api/v1/auth/token',
  });
  router.openAPIRegistry.registerComponent('securitySchemes', 'accessToken', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: "A payment's access_token",
  });
  return router;
}
