import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createApp } from '../../api/app.ts';
import { connect, isDatabaseAway, migrate, type Sql } from '../../api/core/database/db.ts';
import { Tokens } from '../../api/core/platform/auth.ts';
import { createChain, createNetwork } from '../../api/core/platform/platform.ts';
import { Vault } from '../../api/core/vault.ts';
import { openLog } from '../../api/logging.ts';
import { Metrics } from '../../api/metrics.ts';
import { createDatabase } from '../../scripts/dev/postgres.ts';
import { openWallet } from '../support/wallet.ts';
import { type Json, termsOf, testMarketplace } from './marketplace.ts';

const stack = inject('stack');

function appOver(sql: Sql, metrics?: Metrics) {
  const services = {
    sql,
    tokens: new Tokens(stack.secret),
    vault: new Vault(stack.secret),
    publicUrl: 'http://127.0.0.1',
  };
  return createApp({ ...services, log: pino({ level: 'silent' }), ...(metrics && { metrics }) });
}

async function readyz(sql: Sql): Promise<{ status: number; json: Json }> {
  const response = await appOver(sql).request('/readyz');
  return { status: response.status, json: await response.json() };
}

describe('GET /readyz', () => {
  let databaseUrl: string;
  let sql: Sql;
  beforeAll(async () => {
    databaseUrl = await createDatabase(stack.databaseUrl, `health_${crypto.randomUUID().replaceAll('-', '')}`);
    sql = connect(databaseUrl, { maxConnections: 2 });
  });
  afterAll(() => sql.end());

  test('503: migrations are missing, with the command that runs them', async () => {
    const { status, json } = await readyz(sql);
    expect(status).toBe(503);
    expect(json.problems).toMatchObject([{ part: 'migrations', fatal: true, remedy: 'Run npm run migrate.' }]);
  });

  test('200, degraded: no worker runs, a network is not mirrored', async () => {
    await migrate(databaseUrl);
    const chain = await createChain(sql, { name: 'nowhere', eip155Id: 424243 });
    await createNetwork(sql, {
      chainId: chain.id,
      name: 'Nowhere',
      rpcUrls: ['http://127.0.0.1:9/secret-key'],
      diamondAddress: `0x${'11'.repeat(20)}`,
      operatorAddress: `0x${'22'.repeat(20)}`,
      confirmations: 1,
    });
    const { status, json } = await readyz(sql);
    expect(status).toBe(200);
    expect(json.status).toBe('degraded');
    expect(json.problems.map((problem: Json) => problem.part)).toEqual(['worker', 'mirror of Nowhere']);
    expect(JSON.stringify(json)).not.toContain('secret-key');
  });

  test('200, degraded: a signer waits for fees to fall, with what to do, and the metrics show it', async () => {
    const signer = `0x${'33'.repeat(20)}`;
    const detail = 'Nowhere asks for 900 gwei a unit of gas, its ceiling is 100: it sends nothing until fees fall.';
    await sql`
      insert into signer_standing (network_id, signer, state, detail, balance_wei)
      select id, ${signer}, 'dear', ${detail}, 1 from network where name = 'Nowhere'`;
    const { json } = await readyz(sql);
    expect(json.problems).toContainEqual({
      part: `signer ${signer} on Nowhere`,
      fatal: false,
      problem: detail,
      remedy: 'Wait, or PATCH the network with a higher max_fee_gwei.',
    });
    const metrics = await new Metrics(sql).expose();
    expect(metrics).toContain(`dealkeep_signer_waits{network="Nowhere",signer="${signer}",state="dear"} 1`);
    expect(metrics).toContain(`dealkeep_signer_waits{network="Nowhere",signer="${signer}",state="paused"} 0`);
    await sql`delete from signer_standing`;
  });

  test('503: the database does not answer', async () => {
    const nowhere = connect('postgres://nobody:hunter2@127.0.0.1:9/none', { maxConnections: 1 });
    const { status, json } = await readyz(nowhere);
    await nowhere.end();
    expect(status).toBe(503);
    expect(json.problems).toMatchObject([{ part: 'database', fatal: true }]);
    expect(JSON.stringify(json)).not.toContain('hunter2');
  });

  test('knows a worker that lives from one that is gone', async () => {
    const market = await testMarketplace();
    const { json } = await readyz(market.sql);
    expect(json.problems.map((problem: Json) => problem.part)).not.toContain('worker');
  });
});

describe('any request while the database is away', () => {
  test.each([
    ['refuses connections', 'postgres://nobody:hunter2@127.0.0.1:9/none'],
    ['has no such database', stack.databaseUrl.replace(/[^/]*$/, 'not_there')],
  ])('503 when it %s, to be asked again, and says nothing of it', async (_, url) => {
    const nowhere = connect(url, { maxConnections: 1 });
    const headers = {
      Authorization: `Bearer ${await new Tokens(stack.secret).issueIntegrationToken(crypto.randomUUID())}`,
    };
    const response = await appOver(nowhere).request('/api/v1/networks', { headers });
    await nowhere.end();
    expect([response.status, response.headers.get('Retry-After')]).toEqual([503, '1']);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code: 'upstream_unavailable', retryable: true });
    expect(text).not.toMatch(/hunter2|not_there|127\.0\.0\.1/);
  });

  test('503 when its sessions are ended, and 200 right after', async () => {
    const market = await testMarketplace();
    const waiting = market.sql`select pg_sleep(30)`.catch((error: unknown) => error);
    const ender = connect(stack.databaseUrl, { maxConnections: 1 });
    await expect
      .poll(async () => {
        const ended = await ender`
          select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(30)%'`;
        return ended.length;
      })
      .toBe(1);
    await ender.end();
    expect(isDatabaseAway(await waiting)).toBe(true);
    expect((await market.get('/networks')).status).toBe(200);
  });
});

