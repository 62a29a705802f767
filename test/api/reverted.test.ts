import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import { startWorker } from '../../scripts/dev/services.ts';
import { type RunningStack, startStack } from '../support/stack.ts';
import { chainOf, mineBlocks, openWallet, strangerAddress } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from './marketplace.ts';

// A chain of its own: these tests rewind it.
let running: RunningStack;
let market: Marketplace;
let worker: Awaited<ReturnType<typeof startWorker>>;
beforeAll(async () => {
  running = await startStack({ serverUrl: inject('stack').databaseUrl });
  const { stack } = running;
  market = await openMarketplace({ stack });
  await startWorking('worker');
});

async function startWorking(name: string): Promise<void> {
  const { stack } = running;
  const logPath = join(stack.folder, `${name}.log`);
  worker = await startWorker({ ...stack, operatorKeys: [stack.operatorKey], logPath });
}

afterAll(async () => {
  await worker?.process.stop();
  await market?.close();
  await running?.stop();
});

/** A payment's events from the list, once the last is of that type. */
async function untilEvent(of: Marketplace, paymentId: string, type: string): Promise<Json[]> {
  const list = async () => (await of.get(`/events?payment_id=${paymentId}&type=payment.*`)).json.items;
  await expect.poll(async () => (await list()).at(-1)?.type, { timeout: 20_000 }).toBe(type);
  return await list();
}

/** Whether a deposit is seen before it counts is the indexer's haste. */
const exceptConfirming = (events: Json[]): Json[] => events.filter(({ type }) => type !== 'payment.confirming');

