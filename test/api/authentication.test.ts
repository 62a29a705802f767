import { SignJWT } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { Tokens } from '../../api/core/auth.ts';
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

  test('400: missing fields are named', async () => {
    const { status, json } = await market.post('/auth/token', {}, null);
    expect(status).toBe(400);
    expect(json.errors.map((fault: { pointer: string }) => fault.pointer)).toEqual(['/client_id', '/client_secret']);
  });
});

/** Tokens that must open nothing, by what is wrong with them. */
async function wrongTokens(): Promise<Record<string, string | null>> {
  const claims = () =>
    new SignJWT().setIssuer('dealkeep').setAudience('dealkeep:api').setSubject(market.integrationId).setIssuedAt();
  const header = { alg: 'HS256' };
  const unsigned = [{ alg: 'none' }, { iss: 'dealkeep', aud: 'dealkeep:api', sub: market.integrationId, exp: 9e9 }];
  return {
    none: null,
    malformed: 'not-a-token',
    'with a secret of our own': await claims()
      .setProtectedHeader(header)
      .setExpirationTime('1h')
      .sign(new Uint8Array(32)),
    'alg none': `${unsigned.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`,
    'of another installation': await new Tokens('22'.repeat(32)).issueIntegrationToken(market.integrationId),
    'for a widget': (await market.createPayment()).access_token,
  };
}

describe('every secured route of the OpenAPI document', () => {
  test('401 with no token and with each wrong one; 403 or 404 with a foreign one', async () => {
    const document = (await market.get('/openapi.json', null)).json;
    const payment = await market.createPayment();
    const wrong = await wrongTokens();
    const paths = Object.entries<Record<string, { security?: object[] }>>(document.paths);
    // What a route needs to get as far as asking whose it is.
    const bodies: Record<string, object> = {
      'post /payments': market.paymentBody(),
      'post /parties': { node_id: market.nodeId, kind: 'person' },
      'patch /parties/{id}': {},
      'post /parties/{id}/payout-instruments': { type: 'wallet', address: market.payee },
    };
    let tried = 0;
    for (const [path, methods] of paths) {
      for (const [method, operation] of Object.entries(methods)) {
        const [scheme] = operation.security ?? [];
        if (!scheme || !('integration' in scheme)) continue;
        tried += 1;
        const url = path
          .replace('/api/v1', '')
          .replace('{id}', payment.id)
          .replace('{network_id}', market.networkId)
          .replace('{instrument_id}', crypto.randomUUID())
          .replace('{deal_hash}', `0x${'0'.repeat(64)}`);
        const query = method === 'get' ? `?node_id=${market.nodeId}` : '';
        const body = bodies[`${method} ${path.replace('/api/v1', '')}`];
        for (const [what, token] of Object.entries(wrong)) {
          const { status } = await market.call(method, url + query, { token, body });
          expect(status, `${method} ${path} with a token ${what}`).toBe(401);
        }
        const { status } = await market.call(method, url + query, { token: other.token, body });
        expect([403, 404], `${method} ${path} with a foreign token`).toContain(status);
      }
    }
    expect(tried).toBeGreaterThanOrEqual(9);
    expect((await market.get(`/payments/${payment.id}`)).json.status).not.toBe('cancelled');
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
