// Every operation of the OpenAPI documents with a request that gets as far as asking what it means: ids are those of a
// marketplace, the rest comes from the document's own examples. A new route is here by existing; a new kind of resource brings
// an id in `openIds`, a field that must fit the stack a line in `fieldsOf`.
import type { Scope } from '../../api/core/scopes.ts';
import type { Json, Marketplace } from './marketplace.ts';
import { shopOf } from './orders/shop.ts';

/** Where each surface's document is. */
export const DOCUMENTS = ['/api/v1/openapi.json', '/orders/v1/openapi.json'] as const;

export type Operation = {
  /** `post /payments/{id}/cancel`; of other surfaces than /api/v1 with the whole path. */
  key: string;
  method: string;
  path: string;
  /** The document that it is of. */
  document: (typeof DOCUMENTS)[number];
  operationId: string;
  /** Of an integration's token; null where none is needed. */
  scope: Scope | null;
  opensBy: 'integration' | 'accessToken' | 'anybody';
  parameters: { name: string; in: string; required?: boolean; example: unknown }[];
  /** The example of the body in the marketplace's own words; undefined: it takes none. */
  body: Json;
  responses: Record<string, Json>;
};

/** Ids by the resource that they stand below in a path. */
async function openIds(market: Marketplace): Promise<Record<string, string>> {
  const payment = await market.createPayment();
  const party = await market.post('/parties', { node_id: market.nodeId, kind: 'person' });
  const hook = { node_id: market.nodeId, url: 'http://127.0.0.1:9/hooks' };
  const endpoint = await market.post('/webhook-endpoints', hook);
  const delivery = await market.post(`/webhook-endpoints/${endpoint.json.id}/test`);
  const cancelled = await market.post(`/payments/${(await market.createPayment()).id}/cancel`);
  return {
    payments: payment.id,
    'webhook-endpoints': endpoint.json.id,
    'webhook-deliveries': delivery.json.id,
    widget: payment.id,
    parties: party.json.id,
    operations: cancelled.json.operation.id,
    // Made by what happens on chain.
    accounts: crypto.randomUUID(),
    'refund-requests': crypto.randomUUID(),
    nodes: market.nodeId,
    chains: market.chainId,
    networks: market.networkId,
    currencies: market.currencies.USDC,
    wallets: market.walletId,
    // Not the one that asks: to disable that would end the test.
    integrations: (await market.openChildIntegration()).integrationId,
  };
}

/** Fields whose examples are replaced, by name. */
function fieldsOf(market: Marketplace): Record<string, () => unknown> {
  const name = () => crypto.randomUUID();
  return {
    name,
    external_id: name,
    label: name,
    eip155_id: () => 99_999,
    node_id: () => market.nodeId,
    parent_id: () => market.nodeId,
    chain_id: () => market.chainId,
    network_id: () => market.networkId,
    currency_id: () => market.currencies.USDC,
    wallet_id: () => market.walletId,
    payment_address: () => market.payee,
    address: () => market.stranger,
    token_address: () => market.tokens.USDC,
    diamond_address: () => market.diamond,
    operator_address: () => market.operator,
    rpc_urls: () => [market.stack.rpcUrl],
    confirmations: () => 1,
    expires_at: () => new Date(Date.now() + 3_600_000).toISOString(),
    deadline: () => new Date(Date.now() + 3_600_000).toISOString(),
    client_id: () => market.credentials.client_id,
    client_secret: () => market.credentials.client_secret,
    allowed_ips: () => [],
  };
}

/** A merchant's order, split and being paid, in the words of the orders surface. */
async function openMerchant(market: Marketplace): Promise<Record<string, () => unknown>> {
  const shop = await shopOf(market, market.app.request);
  const seller = await shop.addSeller();
  const order = await shop.createOrder({ amount: 65 });
  await shop.split(order, [shop.splitOf(seller, 65, 6.5)]);
  const { transactionId } = await shop.pay(order);
  const next = await shop.createOrder({ amount: 65 });
  const transfer = {
    sellerId: seller.sellerId,
    solutionCode: shop.solutionCode,
    reasonLabel: 'fee',
    currencyCode: 'EUR',
  };
  const { json: transferred } = await shop.send('POST', '/transfers', {
    body: {
      ...{ ...transfer, accountingEntry: 'TRANSFER_TO_MARKETPLACE', reasonCode: 'FEE' },
      ...{ amount: 65, merchantTransferId: crypto.randomUUID() },
    },
  });
  return {
    solutionCode: () => shop.solutionCode,
    merchantGlobalOrderId: () => next.merchantGlobalOrderId,
    merchantTransactionId: () => crypto.randomUUID(),
    orderId: () => order.orderId,
    sellerId: () => seller.sellerId,
    transactionId: () => transactionId,
    transferId: () => transferred.transferId,
    merchantTransferId: () => crypto.randomUUID(),
  };
}

function inOwnWords(value: Json, fields: Record<string, () => unknown>): Json {
  if (Array.isArray(value)) return value.map((item) => inOwnWords(item, fields));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, fields[name]?.() ?? inOwnWords(inner, fields)]),
  );
}

/** All operations of the documents, and a payment that they are asked of. */
export async function openOperations(market: Marketplace): Promise<{ operations: Operation[]; paymentId: string }> {
  const ids = await openIds(market);
  const fields = { ...fieldsOf(market), ...(await openMerchant(market)) };
  const operations: Operation[] = [];
  for (const document of DOCUMENTS) {
    const { paths }: Json = await (await market.app.request(document)).json();
    for (const [fullPath, methods] of Object.entries<Json>(paths)) {
      const path = fullPath.replace('/api/v1', '');
      for (const [method, operation] of Object.entries<Json>(methods)) {
        const key = `${method} ${path}`;
        const own: Record<string, () => unknown> = {
          ...fields,
          id: () => ids[path.split('/')[1] ?? ''] ?? crypto.randomUUID(),
          ...(key === 'post /orders/v1/orders' && { merchantGlobalOrderId: () => crypto.randomUUID() }),
        };
        const parameters = operation.parameters.flatMap((parameter: Json) =>
          parameter.$ref ? [] : [{ ...parameter, example: own[parameter.name]?.() ?? parameter.example }],
        );
        const [scheme] = operation.security.flatMap(Object.keys);
        operations.push({
          key,
          method,
          path,
          document,
          operationId: operation.operationId,
          scope: operation['x-scope'] ?? null,
          opensBy: scheme === 'oauth2' ? 'integration' : (scheme ?? 'anybody'),
          parameters,
          body: inOwnWords(operation.requestBody?.content['application/json']?.example, own),
          responses: operation.responses,
        });
      }
    }
  }
  return { operations, paymentId: ids.payments ?? '' };
}

/** The path of an operation with its parameters; of the query only what is required. */
export function urlOf({ path, parameters }: Operation): string {
  const query = new URLSearchParams();
  let url = path;
  for (const { name, in: place, required, example } of parameters) {
    if (place === 'path') url = url.replace(`{${name}}`, encodeURIComponent(String(example)));
    // A list says whose.
    if (place === 'query' && (required || name === 'node_id')) query.set(name, String(example));
  }
  return query.size > 0 ? `${url}?${query}` : url;
}
