// Owns the list of scopes: what an integration can be allowed to do, one entry a kind of operation.

/** Every scope and what it allows. A resource's `read` covers its lists. */
export const scopes = {
  'payments:create': 'Create payments',
  'payments:read': 'Read payments, their logs, refund requests and unmatched deals',
  'payments:cancel': 'Cancel payments',
  'payments:release': 'Release held money to payees',
  'payments:refund': 'Refund held money to payers, and decline what they ask back',
  'payments:dispute': 'Ask payers and payees to dispute payments and to give disputes up',
  'payments:resolve': 'Split disputed payments as the arbiter',
  'payments:settle': 'Relay splits that payer and payee signed',
  'payments:return': 'Ask payees to give released money back',
  'payments:retry': 'Send pending payments to the consumer again, and try failed ones anew',
  'access_tokens:read': "See payments' access tokens; without it access_token is null",
  'access_tokens:rotate': "Revoke payments' access tokens",
  'unmatched:refund': 'Send unmatched deals back to their payers',
  'reconciliations:read': 'Read what comparisons of chain, mirror and ledger found; operators only',
  'ledger:read': 'Read accounts and their entries',
  'parties:create': 'Create parties',
  'parties:read': 'Read parties',
  'parties:update': 'Change parties and their payout instruments',
  'parties:erase': 'Erase parties',
  'parties:export': 'Export everything held on a party',
  'nodes:create': 'Add nodes',
  'nodes:read': 'Read nodes and their deal policies',
  'nodes:update': 'Change nodes and their deal policies',
  'nodes:archive': 'Archive nodes and restore them',
  'chains:create': 'Add chains; operators only',
  'chains:update': 'Rename chains; operators only',
  'networks:create': 'Add networks; operators only',
  'networks:read': 'Read chains, networks and currencies',
  'networks:update': 'Change networks; operators only',
  'networks:archive': 'Archive networks and restore them; operators only',
  'currencies:create': 'Add currencies; operators only',
  'currencies:update': 'Change currencies; operators only',
  'currencies:archive': 'Archive currencies and restore them; operators only',
  'wallets:create': 'Add payee wallets',
  'wallets:read': 'Read payee wallets',
  'wallets:update': 'Rename payee wallets',
  'wallets:archive': 'Archive payee wallets and restore them',
  'integrations:create': 'Add integrations with at most the own scopes',
  'integrations:read': 'Read integrations',
  'integrations:update': 'Change integrations, within the own scopes',
  'integrations:rotate': 'Give integrations a new secret, within the own scopes',
  'integrations:disable': 'Disable and enable integrations, within the own scopes',
  'webhooks:create': 'Add webhook endpoints',
  'webhooks:read': 'Read webhook endpoints, their deliveries and public keys',
  'webhooks:update': 'Change webhook endpoints, disable and enable them',
  'webhooks:archive': 'Archive webhook endpoints and restore them',
  'webhooks:rotate': 'Give webhook endpoints and nodes new signing keys',
  'webhooks:send': 'Send tests, and send events again',
  'orders:create': 'Create orders',
  'orders:read': 'Read orders with their transactions, splits and payouts',
  'orders:update': "Change orders' amounts",
  'orders:delete': 'Delete orders of which no money has moved',
  'orders:split': 'Split orders among their sellers',
  'transactions:create': 'Ask for payments of orders, and refund them',
  'transactions:read': 'Read transactions of orders',
  'transactions:update': "Change transactions' due dates",
  'transactions:delete': 'Delete transactions of which no money has moved',
  'transfers:create': 'Ask for transfers between the marketplace and its sellers',
  'transfers:read': 'Read transfers',
  'transfers:delete': 'Delete pending transfers',
  'payouts:create': 'Pay out to sellers and to the marketplace',
  'payouts:read': 'Read payouts',
  'payouts:delete': 'Delete pending payouts',
  'events:read': 'Read the list of events',
  'clock:move': 'Read and move the test clock; operators only',
} as const;

/** What one kind of operation needs. */
export type Scope = keyof typeof scopes;

/** Every scope, in the order of {@link scopes}. */
export const allScopes = Object.keys(scopes) as [Scope, ...Scope[]];

/** Whether a list of scopes has this one; null stands for all. */
export function hasScope(granted: readonly string[] | null, scope: string): boolean {
  return granted === null || granted.includes(scope);
}
