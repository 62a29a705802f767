import { beforeAll, describe, expect, test } from 'vitest';
import { type Marketplace, openMarketplace } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

describe('GET /api/v1/payments/{id}', () => {
  test('200: the same payment and the same access token on every read', async () => {
    const created = await market.createPayment();
    const first = await market.get(`/payments/${created.id}`);
    const second = await market.get(`/payments/${created.id}`);
    expect(first.status).toBe(200);
    expect(first.json).toMatchObject({ id: created.id, access_token: created.access_token });
    expect(second.json.access_token).toBe(created.access_token);
  });

  test("404: unknown, and somebody else's", async () => {
    const other = await openMarketplace();
    const foreign = await other.createPayment();
    for (const id of [crypto.randomUUID(), foreign.id]) {
      const { status, json } = await market.get(`/payments/${id}`);
      expect([status, json.code]).toEqual([404, 'not_found']);
    }
  });

  test('400: an id that is no UUID', async () => {
    const { status, json } = await market.get('/payments/1');
    expect(status).toBe(400);
    expect(json.errors).toEqual([{ pointer: '/id', message: 'Invalid UUID' }]);
  });
});

describe('GET /api/v1/payments', () => {
  test("200: pages of a node's payments, newest first, filtered", async () => {
    const shop = await openMarketplace();
    const ids: string[] = [];
    for (let index = 0; index < 3; index += 1) ids.unshift((await shop.createPayment()).id);
    const subscription = await shop.createPayment({
      payment_group: 'listing_or_subscription',
      wallet_id: shop.walletId,
    });
    const page = await shop.get(`/payments?node_id=${shop.nodeId}&page=2&per_page=2`);
    expect(page.json).toMatchObject({ page: 2, per_page: 2, total: 4 });
    expect(page.json.items.map((item: { id: string }) => item.id)).toEqual(ids.slice(1));
    for (const filter of ['payment_group=listing_or_subscription', `wallet_id=${shop.walletId}`]) {
      const { json } = await shop.get(`/payments?node_id=${shop.nodeId}&${filter}`);
      expect(json.items.map((item: { id: string }) => item.id)).toEqual([subscription.id]);
    }
    const elsewhere = await shop.get(`/payments?node_id=${shop.nodeId}&network_id=${crypto.randomUUID()}`);
    expect(elsewhere.json).toMatchObject({ items: [], page: 1, per_page: 10, total: 0 });
  });

  test.each(['', '?node_id=1', '?node_id={node}&per_page=101', '?node_id={node}&page=0', '?node_id={node}&page=x'])(
    '400: the query %j',
    async (query) => {
      const { status, json } = await market.get(`/payments${query.replace('{node}', market.nodeId)}`);
      expect([status, json.code]).toEqual([400, 'invalid_request']);
    },
  );

  test("404: somebody else's node", async () => {
    const other = await openMarketplace();
    expect((await market.get(`/payments?node_id=${other.nodeId}`)).status).toBe(404);
  });
});

describe('GET /api/v1/payments/{id}/logs', () => {
  test('200: what happened, newest first, with who did it', async () => {
    const payment = await market.createPayment();
    await market.untilStatus(payment.id, 'awaiting_deposit');
    const { status, json } = await market.get(`/payments/${payment.id}/logs?per_page=1`);
    expect(status).toBe(200);
    expect(json).toMatchObject({ page: 1, per_page: 1, total: 2 });
    expect(json.items[0]).toMatchObject({
      event_type: 'payment.awaiting_deposit',
      actor_type: 'system',
      actor_id: null,
    });
    const second = await market.get(`/payments/${payment.id}/logs?per_page=1&page=2`);
    expect(second.json.items[0]).toMatchObject({
      event_type: 'payment.created',
      actor_type: 'integration',
      actor_id: market.integrationId,
    });
  });

  test('404: unknown', async () => {
    expect((await market.get(`/payments/${crypto.randomUUID()}/logs`)).status).toBe(404);
  });
});

describe('GET /api/v1/widget/payments/{id}', () => {
  test('200: no call data while pending, then the deposit of exactly the frozen terms', async () => {
    const payment = await market.createPayment({ paid_price: 12.5 });
    await market.untilStatus(payment.id, 'awaiting_deposit');
    const { status, json } = await market.get(`/widget/payments/${payment.id}`, payment.access_token);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      external_id: payment.external_id,
      node_id: market.nodeId,
      network_id: 31337,
      price: 12.5,
      price_units: '12500000',
      price_decimals: 6,
      payment_address: market.payee.toLowerCase(),
      diamond_address: market.diamond.toLowerCase(),
      currency: 'USDC',
      token_address: market.tokens.USDC.toLowerCase(),
      status: 'awaiting_deposit',
    });
    expect(json.deal_id).toBeGreaterThan(0);
    const [terms] = json.contract.arguments;
    expect(json.contract.function_name).toBe('deposit');
    expect(json.contract.abi).toHaveLength(1);
    expect(terms).toMatchObject({ amount: '12500000', fee: '125000', payee: market.payee, operator: market.operator });
    expect(BigInt(terms.ref) >> 192n).toBe(BigInt(json.deal_id));
  });

  test('401: no token, an integration token, a token of another payment, a rotated one', async () => {
    const payment = await market.createPayment();
    const other = await market.createPayment();
    const path = `/widget/payments/${payment.id}`;
    for (const token of [null, market.token, other.access_token, `${payment.access_token}x`, 'x.y.z']) {
      const { status, json } = await market.get(path, token);
      expect([status, json.code]).toEqual([401, 'unauthenticated']);
    }
    expect((await market.get(path, payment.access_token)).status).toBe(200);
    const rotated = await market.post(`/payments/${payment.id}/access-token/rotate`);
    expect(rotated.status).toBe(200);
    expect((await market.get(path, payment.access_token)).status).toBe(401);
    expect((await market.get(path, rotated.json.access_token)).status).toBe(200);
  });

  test('an access token opens no other route', async () => {
    const payment = await market.createPayment();
    expect((await market.get(`/payments/${payment.id}`, payment.access_token)).status).toBe(401);
  });
});

describe('CORS', () => {
  test('any origin reads widget data, without cookies; no other route answers another origin', async () => {
    const headers = { Origin: 'https://shop.example', 'Access-Control-Request-Method': 'GET' };
    const widget = await market.app.request(`/api/v1/widget/payments/${crypto.randomUUID()}`, {
      method: 'OPTIONS',
      headers: { ...headers, 'Access-Control-Request-Headers': 'authorization' },
    });
    expect(widget.headers.get('Access-Control-Allow-Origin')).toBe('*');
    expect(widget.headers.get('Access-Control-Allow-Headers')).toBe(
      'Authorization,Content-Type,X-Correlation-Id,Dealkeep-Version',
    );
    expect(widget.headers.get('Access-Control-Allow-Credentials')).toBeNull();
    const refused = await market.app.request(`/api/v1/widget/payments/${crypto.randomUUID()}`, { headers });
    expect(refused.status).toBe(401);
    expect(refused.headers.get('Access-Control-Allow-Origin')).toBe('*');
    for (const method of ['OPTIONS', 'GET']) {
      const other = await market.app.request('/api/v1/payments', { method, headers });
      expect(other.headers.get('Access-Control-Allow-Origin')).toBeNull();
    }
  });
});
