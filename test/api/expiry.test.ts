// The end of waiting for a deposit follows the chain, to the second: a stack of its own, whose time and blocks come when the test
// says so.
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { setClockOffset } from '../../api/core/clock.ts';
import { usdcAbi } from '../../contracts/abi.ts';
import { startWorker } from '../../scripts/dev/services.ts';
import { type RunningStack, startStack } from '../support/stack.ts';
import { chainOf, openWallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from './marketplace.ts';

const CONFIRMATIONS = 3;

let running: RunningStack;
let market: Marketplace;
let worker: Awaited<ReturnType<typeof startWorker>>;
beforeAll(async () => {
  running = await startStack({ serverUrl: inject('stack').databaseUrl });
  const { stack } = running;
  market = await openMarketplace({ stack, confirmations: CONFIRMATIONS });
  worker = await startWorker({ ...stack, operatorKeys: [stack.operatorKey], logPath: `${stack.folder}/worker.log` });
});
afterAll(async () => {
  // The API runs in this process.
  setClockOffset(0);
  await worker.process.stop();
  await market.close();
  await running.stop();
});

/** Moves the test clock to that second, and with it the chain: a block bears that very time. */
async function moveTo(seconds: bigint): Promise<void> {
  const { status, json } = await market.post('/test-clock', { now: new Date(Number(seconds) * 1000).toISOString() });
  expect(status, JSON.stringify(json)).toBe(200);
  expect((await chainOf(running.stack).getBlock()).timestamp).toBe(seconds);
}

/** Mines on until what came before is deep enough, a second a block. */
const bury = () => chainOf(running.stack).mine({ blocks: CONFIRMATIONS, interval: 1 });

/** A payment that waits for its deposit until an hour after the newest block. */
async function openPayment(): Promise<{ payment: Json; widget: Json; deadline: bigint }> {
  const { timestamp } = await chainOf(running.stack).getBlock();
  const deadline = timestamp + 3_600n;
  const expiresAt = new Date(Number(deadline) * 1000).toISOString();
  return { ...(await market.payable({ expires_at: expiresAt })), deadline };
}

const statusOf = async (id: string) => (await market.get(`/payments/${id}`)).json.status;

/** Waits until the settle step has seen the newest block. */
async function untilSettled(): Promise<void> {
  const head = await chainOf(running.stack).getBlockNumber();
  const seen = async () => {
    const [row] = await market.sql<{ mirrored: bigint }[]>`
      select mirrored from network_head where network_id = ${market.networkId}`;
    return row?.mirrored ?? 0n;
  };
  await expect.poll(seen, { timeout: 20_000 }).toBeGreaterThanOrEqual(head);
  await new Promise((resolve) => setTimeout(resolve, 600));
}

describe('a deposit deadline t', () => {
  test.each([
    ['t − 1', -1n, 'awaiting_deposit'],
    ['t', 0n, 'awaiting_deposit'],
    ['t + 1', 1n, 'expired'],
  ])('with the newest deep block at %s the payment is as it has to be', async (_name, offset, status) => {
    const { payment, deadline } = await openPayment();
    const chain = chainOf(running.stack);
    await moveTo(deadline + offset);
    // The blocks on top are later than the deadline; only the deep one counts.
    await chain.mine({ blocks: CONFIRMATIONS - 1, interval: 60 });
    await untilSettled();
    expect(await statusOf(payment.id)).toBe(status);
  });

  test('that no deep block has passed expires nothing, however late the clock on the wall', async () => {
    const { payment, deadline } = await openPayment();
    await moveTo(deadline + 1n);
    await untilSettled();
    expect(await statusOf(payment.id)).toBe('awaiting_deposit');
    await bury();
    await market.untilStatus(payment.id, 'expired');
  });

  test('is over for a deposit after it, which reverts with both times; the widget hands out no call', async () => {
    const { payment, widget, deadline } = await openPayment();
    await moveTo(deadline + 1n);
    await bury();
    await market.untilStatus(payment.id, 'expired');
    const buyer = await openWallet(running.stack);
    await expect(buyer.deposit(termsOf(widget))).rejects.toThrow(
      'DepositAfterDeadline(uint256 timestamp, uint256 deadline)',
    );
    const { json } = await market.get(`/widget/payments/${payment.id}`, payment.access_token);
    expect(json).toMatchObject({ status: 'expired', contract: null });
  });

  test('is kept by a deposit in its very second, mirrored at once or late', async () => {
    for (const late of [false, true]) {
      const { payment, widget, deadline } = await openPayment();
      const buyer = await openWallet(running.stack);
      const chain = chainOf(running.stack);
      const terms = termsOf(widget);
      const approve = { address: terms.token, abi: usdcAbi, functionName: 'approve' } as const;
      await buyer.mined(await buyer.client.writeContract({ ...approve, args: [running.stack.diamond, terms.amount] }));
      if (late) await running.indexer.stop();
      await moveTo(deadline - 1n);
      await chain.setNextBlockTimestamp({ timestamp: deadline });
      await buyer.call('deposit', terms);
      expect((await chain.getBlock()).timestamp).toBe(deadline);
      await bury();
      await bury();
      if (late) await running.restartIndexer();
      await market.untilStatus(payment.id, 'funded');
      const logs = (await market.get(`/payments/${payment.id}/logs?per_page=100`)).json.items;
      expect(logs.map((entry: Json) => entry.event_type)).not.toContain('payment.expired');
    }
  });
});

describe('a settlement deadline', () => {
  test.each([
    ['release', 'claim', 'released'],
    ['refund', 'reclaim', 'refunded'],
  ] as const)('once it is over anybody carries the default outcome out: %s', async (outcome, verb, status) => {
    const { timestamp } = await chainOf(running.stack).getBlock();
    const deal = { default_outcome: outcome, settlement_period_seconds: 86_400 };
    const expiresAt = new Date((Number(timestamp) + 3_600) * 1000).toISOString();
    const { payment, widget } = await market.payable({ expires_at: expiresAt, deal });
    const buyer = await openWallet(running.stack);
    const { terms: paid } = await buyer.deposit(termsOf(widget));
    await bury();
    await market.untilStatus(payment.id, 'funded');
    const stranger = await openWallet(running.stack);
    await expect(stranger.call(verb, paid)).rejects.toThrow('BeforeDeadline');
    await moveTo(paid.settlementDeadline + 1n);
    expect(await statusOf(payment.id)).toBe('funded');
    await stranger.call(verb, paid);
    await bury();
    await market.untilStatus(payment.id, status);
  });
});
