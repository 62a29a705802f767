import { pino } from 'pino';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { addressList } from '../../api/address.ts';
import { createApp } from '../../api/app.ts';
import { connect, type Sql } from '../../api/core/database/db.ts';
import { Tokens } from '../../api/core/platform/auth.ts';
import { Vault } from '../../api/core/vault.ts';
import { callerOf, RequestLimiter, type RequestLimits } from '../../api/limits.ts';
import { type Marketplace, openMarketplace } from './marketplace.ts';

const log = pino({ level: 'silent' });
let market: Marketplace;
let other: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
  other = await openMarketplace();
});

/** The API as one process of an installation with these limits. */
function openProcess(limits: Partial<RequestLimits>, sql: Sql = market.sql) {
  const { secret } = market.stack;
  const limiter = new RequestLimiter(sql, { integration: 0, address: 0, ...limits }, log);
  const services = {
    sql: market.sql,
    tokens: new Tokens(secret),
    vault: new Vault(secret),
    log,
    publicUrl: 'http://x',
  };
  const app = createApp({ ...services, limiter, trustedProxies: addressList(['10.0.0.0/8']) });
  const request = (path: string, { token, from = '203.0.113.1' }: { token?: string; from?: string } = {}) =>
    app.request(
      `/api/v1${path}`,
      { headers: { ...(token && { Authorization: `Bearer ${token}` }) } },
      { incoming: { socket: { remoteAddress: from } } },
    );
  return { request, app };
}

/** An address that no other test calls from. */
function newAddress(): string {
  const [a, b, c] = crypto.getRandomValues(new Uint8Array(3));
  return `100.${a}.${b}.${c}`;
}

async function openIntegration() {
  const { token, nodeId } = await market.openChildIntegration();
  return { token, path: `/payments?node_id=${nodeId}` };
}

describe('requests of an integration', () => {
  test('429 with Retry-After when its minute is used up; what is left stands in each answer', async () => {
    const { token, path } = await openIntegration();
    const { request } = openProcess({ integration: 3 });
    for (const left of [2, 1, 0]) {
      const { status, headers } = await request(path, { token });
      expect([status, headers.get('RateLimit-Policy')]).toEqual([200, '"integration";q=3;w=60']);
      expect(headers.get('RateLimit')).toMatch(new RegExp(`^"integration";r=${left};t=(60|59)$`));
      expect(headers.get('Retry-After')).toBeNull();
    }
    const refused = await request(path, { token });
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ code: 'rate_limited', retryable: true });
    const seconds = Number(refused.headers.get('Retry-After'));
    expect(seconds).toBeGreaterThan(50);
    expect(refused.headers.get('RateLimit')).toBe(`"integration";r=0;t=${seconds}`);
    expect((await request(`/payments?node_id=${other.nodeId}`, { token: other.token })).status).toBe(200);
  });

  test('count together in all processes', async () => {
    const { token, path } = await openIntegration();
    const first = openProcess({ integration: 4 });
    const second = openProcess({ integration: 4 });
    for (let sent = 0; sent < 3; sent += 1) expect((await first.request(path, { token })).status).toBe(200);
    // A process learns of the others by what the database answers to its own count.
    await vi.waitFor(async () => expect((await second.request(path, { token })).status).toBe(429));
    await vi.waitFor(async () => expect((await first.request(path, { token })).status).toBe(429));
  });

  test('begin anew after a minute', async () => {
    const { token, path } = await openIntegration();
    const { request } = openProcess({ integration: 1 });
    expect((await request(path, { token })).status).toBe(200);
    expect((await request(path, { token })).status).toBe(429);
    vi.useFakeTimers({ now: Date.now() + 61_000, toFake: ['Date'] });
    try {
      expect((await request(path, { token })).status).toBe(200);
      expect((await request(path, { token })).status).toBe(429);
    } finally {
      vi.useRealTimers();
    }
  });

  test('are counted by each process alone while the database does not answer the count', async () => {
    const { token, path } = await openIntegration();
    const closed = connect(market.stack.databaseUrl);
    await closed.end();
    const { request } = openProcess({ integration: 2 }, closed);
    const statuses = [];
    for (let sent = 0; sent < 4; sent += 1) statuses.push((await request(path, { token })).status);
    expect(statuses).toEqual([200, 200, 429, 429]);
  });

  test('cost a hundredth of a query', async () => {
    const { token, path } = await openIntegration();
    const counting = vi.fn(market.sql.unsafe);
    const { request } = openProcess({ integration: 1_000 }, { unsafe: counting } as unknown as Sql);
    for (let sent = 0; sent < 50; sent += 1) await request(path, { token });
    expect(counting).toHaveBeenCalledTimes(5);
  });
});

describe('requests without an integration', () => {
  test('429 by address: logins, the widget, wrong tokens, paths that are none', async () => {
    const { token, path } = await openIntegration();
    const { request } = openProcess({ address: 4, integration: 100 });
    const from = newAddress();
    const widget = `/widget/payments/${crypto.randomUUID()}`;
    const answers = [
      await request('/openapi.json', { from }),
      await request(widget, { from, token: 'wrong' }),
      await request(path, { from, token: 'wrong' }),
      await request('/nowhere', { from }),
      await request(widget, { from }),
      await request(path, { from }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 401, 404, 429, 429]);
    expect(answers.map(({ headers }) => headers.get('RateLimit-Policy'))).toEqual(Array(6).fill('"address";q=4;w=60'));
    // Whoever has a token is not held up by strangers behind the same address.
    expect((await request(path, { from, token })).headers.get('RateLimit-Policy')).toBe('"integration";q=100;w=60');
    expect((await request('/openapi.json', { from: newAddress() })).status).toBe(200);
  });

  test('of one IPv6 network count together', () => {
    expect(callerOf('2001:db8:0:7::1')).toBe('2001:db8:0:7::/64');
    expect(callerOf('2001:DB8::7:8888:0:0:1')).toBe(callerOf('2001:db8:0:7:1::'));
    expect(callerOf('2001:0db8:0000:0007:ffff:ffff:ffff:ffff')).toBe('2001:db8:0:7::/64');
    expect(callerOf('::1')).toBe('0:0:0:0::/64');
    expect(callerOf('203.0.113.9')).toBe('203.0.113.9');
    expect(callerOf(null)).toBe('unknown');
  });

  test('are not counted where no API is', async () => {
    const { app } = openProcess({ address: 1 });
    for (let sent = 0; sent < 3; sent += 1) expect((await app.request('/healthz')).status).toBe(200);
  });
});
