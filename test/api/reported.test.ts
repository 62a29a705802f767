import { join } from 'node:path';
import type { Hex } from 'viem';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { deploy } from '../../scripts/deploy.ts';
import { startWorker } from '../../scripts/dev/services.ts';
import { type RunningStack, startStack } from '../support/stack.ts';
import { chainOf, mineBlocks, openWallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from './marketplace.ts';

// A stack of its own, whose indexer stands still until the last test.
let running: RunningStack;
let market: Marketplace;
let worker: Awaited<ReturnType<typeof startWorker>>;
let buyer: Awaited<ReturnType<typeof openWallet>>;
beforeAll(async () => {
  running = await startStack({ serverUrl: inject('stack').databaseUrl });
  const { stack } = running;
  market = await openMarketplace({ stack });
  const operatorKeys = [stack.operatorKey];
  worker = await startWorker({ ...stack, operatorKeys, logPath: join(stack.folder, 'worker.log') });
  buyer = await openWallet(stack);
  await running.indexer.stop();
});
afterAll(async () => {
  await worker?.process.stop();
  await market?.close();
  await running?.stop();
});

const report = async ({ id, access_token }: Json, hash: unknown) =>
  await market.post(`/widget/payments/${id}/transaction`, { transaction_hash: hash }, access_token);

/** The types of a payment's events, in their order. */
async function eventsOf({ id }: Json): Promise<string[]> {
  const { json } = await market.get(`/events?payment_id=${id}&type=payment.*`);
  return json.items.map(({ type }: Json) => type);
}

/** Reports a hash and expects that several passes later the payment still waits. */
async function changesNothing(payment: Json, hash: Hex): Promise<void> {
  expect((await report(payment, hash)).status).toBe(204);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect((await market.get(`/payments/${payment.id}`)).json.status).toBe('awaiting_deposit');
}

describe('a transaction that the widget reports while the indexer lags', () => {
  test('shows confirming by its receipt, hands out no more call data, and moves nothing', async () => {
    const { payment, widget } = await market.payable();
    const { receipt } = await buyer.deposit(termsOf(widget));
    expect((await report(payment, receipt.transactionHash)).status).toBe(204);
    await market.untilStatus(payment.id, 'confirming');

    const shown = (await market.get(`/widget/payments/${payment.id}`, payment.access_token)).json;
    expect(shown).toMatchObject({ status: 'confirming', contract: null });
    expect((await market.post(`/payments/${payment.id}/release`)).status).toBe(409);
    const entries = await market.sql`select 1 from ledger_entry where payment_id = ${payment.id}`;
    expect(entries).toHaveLength(0);
  });

  test('that a form with its payer fixed was deposited by shows confirming too', async () => {
    const { payment } = await market.payable();
    const path = `/widget/payments/${payment.id}?payer=${buyer.address}`;
    const { receipt } = await buyer.deposit(termsOf((await market.get(path, payment.access_token)).json));
    await report(payment, receipt.transactionHash.toUpperCase().replace('0X', '0x'));
    await market.untilStatus(payment.id, 'confirming');
  });

  test('that paid another payment, was reverted, is in no block or went to another diamond changes nothing', async () => {
    const { stack } = running;
    const [{ payment, widget }, other] = [await market.payable(), await market.payable()];
    const { receipt } = await buyer.deposit(termsOf(other.widget));
    await changesNothing(payment, receipt.transactionHash);

    const nobodys = { to: stack.diamond, data: '0x12345678', gas: 100_000n } as const;
    // Hardhat mines it, and answers with its revert in place of its hash.
    await expect(buyer.client.sendTransaction(nobodys)).rejects.toThrow('FunctionUnknown');
    const [reverted] = (await chainOf(stack).getBlock()).transactions;
    if (!reverted) throw new Error('The transaction was not mined.');
    expect((await buyer.client.getTransactionReceipt({ hash: reverted })).status).toBe('reverted');
    await changesNothing(payment, reverted);
    await changesNothing(payment, `0x${'ab'.repeat(32)}`);

    const foreign = await deploy({
      ...{ rpcUrl: stack.rpcUrl, privateKey: stack.operatorKey, testTokens: true },
      addressBookPath: join(stack.folder, 'foreign.json'),
    });
    const token = foreign.tokens.USDC?.address ?? stack.diamond;
    const elsewhere = await openWallet({ ...stack, diamond: foreign.diamond, tokens: { USDC: token, USDT: token } });
    const deposited = await elsewhere.deposit({ ...termsOf(widget), token });
    await changesNothing(payment, deposited.receipt.transactionHash);
  });

  test('goes back when a reorganisation takes it out, and another report does not hide it before', async () => {
    const chain = chainOf(running.stack);
    const { payment, widget } = await market.payable();
    const snapshot = await chain.snapshot();
    const { receipt } = await buyer.deposit(termsOf(widget));
    await report(payment, receipt.transactionHash);
    await market.untilStatus(payment.id, 'confirming');
    await report(payment, `0x${'cd'.repeat(32)}`);
    await report(payment, null);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect((await market.get(`/payments/${payment.id}`)).json.status).toBe('confirming');

    await chain.revert({ id: snapshot });
    await mineBlocks(running.stack, 4);
    await market.untilStatus(payment.id, 'awaiting_deposit');
    await expect.poll(() => eventsOf(payment)).toContain('payment.confirming.reverted');
  });

  test.each([
    ['too short', '0xab'],
    ['no hex', `0x${'zz'.repeat(32)}`],
    ['a number', 7],
    ['huge', `0x${'ab'.repeat(5_000)}`],
    ['left out', undefined],
  ])('400: the hash is %s', async (_what, hash) => {
    const { payment } = await market.payable();
    const answer = await report(payment, hash);
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.json)).toContain('transaction_hash');
    const kept = await market.sql`select 1 from reported_transaction where payment_id = ${payment.id}`;
    expect(kept).toHaveLength(0);
  });

  test('becomes funded once the indexer is back', async () => {
    const { payment, widget } = await market.payable();
    const { receipt } = await buyer.deposit(termsOf(widget));
    await report(payment, receipt.transactionHash);
    await market.untilStatus(payment.id, 'confirming');
    await running.restartIndexer();
    await market.untilStatus(payment.id, 'funded');
    const seen = ['payment.created', 'payment.awaiting_deposit', 'payment.confirming', 'payment.funded'];
    await expect.poll(() => eventsOf(payment)).toEqual(seen);
  });
});