describe('/metrics', () => {
  test('counts requests by route, never by id, and shows queue, mirror and escrow', async () => {
    const market = await testMarketplace();
    const { payment, widget } = await market.payable();
    await (await openWallet(stack)).deposit(termsOf(widget));
    await market.untilStatus(payment.id, 'funded');
    const metrics = new Metrics(market.sql);
    const app = appOver(market.sql, metrics);
    const id = crypto.randomUUID();
    await app.request(`/api/v1/payments/${id}`, { headers: { Authorization: `Bearer ${market.token}` } });
    const server = metrics.serve({ hostname: '127.0.0.1', port: 0 });
    const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await new Promise((resolve) => server.once('listening', resolve));
    const text = await (await fetch(`${url()}/metrics`)).text();
    const elsewhere = await fetch(`${url()}/api/v1/payments`);
    server.close();
    expect(elsewhere.status).toBe(404);
    expect(text).toContain('dealkeep_request_seconds_count{method="GET",route="/api/v1/payments/:id",status="404"} 1');
    expect(text).not.toContain(id);
    expect(text).toMatch(/dealkeep_mirror_ready\{network="shared"\} 1/);
    expect(text).toMatch(/dealkeep_mirror_age_seconds\{network="shared"\} [\d.-]+/);
    expect(text).toMatch(/dealkeep_escrow_held\{network="shared",currency="USDC",token="0x[0-9a-f]{40}"\} [1-9]/);
    // The worker beside the shared stack has looked at its signers.
    for (const name of ['signer_open_transactions', 'signer_balance']) {
      expect(text).toMatch(new RegExp(`dealkeep_${name}\\{network="shared",signer="0x[0-9a-f]{40}"\\} \\d`));
    }
    const single = ['webhooks_waiting', 'webhooks_retrying', 'webhooks_oldest_seconds', 'webhooks_failed'];
    for (const name of single) expect(text).toMatch(new RegExp(`^dealkeep_${name} \\d`, 'm'));
    for (const name of ['queue_due', 'queue_oldest_seconds']) expect(text).toContain(`# TYPE dealkeep_${name} gauge`);
  });
});

describe('The log', () => {
  function logged(write: (log: ReturnType<typeof openLog>) => void): string {
    const lines: string[] = [];
    write(openLog({ role: 'api', level: 'info' }, { write: (line) => lines.push(line) }));
    return lines.join('');
  }

  test('shows of URLs only where they lead', () => {
    const cause = new Error('POST https://eth.example/v2/KEY-OF-THE-NODE failed');
    const text = logged((log) =>
      log.warn({ err: new Error('connect postgres://me:hunter2@db.example:5432/dealkeep', { cause }) }, 'failed'),
    );
    expect(text).toContain('postgres://db.example:5432');
    expect(text).toContain('https://eth.example');
    expect(text).not.toMatch(/hunter2|KEY-OF-THE-NODE/);
  });

  test('keeps fields that open something to itself', () => {
    const secrets = {
      authorization: 'Bearer abc123',
      privateKey: '0xabc123',
      request: { headers: { authorization: 'abc123' } },
    };
    expect(logged((log) => log.info(secrets, 'x'))).not.toContain('abc123');
  });

  test('has a line for each request with its id, route and payment', async () => {
    const market = await testMarketplace();
    const lines: string[] = [];
    const log = openLog({ role: 'api', level: 'info' }, { write: (line) => lines.push(line) });
    const services = { sql: market.sql, tokens: market.tokensOf, vault: new Vault(stack.secret), publicUrl: '' };
    const app = createApp({ ...services, log });
    const payment = await market.createPayment();
    await app.request(`/api/v1/payments/${payment.id}/logs?per_page=5`, {
      headers: { Authorization: `Bearer ${market.token}`, 'X-Correlation-Id': 'mine' },
    });
    expect(JSON.parse(lines.at(-1) ?? '{}')).toMatchObject({
      requestId: 'mine',
      method: 'GET',
      route: '/api/v1/payments/:id/logs',
      paymentId: payment.id,
      integrationId: market.integrationId,
      status: 200,
    });
    await app.request('/api/v1/payments', {
      method: 'POST',
      headers: { Authorization: `Bearer ${market.token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(market.paymentBody({ external_id: 'logged' })),
    });
    const [{ id }] = (await market.get(`/payments?node_id=${market.nodeId}&external_id=logged`)).json.items;
    expect(JSON.parse(lines.at(-1) ?? '{}')).toMatchObject({ route: '/api/v1/payments', paymentId: id, status: 201 });
    expect(lines.join('')).not.toContain(market.token);
  });
});
