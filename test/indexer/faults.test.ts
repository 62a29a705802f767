import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect, type Sql } from '../../api/core/database/db.ts';
import { indexedBlock, readDeal, readEvents, untilDeal } from '../support/mirror.ts';
import { type RunningStack, startStack } from '../support/stack.ts';
import { chainOf, mineBlocks, offerOf, openWallet, type Wallet } from '../support/wallet.ts';

let running: RunningStack;
let sql: Sql;
let buyer: Wallet;

// A chain and an indexer of its own: these tests stop the one and rewind the other.
beforeAll(async () => {
  running = await startStack({ serverUrl: inject('stack').databaseUrl });
  sql = connect(running.stack.databaseUrl, { maxConnections: 2 });
  buyer = await openWallet(running.stack);
});
afterAll(async () => {
  await sql?.end();
  await running?.stop();
});

describe('an indexer that was away', () => {
  test.each(['kill', 'stop'] as const)('after a %s it has everything, once', async (end) => {
    const before = await buyer.deposit(offerOf(running.stack));
    await untilDeal(sql, before.id, { status: 'funded' });
    await running.indexer[end]();
    await buyer.call('release', before.terms);
    const meanwhile = await buyer.deposit(offerOf(running.stack));
    await running.restartIndexer();
    await untilDeal(sql, meanwhile.id, { status: 'funded' });
    expect(await readDeal(sql, before.id)).toMatchObject({ status: 'settled', released: before.terms.amount });
    expect((await readEvents(sql, before.id)).map(({ name }) => name)).toEqual(['Deposited', 'Released']);
    expect(await readEvents(sql, meanwhile.id)).toHaveLength(1);
  });

  test('what was final does not vanish while it starts again', async () => {
    const old = await buyer.deposit(offerOf(running.stack));
    // Ponder takes a block for final when 30 follow it, and notes it every 30 blocks.
    await mineBlocks(running.stack, 100);
    const head = await chainOf(running.stack).getBlockNumber();
    await expect.poll(() => indexedBlock(sql), { timeout: 15_000 }).toBe(head);
    const recent = await buyer.deposit(offerOf(running.stack));
    await untilDeal(sql, recent.id, { status: 'funded' });

    await running.indexer.kill();
    const restarted = running.restartIndexer();
    const seen = { final: new Set<boolean>(), recent: new Set<boolean>() };
    let starting = true;
    void restarted.finally(() => {
      starting = false;
    });
    while (starting) {
      seen.final.add((await readDeal(sql, old.id)) !== undefined);
      seen.recent.add((await readDeal(sql, recent.id)) !== undefined);
    }
    await restarted;
    expect([...seen.final]).toEqual([true]);
    // What was not final does, which is why the API asks whether the mirror is ready before it believes an absence.
    expect([...seen.recent]).toContain(false);
    await untilDeal(sql, recent.id, { status: 'funded' });
  });
});

describe('a reorg', () => {
  test('undoes the deal of a deposit that is no longer on chain, and mirrors what is there instead', async () => {
    const chain = chainOf(running.stack);
    const snapshot = await chain.snapshot();
    const undone = await buyer.deposit(offerOf(running.stack));
    await untilDeal(sql, undone.id, { status: 'funded' });
    await chain.revert({ id: snapshot });
    const instead = await buyer.deposit(offerOf(running.stack));
    await untilDeal(sql, instead.id, { status: 'funded' });
    expect(await readDeal(sql, undone.id)).toBeUndefined();
    expect(await readEvents(sql, undone.id)).toEqual([]);
  });

  test('takes a release back', async () => {
    const chain = chainOf(running.stack);
    const { id, terms } = await buyer.deposit(offerOf(running.stack));
    const snapshot = await chain.snapshot();
    await buyer.call('release', terms);
    await untilDeal(sql, id, { status: 'settled' });
    await chain.revert({ id: snapshot });
    await mineBlocks(running.stack, 2);
    await untilDeal(sql, id, { status: 'funded', released: 0n });
    expect((await readEvents(sql, id)).map(({ name }) => name)).toEqual(['Deposited']);
  });
});
