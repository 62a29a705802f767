import { createPrivateKey, generateKeyPairSync, hkdfSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { Tokens } from '../../api/core/auth.ts';
import { allScopes, type Scope } from '../../api/core/scopes.ts';
import { type Marketplace, openMarketplace } from './marketplace.ts';

let market: Marketplace;
let other: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
  other = await openMarketplace();
});

describe('POST /api/v1/auth/token', () => {
  test('200: a bearer token that opens the API', async () => {
    const { status, json } = await market.post('/auth/token', market.credentials, null);
    expect(status).toBe(200);
    expect(json).toMatchObject({ token_type: 'Bearer', expires_in: 3600 });
    expect((await market.get(`/payments?node_id=${market.nodeId}`, json.access_token)).status).toBe(200);
  });

  test('401: a wrong secret, an unknown client, a disabled integration; all alike', async () => {
    const disabled = await openMarketplace();
    await disabled.disableIntegration();
    const answers = await Promise.all([
      market.post('/auth/token', { ...market.credentials, client_secret: 'wrong' }, null),
      market.post('/auth/token', { client_id: 'nobody', client_secret: 'wrong' }, null),
      market.post('/auth/token', disabled.credentials, null),
    ]);
    for (const { status, json } of answers) {
      expect([status, json.detail]).toEqual([401, 'The client id or the client secret is wrong.']);
    }
    expect((await disabled.get(`/payments?node_id=${disabled.nodeId}`)).status).toBe(401);
  });

  test('429 with Retry-After: after ten failures of one client even the right secret has to wait', async () => {
    const unlucky = await openMarketplace();
    const login = (client_secret: string, client_id = unlucky.credentials.client_id) =>
      unlucky.app.request('/api/v1/auth/token', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ client_id, client_secret }),
      });
    for (let failure = 0; failure < 10; failure += 1) expect((await login('wrong')).status).toBe(401);
    const refused = await login(unlucky.credentials.client_secret);
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ code: 'rate_limited', retryable: true });
    const waitSeconds = Number(refused.headers.get('Retry-After'));
    expect(waitSeconds).toBeGreaterThan(890);
    expect(waitSeconds).toBeLessThanOrEqual(900);
    expect((await market.post('/auth/token', market.credentials, null)).status).toBe(200);
    // The window ends.
    await unlucky.sql`update login_failure set window_ends_at = now() where failures >= 10`;
    expect((await login(unlucky.credentials.client_secret)).status).toBe(200);
  });

  test('400: missing fields are named', async () => {
    const { status, json } = await market.post('/auth/token', {}, null);
    expect(status).toBe(400);
    expect(json.errors.map((fault: { pointer: string }) => fault.pointer)).toEqual(['/client_id', '/client_secret']);
  });
});

