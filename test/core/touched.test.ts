import { beforeAll, describe, expect, inject, test } from 'vitest';
import { mirroredBlock, readFacts } from '../../api/core/chain/mirror.ts';
import type { Transaction } from '../../api/core/database/db.ts';
import { findNetwork } from '../../api/core/platform/platform.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from '../api/marketplace.ts';
import { openWallet } from '../support/wallet.ts';

let market: Marketplace;
let payment: Json;
beforeAll(async () => {
  market = await openMarketplace();
  const { payment: created, widget } = await market.payable();
  await (await openWallet(inject('stack'))).deposit(termsOf(widget));
  payment = await market.untilStatus(created.id, 'funded');
});

/** Runs `look` with the leg's row changed, which nobody else ever sees. */
async function withRow(change: (tx: Transaction) => Promise<unknown>, look: (tx: Transaction) => Promise<void>) {
  const rollback = new Error('only looked');
  await market.sql
    .begin(async (tx) => {
      await change(tx);
      await look(tx);
      throw rollback;
    })
    .catch((error) => {
      if (error !== rollback) throw error;
    });
}

/** Whether a pass from the block `since` on finds that the payment's row is not as the mirror says. */
async function finds(tx: Transaction, since: bigint, timestamp = 1n): Promise<boolean> {
  const network = await findNetwork(tx, market.networkId);
  const number = (await mirroredBlock(market.sql, network)) ?? 0n;
  const facts = await readFacts(tx, network, { number, timestamp }, { since });
  return facts.some(({ paymentId }) => paymentId === payment.id);
}

describe('A settle pass from a block on', () => {
  const forgotten = (tx: Transaction) => tx`
    update deal set chain_status = 'none', deal_id = null, payer = null, fact_block = null, fact_transaction = null,
      fact_log_index = null
    where payment_id = ${payment.id}`;

  test('finds a leg whose deal an event touched since, and leaves out one that nothing touched; from 0 on it finds both', async () => {
    const deposited = BigInt(payment.deal.proof.block);
    await withRow(forgotten, async (tx) => {
      expect(await finds(tx, deposited)).toBe(true);
      expect(await finds(tx, deposited + 1n)).toBe(false);
      expect(await finds(tx, 0n)).toBe(true);
    });
  });

  test('finds a leg whose event a reorganisation took back', async () => {
    const deposited = BigInt(payment.deal.proof.block);
    const elsewhere = (tx: Transaction) => tx`
      update deal set fact_transaction = ${`0x${'11'.repeat(32)}`} where payment_id = ${payment.id}`;
    await withRow(elsewhere, async (tx) => {
      expect(await finds(tx, deposited)).toBe(true);
    });
  });

  test('finds a leg whose deposit deadline passed, however long nothing touched it', async () => {
    const never = (tx: Transaction) => tx`
      update deal set chain_status = 'none', deal_id = null, payer = null, fact_block = null, fact_transaction = null,
        fact_log_index = null, offer_id = ${`0x${'22'.repeat(32)}`}, deposit_deadline = 1
      where payment_id = ${payment.id}`;
    // Earlier than any other test's, of which a pass would take only so many.
    await withRow(never, async (tx) => {
      expect(await finds(tx, 10_000_000n, 1n)).toBe(false);
      expect(await finds(tx, 10_000_000n, 2n)).toBe(true);
    });
  });
});
