import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Balancer, startBalancer } from '../../scripts/cluster/balancer.ts';
import { freePort } from '../../scripts/dev/ports.ts';
import { startApi, startWorker } from '../../scripts/dev/services.ts';
import { type Json, type Marketplace, openMarketplace } from '../api/marketplace.ts';
import { type RunningStack, startStack } from '../support/stack.ts';

type Started = Awaited<ReturnType<typeof startApi>>;

let running: RunningStack;
let market: Marketplace;
let apis: Started[];
let workers: Awaited<ReturnType<typeof startWorker>>[];
let balancer: Balancer;
beforeAll(async () => {
  running = await startStack({ serverUrl: inject('stack').databaseUrl });
  const { stack } = running;
  const port = await freePort();
  const options = (name: string) => ({ ...stack, logPath: join(stack.folder, `${name}.log`) });
  const publicUrl = `http://127.0.0.1:${port}`;
  apis = await Promise.all([1, 2].map((number) => startApi({ ...options(`api-${number}`), publicUrl })));
  workers = await Promise.all(
    [1, 2].map((number) => startWorker({ ...options(`worker-${number}`), operatorKeys: [stack.operatorKey] })),
  );
  balancer = await startBalancer(
    port,
    apis.map(({ url }) => url),
  );
  market = await openMarketplace({ stack });
}, 240_000);
afterAll(async () => {
  await balancer?.stop();
  for (const { process } of [...(apis ?? []), ...(workers ?? [])]) await process.stop();
  await market?.close();
  await running?.stop();
});

describe('A cluster', () => {
  test('takes over what a worker held that was killed in the middle of it', async () => {
    const { sql, networkId } = market;
    // Numbers are given under this row's lock: both workers are in the middle of work for as long as the test wants.
    const holder = await sql.reserve();
    await holder`begin`;
    await holder`select 1 from network where id = ${networkId} for no key update`;
    const payments: Json[] = [];
    for (let created = 0; created < 24; created += 1) payments.push(await market.createPayment());
    const working = async () => {
      const pools = await sql`
        select distinct w.lock_key from worker_process w join graphile_worker._private_jobs j on j.locked_by = any (w.worker_ids)`;
      return pools.length;
    };
    await expect.poll(working, { timeout: 20_000 }).toBe(2);
    await workers[0]?.process.kill();
    await holder`commit`;
    holder.release();
    await expect.poll(working, { timeout: 20_000 }).toBeLessThan(2);
    for (const payment of payments) await market.untilStatus(payment.id, 'awaiting_deposit');
  });

  test('answers through the API that is left when the other one is killed', async () => {
    expect(balancer.ready()).toHaveLength(2);
    await apis[0]?.process.kill();
    for (let asked = 0; asked < 20; asked += 1) {
      const response = await fetch(`${balancer.url}/api/v1/networks`, {
        headers: { Authorization: `Bearer ${market.token}` },
      });
      expect(response.status).toBe(200);
    }
    expect(balancer.ready()).toEqual([apis[1]?.url]);
  });

  test('503 with Retry-After when no API is left', async () => {
    await apis[1]?.process.kill();
    const response = await fetch(`${balancer.url}/healthz`);
    expect(response.status).toBe(503);
    expect(response.headers.get('Retry-After')).toBe('1');
  });
});