/** The key that the installation signs integration tokens with. */
function signingKey(): KeyObject {
  const secret = Buffer.from(market.stack.secret.replace(/^0x/, ''), 'hex');
  const seed = Buffer.from(hkdfSync('sha256', secret, '', 'integration-token', 32));
  const key = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

/** Tokens that must open nothing, by what is wrong with them. */
async function wrongTokens(): Promise<Record<string, string | null>> {
  const [{ kid }] = (await market.get('/.well-known/jwks.json', null)).json.keys;
  const claims = (audience = 'dealkeep:api') =>
    new SignJWT().setIssuer('dealkeep').setAudience(audience).setSubject(market.integrationId).setIssuedAt();
  const signed = (audience: string | undefined, expires: string, key: KeyObject) =>
    claims(audience).setProtectedHeader({ alg: 'EdDSA', kid }).setExpirationTime(expires).sign(key);
  const good = await signed(undefined, '1h', signingKey());
  expect((await market.get('/nodes', good)).status).toBe(200);
  const unsigned = [{ alg: 'none' }, { iss: 'dealkeep', aud: 'dealkeep:api', sub: market.integrationId, exp: 9e9 }];
  return {
    none: null,
    malformed: 'not-a-token',
    expired: await signed(undefined, '-1s', signingKey()),
    'of another key under our key id': await signed(undefined, '1h', generateKeyPairSync('ed25519').privateKey),
    'for another audience': await signed('dealkeep:widget', '1h', signingKey()),
    'with a secret of our own': await claims()
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(new Uint8Array(32)),
    'with a changed claim': good.replace(
      /\.[^.]+\./,
      (part) => `${part.slice(0, -3)}${part.at(-3) === 'A' ? 'B' : 'A'}${part.slice(-2)}`,
    ),
    'alg none': `${unsigned.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`,
    'of another installation': await new Tokens('22'.repeat(32)).issueIntegrationToken(market.integrationId),
    'for a widget': (await market.createPayment()).access_token,
  };
}

type Operation = { security: Record<string, string[]>[]; 'x-scope'?: Scope; responses: Record<string, object> };

/** Every operation that an integration's token opens, with a request that gets as far as asking whose it is. */
async function securedOperations() {
  const document = (await market.get('/openapi.json', null)).json;
  const payment = await market.createPayment();
  const party = await market.post('/parties', { node_id: market.nodeId, kind: 'person' });
  const hook = { node_id: market.nodeId, url: 'http://127.0.0.1:9/hooks' };
  const endpoint = (await market.post('/webhook-endpoints', hook)).json;
  const delivery = (await market.post(`/webhook-endpoints/${endpoint.id}/test`)).json;
  const cancelled = await market.post(`/payments/${(await market.createPayment()).id}/cancel`);
  const ids: Record<string, string> = {
    'webhook-endpoints': endpoint.id,
    'webhook-deliveries': delivery.id,
    payments: payment.id,
    operations: cancelled.json.operation.id,
    parties: party.json.id,
    accounts: crypto.randomUUID(),
    nodes: market.nodeId,
    chains: market.chainId,
    networks: market.networkId,
    currencies: market.currencies.USDC,
    wallets: market.walletId,
    integrations: market.integrationId,
  };
  const name = crypto.randomUUID();
  const { nodeId: node_id, networkId: network_id, stranger: address } = market;
  const [payer_signature, payee_signature] = [`0x${'00'.repeat(65)}`, `0x${'00'.repeat(65)}`];
  const signatures = { payer_signature, payee_signature };
  const network = {
    diamond_address: market.diamond,
    operator_address: market.operator,
    confirmations: 1,
    mode: 'test',
  };
  const deadline = new Date(Date.now() + 3_600_000).toISOString();
  const bodies: Record<string, object> = {
    'post /payments': market.paymentBody(),
    'post /payments/{id}/dispute': { as: 'payer' },
    'post /payments/{id}/resolve': { to_payee: 1 },
    'post /payments/{id}/settle': { to_payee: 1, deadline, ...signatures },
    'post /parties': { node_id, kind: 'person' },
    'patch /parties/{id}': {},
    'post /parties/{id}/payout-instruments': { type: 'wallet', address: market.payee },
    'post /nodes': { parent_id: node_id, name },
    'patch /nodes/{id}': { name },
    'post /chains': { eip155_id: 99_999, name },
    'patch /chains/{id}': { name },
    'post /networks': { chain_id: market.chainId, name, rpc_urls: [market.stack.rpcUrl], ...network },
    'patch /networks/{id}': { name },
    'post /currencies': { network_id, code: 'X', name, token_address: market.tokens.USDC },
    'patch /currencies/{id}': { name },
    'post /wallets': { node_id, network_id, address, label: name },
    'patch /wallets/{id}': { label: name },
    'post /webhook-endpoints': hook,
    'patch /webhook-endpoints/{id}': {},
    'post /webhook-endpoints/{id}/replay': { from: '2026-01-01T00:00:00Z' },
    'post /integrations': { node_id, name, mode: 'test', scopes: [] },
    'patch /integrations/{id}': { name },
  };
  const operations = Object.entries<Record<string, Operation>>(document.paths).flatMap(([fullPath, methods]) =>
    Object.entries(methods).flatMap(([method, { security, responses, 'x-scope': scope }]) => {
      if (!security.some((scheme) => 'integration' in scheme)) return [];
      if (!scope) throw new Error(`${method} ${fullPath} names no scope.`);
      expect(Object.keys(responses), `${method} ${fullPath}`).toEqual(expect.arrayContaining(['401', '403']));
      const path = fullPath.replace('/api/v1', '');
      const url = path
        .replace('{id}', ids[path.split('/')[1] ?? ''] ?? '')
        .replace('{network_id}', market.networkId)
        .replace('{instrument_id}', crypto.randomUUID())
        .replace('{deal_hash}', `0x${'0'.repeat(64)}`);
      const query = method === 'get' ? `?node_id=${market.nodeId}` : '';
      const key = `${method} ${path}`;
      return [{ key, method, url: url + query, body: bodies[key], scope }];
    }),
  );
  return { operations, payment };
}

// What everybody sees who may read it, and the list that shows each their own.
const SHARED = /^get \/(chains|networks|currencies)|^get \/nodes$/;

describe('every secured route of the OpenAPI document', () => {
  test('401 with no token and with each wrong one; 403 or 404 with a foreign one', async () => {
    const { operations, payment } = await securedOperations();
    const wrong = await wrongTokens();
    const foreign = await other.openChildIntegration();
    for (const { key, method, url, body } of operations) {
      for (const [what, token] of Object.entries(wrong)) {
        const { status } = await market.call(method, url, { token, body });
        expect(status, `${key} with a token ${what}`).toBe(401);
      }
      const { status } = await market.call(method, url, { token: foreign.token, body });
      if (SHARED.test(key)) expect(status, `${key} with a foreign token`).toBe(200);
      else expect([403, 404], `${key} with a foreign token`).toContain(status);
      if (method !== 'get' || /^get \/accounts\//.test(key)) continue;
      expect((await market.call(method, url)).status, `${key} with our own token`).toBe(200);
    }
    expect(operations.length).toBeGreaterThanOrEqual(50);
    expect((await market.get(`/payments/${payment.id}`)).json.status).not.toBe('cancelled');
  });

  test('403 with a token that has every scope but the one of the route', async () => {
    const { operations } = await securedOperations();
    for (const { key, method, url, body, scope } of operations) {
      const others = allScopes.filter((candidate) => candidate !== scope);
      expect(others, key).toHaveLength(allScopes.length - 1);
      const token = await market.tokensOf.issueIntegrationToken(market.integrationId, others);
      const { status, json } = await market.call(method, url, { token, body });
      expect([status, json.detail], key).toEqual([403, `The token lacks the scope ${scope}.`]);
    }
    const used = new Set(operations.map(({ scope }) => scope));
    expect(allScopes.filter((candidate) => !used.has(candidate))).toEqual(['access_tokens:read']);
  });

  test('403 on cancel and release of a foreign payment, as documented', async () => {
    const payment = await market.createPayment();
    for (const verb of ['cancel', 'release']) {
      const { status, json } = await other.post(`/payments/${payment.id}/${verb}`);
      expect([status, json.code]).toEqual([403, 'forbidden']);
    }
  });
});

describe('errors', () => {
  test('are problem documents with a stable code and the request id of the header', async () => {
    const response = await market.app.request('/api/v1/nowhere');
    expect(response.status).toBe(404);
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    const problem = (await response.json()) as Record<string, unknown>;
    expect(problem).toMatchObject({ type: 'urn:dealkeep:problem:not_found', code: 'not_found', retryable: false });
    expect(problem.request_id).toBe(response.headers.get('X-Request-Id'));
  });
});

describe('GET /docs', () => {
  test('200: a page whose every resource is on our own origin', async () => {
    const page = await (await market.app.request('/docs')).text();
    const sources = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(sources.length).toBeGreaterThan(0);
    for (const source of sources) {
      expect(source).toMatch(/^\/docs\//);
      expect((await market.app.request(source)).status).toBe(200);
    }
  });
});
