import { zeroHash } from 'viem';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect, type Sql } from '../../api/core/database/db.ts';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import type { Terms } from '../../contracts/terms.ts';
import { readEvents, untilDeal } from '../support/mirror.ts';
import { type RunningStack, startStack } from '../support/stack.ts';
import { chainOf, offerOf, openWallet, type Wallet } from '../support/wallet.ts';

let running: RunningStack;
let sql: Sql;
let buyer: Wallet;
let seller: Wallet;
let arbiter: Wallet;

// A chain of its own, because deadlines have to pass on it.
beforeAll(async () => {
  running = await startStack({ serverUrl: inject('stack').databaseUrl });
  sql = connect(running.stack.databaseUrl, { maxConnections: 2 });
  [buyer, seller, arbiter] = await Promise.all([
    openWallet(running.stack),
    openWallet(running.stack),
    openWallet(running.stack),
  ]);
});
afterAll(async () => {
  await sql?.end();
  await running?.stop();
});

async function deposit(overrides: Partial<Terms> = {}) {
  // Deadlines count from the chain's time, which these tests push ahead.
  const { timestamp } = await chainOf(running.stack).getBlock();
  const deadlines = {
    depositDeadline: timestamp + 3_600n,
    settlementDeadline: timestamp + 7_200n,
    resolutionDeadline: timestamp + 10_800n,
  };
  const roles = { payee: seller.address, arbiter: arbiter.address };
  return await buyer.deposit(offerOf(running.stack, { ...deadlines, ...roles, ...overrides }));
}

async function waitBeyond(deadline: bigint): Promise<void> {
  await chainOf(running.stack).setNextBlockTimestamp({ timestamp: deadline + 1n });
  await chainOf(running.stack).mine({ blocks: 1 });
}

describe('what ends a deal', () => {
  test('claimed by anybody after the deadline: settled, all of it released', async () => {
    const { id, terms } = await deposit({ defaultOutcome: 1 });
    await waitBeyond(terms.settlementDeadline);
    await arbiter.call('claim', terms);
    await untilDeal(sql, id, { status: 'settled', released: terms.amount, refunded: 0n });
    const [, claimed] = await readEvents(sql, id);
    expect(claimed).toMatchObject({ name: 'Claimed', sender: arbiter.address.toLowerCase(), status: 'settled' });
  });

  test('reclaimed by anybody after the deadline: settled, all of it refunded', async () => {
    const { id, terms } = await deposit({ defaultOutcome: 0 });
    await waitBeyond(terms.settlementDeadline);
    await arbiter.call('reclaim', terms);
    await untilDeal(sql, id, { status: 'settled', released: 0n, refunded: terms.amount });
    expect((await readEvents(sql, id)).map(({ name }) => name)).toEqual(['Deposited', 'Reclaimed']);
  });

  test('resolved by the arbiter: settled, split, and disputed by nobody any more', async () => {
    const { id, terms } = await deposit();
    const escrow = { address: running.stack.diamond, abi: escrowAbi } as const;
    const opening = { ...escrow, functionName: 'openDispute', args: [terms, zeroHash] } as const;
    await buyer.mined(await buyer.client.writeContract(opening));
    await untilDeal(sql, id, { status: 'disputed', disputedBy: 'payer' });
    const toPayee = terms.amount / 4n;
    const ruling = { ...escrow, functionName: 'resolve', args: [terms, toPayee] } as const;
    await arbiter.mined(await arbiter.client.writeContract(ruling));
    const refunded = terms.amount - toPayee;
    await untilDeal(sql, id, { status: 'settled', disputedBy: null, released: toPayee, refunded });
    expect((await readEvents(sql, id)).map(({ name }) => name)).toEqual(['Deposited', 'DisputeOpened', 'Resolved']);
  });

  test('given back by the payee after release: refunded grows beside released', async () => {
    const { id, terms } = await deposit();
    await buyer.call('release', terms);
    const units = 1_000_000n;
    const approval = { address: terms.token, abi: usdcAbi, functionName: 'approve' } as const;
    const { diamond } = running.stack;
    await seller.mined(await seller.client.writeContract({ ...approval, args: [diamond, units] }));
    const giving = { address: diamond, abi: escrowAbi, functionName: 'returnPayment', args: [terms, units] } as const;
    await seller.mined(await seller.client.writeContract(giving));
    await untilDeal(sql, id, { status: 'settled', released: terms.amount, refunded: units });
  });
});
