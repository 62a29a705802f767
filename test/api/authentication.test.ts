import { createPrivateKey, generateKeyPairSync, hkdfSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { type AccessClaims, Tokens } from '../../api/core/platform/auth.ts';
import { allScopes } from '../../api/core/scopes.ts';
import { type Marketplace, openMarketplace } from './marketplace.ts';
import { openOperations, urlOf } from './operations.ts';

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

/** An access token with these claims, by default as good as the real one. */
async function accessTokenThat(claims: Partial<AccessClaims>, secret = market.stack.secret): Promise<string> {
  const lastDeadline = BigInt(Math.floor(Date.now() / 1000) + 86_400);
  return await new Tokens(secret).accessToken({
    paymentId: crypto.randomUUID(),
    version: 1,
    issuedAt: new Date(),
    lastDeadline,
    ...claims,
  });
}

// What there is only once something happened on chain, or while no other test has made a live integration.
const BY_STATE = /^get \/(accounts\/|test-clock$|orders\/v1\/.*\{payout\w+\}$)/;

// What everybody sees who may read it, and the list that shows each their own.
const SHARED = /^get \/(chains|networks|currencies)|^get \/nodes$|^get \/orders\/v1\/[\w-]+$/;

describe('every secured route of the OpenAPI documents', () => {
  test('401 with no token and with each wrong one; 403 or 404 with a foreign one', async () => {
    const { operations, paymentId } = await openOperations(market);
    const secured = operations.filter(({ opensBy }) => opensBy === 'integration');
    const wrong = await wrongTokens();
    const foreign = await other.openChildIntegration();
    for (const operation of secured) {
      const { key, method, body, responses } = operation;
      const url = urlOf(operation);
      expect(Object.keys(responses), key).toEqual(expect.arrayContaining(['401', '403']));
      for (const [what, token] of Object.entries(wrong)) {
        const { status } = await market.call(method, url, { token, body });
        expect(status, `${key} with a token ${what}`).toBe(401);
      }
      const { status } = await market.call(method, url, { token: foreign.token, body });
      if (SHARED.test(key)) expect(status, `${key} with a foreign token`).toBe(200);
      // A solution code names nothing for a stranger.
      else if (body?.solutionCode) expect(status, `${key} with a foreign token`).toBe(400);
      else expect([403, 404], `${key} with a foreign token`).toContain(status);
      if (method !== 'get' || BY_STATE.test(key)) continue;
      expect((await market.call(method, url)).status, `${key} with our own token`).toBe(200);
    }
    expect(secured.length).toBeGreaterThanOrEqual(56);
    expect((await market.get(`/payments/${paymentId}`)).json.status).not.toBe('cancelled');
  });

  test("401 on the widget's routes with anything but this payment's present access token", async () => {
    const { operations, paymentId } = await openOperations(market);
    const { access_token: own } = (await market.get(`/payments/${paymentId}`)).json;
    const { 'for a widget': ofAnotherPayment, ...others } = await wrongTokens();
    const wrong = {
      ...others,
      'of another payment': ofAnotherPayment ?? null,
      'of an integration': market.token,
      expired: await accessTokenThat({ paymentId, lastDeadline: 1n }),
      'of another version': await accessTokenThat({ paymentId, version: 2 }),
      'of another installation': await accessTokenThat({ paymentId }, '22'.repeat(32)),
    };
    const opened = operations.filter(({ opensBy }) => opensBy === 'accessToken');
    for (const operation of opened) {
      const { key, method, body } = operation;
      const url = urlOf(operation);
      for (const [what, token] of Object.entries(wrong)) {
        const { status } = await market.call(method, url, { token, body });
        expect(status, `${key} with a token ${what}`).toBe(401);
      }
      if (method !== 'get') continue;
      const opening = { headers: { Authorization: `Bearer ${own}` } };
      const response = await market.app.request(`/api/v1${url}`, opening);
      // Some go on for as long as they are listened to.
      await response.body?.cancel();
      expect(response.status, key).toBe(200);
    }
    expect(opened.length).toBeGreaterThanOrEqual(1);
  });

  test('403 with a token that has every scope but the one of the route', async () => {
    const { operations } = await openOperations(market);
    const secured = operations.filter(({ opensBy }) => opensBy === 'integration');
    for (const operation of secured) {
      const { key, method, body, scope } = operation;
      const others = allScopes.filter((candidate) => candidate !== scope);
      expect(others, key).toHaveLength(allScopes.length - 1);
      const token = await market.tokensOf.issueIntegrationToken(market.integrationId, others);
      const { status, json } = await market.call(method, urlOf(operation), { token, body });
      expect([status, json.detail], key).toEqual([403, `The token lacks the scope ${scope}.`]);
    }
    const used = new Set(secured.map(({ scope }) => scope));
    expect(allScopes.filter((candidate) => !used.has(candidate))).toEqual([]);
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
    const strange = await market.app.request('/orders/v1/orders');
    expect([strange.status, strange.headers.get('WWW-Authenticate')]).toEqual([401, 'Bearer']);
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