describe('a reorganisation', () => {
  test('that takes a deposit back says so by an event of its own; the deposit in another block is announced anew', async () => {
    const chain = chainOf(running.stack);
    const { payment, widget } = await market.payable();
    const buyer = await openWallet(running.stack);
    const snapshot = await chain.snapshot();
    await buyer.deposit(termsOf(widget));
    await market.untilStatus(payment.id, 'funded');
    await chain.revert({ id: snapshot });
    await mineBlocks(running.stack, 4);
    await market.untilStatus(payment.id, 'awaiting_deposit');

    const events = exceptConfirming(await untilEvent(market, payment.id, 'payment.funded.reverted'));
    expect(events.map(({ type }) => type)).toEqual([
      'payment.created',
      'payment.awaiting_deposit',
      'payment.funded',
      'payment.funded.reverted',
    ]);
    expect(events[3].data).toMatchObject({ status: 'awaiting_deposit', finality: 'unsafe', reverts: events[2].id });

    await buyer.deposit(termsOf(widget));
    await market.untilStatus(payment.id, 'funded');
    const again = exceptConfirming(await untilEvent(market, payment.id, 'payment.funded'));
    expect(again.map(({ data }) => data.status).slice(-2)).toEqual(['awaiting_deposit', 'funded']);
  });

  test('that takes a release back leaves the payment funded, which is not announced a second time', async () => {
    const chain = chainOf(running.stack);
    const { payment, widget } = await market.payable();
    const buyer = await openWallet(running.stack);
    const { terms } = await buyer.deposit(termsOf(widget));
    await market.untilStatus(payment.id, 'funded');
    const snapshot = await chain.snapshot();
    await buyer.call('release', terms);
    await market.untilStatus(payment.id, 'released');
    await chain.revert({ id: snapshot });
    await mineBlocks(running.stack, 4);
    await market.untilStatus(payment.id, 'funded');

    const events = exceptConfirming(await untilEvent(market, payment.id, 'payment.released.reverted'));
    expect(events.map(({ type }) => type).slice(2)).toEqual([
      'payment.funded',
      'payment.released',
      'payment.released.reverted',
    ]);
    expect(events[4].data).toMatchObject({ status: 'funded', reverts: events[3].id });
  });

  test('that takes back a deposit that was being returned closes the offer: the books keep nothing of it', async () => {
    const chain = chainOf(running.stack);
    const { payment, widget } = await market.payable();
    const buyer = await openWallet(running.stack);
    const snapshot = await chain.snapshot();
    await buyer.deposit(termsOf(widget));
    await market.untilStatus(payment.id, 'funded');
    expect((await market.post(`/payments/${payment.id}/cancel`)).status).toBe(202);
    await market.untilStatus(payment.id, 'refunded');
    await chain.revert({ id: snapshot });
    await mineBlocks(running.stack, 4);
    await market.untilStatus(payment.id, 'cancelled');
  });

  test('that puts another buyer’s deposit in the place of one: funded is taken back and announced anew, with its own proof', async () => {
    const chain = chainOf(running.stack);
    const { payment, widget } = await market.payable();
    const [first, second] = [await openWallet(running.stack), await openWallet(running.stack)];
    const snapshot = await chain.snapshot();
    await first.deposit(termsOf(widget));
    const before = await market.untilStatus(payment.id, 'funded');
    // Nobody looks in between.
    await worker.process.stop();
    await chain.revert({ id: snapshot });
    await second.deposit(termsOf(widget));
    await mineBlocks(running.stack, 4);
    const payer = second.address.toLowerCase();
    const mirrored = async () => (await market.sql`select 1 from chain.deal where payer = ${payer}`).length;
    await expect.poll(mirrored, { timeout: 20_000 }).toBe(1);
    await startWorking('worker-again');
    await expect
      .poll(async () => (await market.get(`/payments/${payment.id}`)).json.deal.payer, { timeout: 20_000 })
      .toBe(payer);
    const list = async (): Promise<Json[]> =>
      exceptConfirming((await market.get(`/events?payment_id=${payment.id}&type=payment.*`)).json.items);
    await expect
      .poll(async () => (await list()).map(({ type }) => type).slice(2), { timeout: 20_000 })
      .toEqual(['payment.funded', 'payment.funded.reverted', 'payment.funded']);
    const events = await list();
    const [, , told, reverted, anew] = events;
    expect(reverted.data).toMatchObject({ status: 'funded', reverts: told.id });
    expect(told.data.proof.deal).toBe(before.deal.hash);
    expect(anew.data.proof.deal).toBe((await market.get(`/payments/${payment.id}`)).json.deal.hash);
    expect(anew.data.proof.deal).not.toBe(told.data.proof.deal);
  });

  test('that takes a withdrawal of fees back puts them into the account again, until they are withdrawn in another block', async () => {
    const chain = chainOf(running.stack);
    const recipient = strangerAddress();
    const { payment, widget } = await market.payable({ deal: { fee_recipient: recipient } });
    const buyer = await openWallet(running.stack);
    const { terms } = await buyer.deposit(termsOf(widget));
    await buyer.call('release', terms);
    await market.untilStatus(payment.id, 'released');
    const balances = async () => {
      const { json } = await market.get(`/accounts?node_id=${market.nodeId}&owner=${recipient}&per_page=10`);
      const units = (type: string) => json.items.find((account: Json) => account.type === type)?.balance_units ?? '0';
      return [units('fee'), units('withdrawn')];
    };
    const fee = terms.fee.toString();
    expect(await balances()).toEqual([fee, '0']);
    const args = [terms.token, recipient] as const;
    const call = { address: market.diamond, abi: escrowAbi, functionName: 'withdraw', args } as const;
    const snapshot = await chain.snapshot();
    await buyer.mined(await buyer.client.writeContract(call));
    await expect.poll(balances, { timeout: 20_000 }).toEqual(['0', fee]);
    await chain.revert({ id: snapshot });
    await mineBlocks(running.stack, 4);
    await expect.poll(balances, { timeout: 20_000 }).toEqual([fee, '0']);
    await buyer.mined(await buyer.client.writeContract(call));
    await expect.poll(balances, { timeout: 20_000 }).toEqual(['0', fee]);
    expect(await market.tokenBalance(recipient)).toBe(terms.fee);
  });

  test('that takes back what was not confirmed: confirming is unsafe, and reverted too', async () => {
    const patient = await openMarketplace({ stack: running.stack, confirmations: 5 });
    const chain = chainOf(running.stack);
    const { payment, widget } = await patient.payable();
    const buyer = await openWallet(running.stack);
    const snapshot = await chain.snapshot();
    await buyer.deposit(termsOf(widget));
    await patient.untilStatus(payment.id, 'confirming');
    await chain.revert({ id: snapshot });
    await mineBlocks(running.stack, 4);
    await patient.untilStatus(payment.id, 'awaiting_deposit');
    const events = await untilEvent(patient, payment.id, 'payment.confirming.reverted');
    expect(events.map(({ type, data }) => [type, data.finality]).slice(2)).toEqual([
      ['payment.confirming', 'unsafe'],
      ['payment.confirming.reverted', 'unsafe'],
    ]);
    await patient.close();
  });
});
