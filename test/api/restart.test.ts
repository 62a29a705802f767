import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { startApi, startWorker } from '../../scripts/dev/services.ts';
import { type RunningStack, type Stack, startStack } from '../support/stack.ts';
import { openWallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from './marketplace.ts';

let running: RunningStack;
let stack: Stack;
let market: Marketplace;
beforeAll(async () => {
  running = await startStack({ serverUrl: inject('stack').databaseUrl });
  stack = running.stack;
  market = await openMarketplace({ stack });
});
afterAll(async () => {
  await market?.close();
  await running?.stop();
});

const options = (name: string) => ({ ...stack, logPath: join(stack.folder, `${name}.log`) });
const worker = () => startWorker({ ...options('worker'), operatorKeys: [stack.operatorKey] });

describe('API, worker and indexer killed between deposit and funded', () => {
  test('after they start again the payment is funded, once, and can be released', async () => {
    const api = await startApi(options('api'));
    const first = await worker();
    const { payment, widget } = await market.payable();
    await Promise.all([api.process.kill(), first.process.kill(), running.indexer.kill()]);

    await (await openWallet(stack)).deposit(termsOf(widget));
    expect((await market.get(`/payments/${payment.id}`)).json.status).toBe('awaiting_deposit');

    await running.restartIndexer();
    const again = await startApi(options('api'));
    const second = await worker();
    await market.untilStatus(payment.id, 'funded');
    const response = await fetch(`${again.url}/api/v1/payments/${payment.id}`, {
      headers: { Authorization: `Bearer ${market.token}` },
    });
    expect(await response.json()).toMatchObject({ status: 'funded' });

    await market.post(`/payments/${payment.id}/release`);
    await market.untilStatus(payment.id, 'released');
    const { json } = await market.get(`/payments/${payment.id}/logs?per_page=100`);
    const events = json.items.map((item: Json) => item.event_type);
    expect(events.filter((event: string) => event === 'payment.funded')).toHaveLength(1);
    await Promise.all([again.process.stop(), second.process.stop()]);
  });

  test('work that a killed worker had claimed is taken over, and its transaction is sent once', async () => {
    const first = await worker();
    const { payment, widget } = await market.payable();
    const buyer = await openWallet(stack);
    await buyer.deposit(termsOf(widget));
    await market.untilStatus(payment.id, 'funded');
    await market.post(`/payments/${payment.id}/release`);
    await first.process.kill();
    const second = await worker();
    await market.untilStatus(payment.id, 'released');
    const sent = await market.sql`
      select t.* from transaction_operation t join operation o on o.node_id = t.node_id and o.id = t.operation_id
      where o.payment_id = ${payment.id}`;
    expect(sent).toHaveLength(1);
    await second.process.stop();
  });
});
