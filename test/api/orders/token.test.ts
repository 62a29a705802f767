import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, type Marketplace, openMarketplace } from '../marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});
afterAll(() => market.close());

async function ask(
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<{ status: number; json: Json; headers: Headers }> {
  const response = await market.app.request('/orders/v1/oauth/token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(fields).toString(),
  });
  return { status: response.status, json: await response.json(), headers: response.headers };
}

const grant = { grant_type: 'client_credentials' };
const basic = ({ client_id, client_secret }: Marketplace['credentials']) => ({
  Authorization: `Basic ${Buffer.from(`${encodeURIComponent(client_id)}:${encodeURIComponent(client_secret)}`).toString('base64')}`,
});

describe('POST /orders/v1/oauth/token', () => {
  test('200: credentials in the body or by HTTP Basic open what the integration may', async () => {
    for (const answer of [
      await ask({ ...grant, ...market.credentials }),
      await ask(grant, basic(market.credentials)),
    ]) {
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({ token_type: 'Bearer', expires_in: 3600 });
      expect(answer.headers.get('Cache-Control')).toBe('no-store');
      expect((await market.get('/nodes', answer.json.access_token)).status).toBe(200);
    }
  });

  test('200: narrowed down to the scopes that were asked for', async () => {
    const { json } = await ask({ ...grant, ...market.credentials, scope: 'orders:read nodes:read' });
    expect(json.scope).toBe('orders:read nodes:read');
    expect((await market.get('/nodes', json.access_token)).status).toBe(200);
    expect((await market.get('/networks', json.access_token)).status).toBe(403);
  });

  test('400 and 401 in the words of RFC 6749', async () => {
    const { client_id, client_secret } = market.credentials;
    const wrong = { client_id, client_secret: `${client_secret.slice(0, -1)}!` };
    const answers = [
      await ask({ ...market.credentials }),
      await ask({ ...market.credentials, grant_type: 'password' }),
      await ask({ ...grant, ...market.credentials, scope: 'orders:read everything' }),
      await ask({ ...grant, ...market.credentials }, basic(market.credentials)),
      await ask({ ...grant, ...wrong }),
      await ask(grant, basic(wrong)),
      await ask({ ...grant, client_id }),
      await ask({ ...grant, client_id: 'a\0b', client_secret: 'x'.repeat(300) }),
      await ask(grant, { Authorization: 'Basic ???' }),
    ];
    expect(answers.map(({ status, json }) => [status, json.error])).toEqual([
      [400, 'invalid_request'],
      [400, 'unsupported_grant_type'],
      [400, 'invalid_scope'],
      [400, 'invalid_request'],
      ...Array.from({ length: 5 }, () => [401, 'invalid_client']),
    ]);
    expect(answers[4]?.headers.get('WWW-Authenticate')).toBe('Basic realm="dealkeep"');
    expect(JSON.stringify(answers.map(({ json }) => json))).not.toContain(client_secret.slice(0, -1));
  });

  test('415: not a form', async () => {
    const response = await market.app.request('/orders/v1/oauth/token', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...grant, ...market.credentials }),
    });
    expect(response.status).toBe(415);
  });
});
