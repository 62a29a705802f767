import { pino } from 'pino';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { addressList } from '../../api/address.ts';
import { createApp } from '../../api/app.ts';
import { Tokens } from '../../api/core/platform/auth.ts';
import { allScopes } from '../../api/core/scopes.ts';
import { Vault } from '../../api/core/vault.ts';
import { type Json, type Marketplace, openMarketplace } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

async function addIntegration(fields: Record<string, unknown> = {}, token?: string): Promise<Json> {
  const body = {
    node_id: market.nodeId,
    name: crypto.randomUUID(),
    mode: 'test',
    scopes: ['payments:read'],
    ...fields,
  };
  const { status, json } = await market.post('/integrations', body, token);
  expect(status, JSON.stringify(json)).toBe(201);
  return json;
}

async function login({ client_id, client_secret }: Json): Promise<{ status: number; json: Json }> {
  return await market.post('/auth/token', { client_id, client_secret }, null);
}

async function tokenOf(integration: Json): Promise<string> {
  return (await login(integration)).json.access_token;
}

describe('integrations', () => {
  test('the secret is shown once and stored as a hash only', async () => {
    const created = await addIntegration();
    expect(created.client_secret).toMatch(/^dk_[\w-]{43}$/);
    const { client_secret, ...shown } = created;
    expect((await market.get(`/integrations/${created.id}`)).json).toEqual(shown);
    const list = (await market.get(`/integrations?node_id=${market.nodeId}`)).json;
    expect(list.items.map((item: Json) => item.id)).toContain(created.id);
    const rows = await market.sql`select * from integration where id = ${created.id}`;
    expect(JSON.stringify(rows)).not.toContain(client_secret);
    expect((await login(created)).json).toMatchObject({ token_type: 'Bearer', scope: 'payments:read' });
  });

  test('a repeated request gets the same secret, which is not among what is kept', async () => {
    const body = { node_id: market.nodeId, name: crypto.randomUUID(), mode: 'test', scopes: [] };
    const send = async () => {
      const response = await market.app.request('/api/v1/integrations', {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${market.token}`,
          'Content-Type': 'application/json',
          'Idempotency-Key': body.name,
        },
        body: JSON.stringify(body),
      });
      return { replayed: response.headers.get('Idempotent-Replayed'), json: (await response.json()) as Json };
    };
    const first = await send();
    const again = await send();
    expect([first.replayed, again.replayed]).toEqual([null, 'true']);
    expect(again.json).toEqual(first.json);
    expect((await login(again.json)).status).toBe(200);
    await market.post(`/integrations/${first.json.id}/rotate-secret`, { overlap_seconds: 0 });
    expect((await send()).json).toEqual({ ...first.json, client_secret: null });
  });

  test('rotation: both secrets open until the overlap ends, then only the new one', async () => {
    const created = await addIntegration();
    const { status, json } = await market.post(`/integrations/${created.id}/rotate-secret`, { overlap_seconds: 3600 });
    expect(status).toBe(200);
    expect(json.client_secret).not.toBe(created.client_secret);
    expect(Date.parse(json.previous_secret_until)).toBeGreaterThan(Date.now() + 3_500_000);
    expect([(await login(created)).status, (await login(json)).status]).toEqual([200, 200]);
    await market.sql`update integration set previous_secret_until = now() where id = ${created.id}`;
    expect([(await login(created)).status, (await login(json)).status]).toEqual([401, 200]);
    const atOnce = await market.post(`/integrations/${created.id}/rotate-secret`, { overlap_seconds: 0 });
    expect(atOnce.json.previous_secret_until).toBeNull();
    expect([(await login(json)).status, (await login(atOnce.json)).status]).toEqual([401, 200]);
  });

  test('disabling ends tokens and logins with the next request; enabling brings them back', async () => {
    const created = await addIntegration();
    const token = await tokenOf(created);
    const read = () => market.get(`/payments?node_id=${market.nodeId}`, token);
    expect((await read()).status).toBe(200);
    await market.post(`/integrations/${created.id}/disable`);
    expect([(await read()).status, (await login(created)).status]).toEqual([401, 401]);
    await market.post(`/integrations/${created.id}/enable`);
    expect([(await read()).status, (await login(created)).status]).toEqual([200, 200]);
  });

  test('scopes taken away end with the next request; those given need a new token', async () => {
    const created = await addIntegration({ scopes: ['payments:read', 'nodes:read'] });
    const token = await tokenOf(created);
    const answers = async () =>
      Promise.all([`/payments?node_id=${market.nodeId}`, '/nodes', '/networks'].map((path) => market.get(path, token)));
    const statuses = async () => (await answers()).map(({ status }) => status);
    expect(await statuses()).toEqual([200, 200, 403]);
    const scopes = ['nodes:read', 'networks:read'];
    await market.call('PATCH', `/integrations/${created.id}`, { body: { scopes } });
    expect(await statuses()).toEqual([403, 200, 403]);
    expect((await market.get('/networks', await tokenOf(created))).status).toBe(200);
  });

  test('403: nobody gives, or takes over, more than they have', async () => {
    const some = ['integrations:create', 'integrations:update', 'integrations:rotate', 'integrations:disable'];
    const manager = await addIntegration({ scopes: some });
    const token = await tokenOf(manager);
    const stronger = await addIntegration({ scopes: ['payments:refund'] });
    const body = { node_id: market.nodeId, name: crypto.randomUUID(), mode: 'test' };
    const answers = [
      await market.post('/integrations', { ...body, scopes: [...some, 'payments:refund'] }, token),
      await market.call('PATCH', `/integrations/${manager.id}`, { body: { scopes: [...allScopes] }, token }),
      await market.post(`/integrations/${stronger.id}/rotate-secret`, {}, token),
      await market.post(`/integrations/${market.integrationId}/rotate-secret`, {}, token),
      await market.post(`/integrations/${stronger.id}/disable`, undefined, token),
      await market.post('/integrations', { ...body, mode: 'live', scopes: some }, token),
    ];
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403, 403]);
    expect(answers[0]?.json.errors).toEqual([{ pointer: '/scopes/4', message: 'is not a scope of your own' }]);
    expect((await login(stronger)).status).toBe(200);
    expect((await addIntegration({ scopes: some }, token)).scopes).toEqual(some);
  });

  test('400: every wrong field is named', async () => {
    const { status, json } = await market.post('/integrations', {
      node_id: market.nodeId,
      name: '',
      mode: 'production',
      scopes: ['payments:read', 'everything'],
      allowed_ips: ['10.0.0.0/8', '10.0.0.0/33', 'localhost'],
    });
    const pointers = json.errors.map((fault: { pointer: string }) => fault.pointer);
    expect([status, pointers]).toEqual([400, ['/name', '/mode', '/scopes/1', '/allowed_ips/1', '/allowed_ips/2']]);
  });
});

describe('access tokens of payments', () => {
  test('are null without the scope of their own, also in a repeated answer and after a rotation', async () => {
    const scopes = allScopes.filter((scope) => scope !== 'access_tokens:read');
    const token = await tokenOf(await addIntegration({ scopes }));
    const headers = {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      'Idempotency-Key': crypto.randomUUID(),
    };
    const body = JSON.stringify(market.paymentBody());
    const create = async () =>
      (await (await market.app.request('/api/v1/payments', { method: 'POST', headers, body })).json()) as Json;
    const created = await create();
    const answers = [
      created,
      await create(),
      (await market.get(`/payments/${created.id}`, token)).json,
      (await market.get(`/payments?node_id=${market.nodeId}&per_page=1`, token)).json.items[0],
      (await market.post(`/payments/${created.id}/access-token/rotate`, undefined, token)).json,
    ];
    expect(answers.map(({ id, access_token }) => [id, access_token])).toEqual(answers.map(() => [created.id, null]));
    expect((await market.get(`/payments/${created.id}`)).json.access_token).toMatch(/^ey/);
  });
});

describe('addresses that an integration may call from', () => {
  test('are the connection’s, or behind a trusted proxy the last one that is not its', async () => {
    const { sql, stack } = market;
    const services = { sql, tokens: new Tokens(stack.secret), vault: new Vault(stack.secret), publicUrl: 'http://x' };
    const trustedProxies = addressList(['10.0.0.0/8', '::1']);
    const app = createApp({ ...services, log: pino({ level: 'silent' }), trustedProxies });
    const created = await addIntegration({ allowed_ips: ['203.0.113.0/24', '2001:db8::/32'] });
    const token = await market.tokensOf.issueIntegrationToken(created.id);
    const from = async (remoteAddress: string | undefined, forwarded?: string) => {
      const headers = { Authorization: `Bearer ${token}`, ...(forwarded && { 'X-Forwarded-For': forwarded }) };
      const bindings = remoteAddress === undefined ? {} : { incoming: { socket: { remoteAddress } } };
      return (await app.request(`/api/v1/payments?node_id=${market.nodeId}`, { headers }, bindings)).status;
    };
    expect(await from('203.0.113.9')).toBe(200);
    expect(await from('::ffff:203.0.113.9')).toBe(200);
    expect(await from('2001:db8::7')).toBe(200);
    expect(await from('198.51.100.1')).toBe(403);
    expect(await from(undefined)).toBe(403);
    expect(await from('10.1.1.1', '203.0.113.9')).toBe(200);
    expect(await from('::1', '198.51.100.1, 203.0.113.9, 10.2.2.2')).toBe(200);
    // Whatever a caller writes itself stands further left.
    expect(await from('10.1.1.1', '203.0.113.9, 198.51.100.1')).toBe(403);
    expect(await from('10.1.1.1', '203.0.113.9, nonsense')).toBe(403);
    expect(await from('198.51.100.1', '203.0.113.9')).toBe(403);
    expect((await login(created)).status).toBe(403);
  });
});

describe('keys', () => {
  const OLD = '11'.repeat(32);
  const NEW = '22'.repeat(32);

  test('the key set shows the public keys of all given secrets, the current one first', async () => {
    const { status, json } = await market.get('/.well-known/jwks.json', null);
    expect(status).toBe(200);
    expect(json.keys).toEqual(new Tokens(market.stack.secret).publicKeys);
    const [current, old] = new Tokens(NEW, [OLD]).publicKeys;
    expect([current, old]).toEqual([...new Tokens(NEW).publicKeys, ...new Tokens(OLD).publicKeys]);
    expect(Object.keys(json.keys[0]).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  });

  test('tokens that an older secret signed stay valid while it is given, both kinds', async () => {
    const before = new Tokens(OLD);
    const claims = { paymentId: crypto.randomUUID(), version: 3, issuedAt: new Date(), lastDeadline: 4_000_000_000n };
    const bearer = await before.issueIntegrationToken('someone', ['payments:read']);
    const access = await before.accessToken(claims);
    const rotated = new Tokens(NEW, [OLD]);
    expect(await rotated.verifyIntegrationToken(bearer)).toEqual({
      integrationId: 'someone',
      scopes: ['payments:read'],
    });
    expect(await rotated.verifyAccessToken(access)).toEqual({
      ...{ paymentId: claims.paymentId, version: 3, payeeOfLeg: null },
    });
    expect(await rotated.accessToken(claims)).not.toBe(access);
    const dropped = new Tokens(NEW);
    await expect(dropped.verifyIntegrationToken(bearer)).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(dropped.verifyAccessToken(access)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('an integration token ends after an hour', async () => {
    vi.useFakeTimers({ now: Date.now() - 3_601_000, toFake: ['Date'] });
    const token = await market.tokensOf.issueIntegrationToken(market.integrationId).finally(() => vi.useRealTimers());
    expect((await market.get('/nodes', token)).status).toBe(401);
  });
});
