import { keccak256, toFunctionSelector, toHex } from 'viem';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect, type Sql } from '../../api/core/database/db.ts';
import { escrowAbi } from '../../contracts/abi.ts';
import { readDeal, readEvents, untilDeal } from '../support/mirror.ts';
import { chainOf, offerOf, openWallet, strangerAddress, type Wallet } from '../support/wallet.ts';

const stack = inject('stack');
const escrow = { address: stack.diamond, abi: escrowAbi } as const;
let sql: Sql;
let buyer: Wallet;
let seller: Wallet;

beforeAll(async () => {
  sql = connect(stack.databaseUrl, { maxConnections: 2 });
  [buyer, seller] = await Promise.all([openWallet(stack), openWallet(stack)]);
});
afterAll(async () => {
  await sql.end();
});

function deposit(overrides: Parameters<typeof offerOf>[1] = {}) {
  return buyer.deposit(offerOf(stack, { payee: seller.address, ...overrides }));
}

describe('chain.deal', () => {
  test('a deposit appears with all of its terms, the payer filled in', async () => {
    const offer = offerOf(stack, { ref: (7n << 192n) | 5n, payee: seller.address, defaultOutcome: 1 });
    const { id, receipt } = await buyer.deposit(offer);
    const { timestamp } = await chainOf(stack).getBlock({ blockNumber: receipt.blockNumber });
    const place = { Block: receipt.blockNumber, Timestamp: timestamp, Transaction: receipt.transactionHash };
    const row = await untilDeal(sql, id, { status: 'funded' });
    expect(row).toMatchObject({
      chainId: 31337n,
      diamond: stack.diamond.toLowerCase(),
      number: 7n,
      ref: offer.ref,
      operator: offer.operator.toLowerCase(),
      payee: seller.address.toLowerCase(),
      payer: buyer.address.toLowerCase(),
      token: offer.token.toLowerCase(),
      amount: offer.amount,
      fee: offer.fee,
      feeRecipient: offer.feeRecipient.toLowerCase(),
      arbiter: offer.arbiter.toLowerCase(),
      depositDeadline: offer.depositDeadline,
      settlementDeadline: offer.settlementDeadline,
      resolutionDeadline: offer.resolutionDeadline,
      defaultOutcome: 1,
      released: 0n,
      refunded: 0n,
      disputedBy: null,
    });
    for (const [name, value] of Object.entries(place)) {
      expect([row[`deposit${name}`], row[`last${name}`]]).toEqual([value, value]);
    }
  });

  test('the offer id is the contract’s id of the same terms without payer, whoever deposits', async () => {
    const offer = offerOf(stack);
    const [first, second] = await Promise.all([buyer.deposit(offer), seller.deposit(offer)]);
    const offerId = await buyer.client.readContract({ ...escrow, functionName: 'dealId', args: [offer] });
    for (const { id } of [first, second]) await untilDeal(sql, id, { offerId });
    expect(first.id).not.toBe(second.id);
    const other = await buyer.deposit({ ...offer, amount: offer.amount + 1n });
    expect((await untilDeal(sql, other.id, { status: 'funded' })).offerId).not.toBe(offerId);
  });

  test('released in full: settled, with the block and transaction that did it', async () => {
    const { id, terms } = await deposit();
    const { blockNumber, transactionHash } = await buyer.call('release', terms);
    const row = { status: 'settled', released: terms.amount, refunded: 0n };
    await untilDeal(sql, id, { ...row, lastBlock: blockNumber, lastTransaction: transactionHash });
  });

  test('cancelled after funding: settled, everything refunded', async () => {
    const { id, terms } = await deposit();
    await seller.call('cancelDeal', terms);
    await untilDeal(sql, id, { status: 'settled', released: 0n, refunded: terms.amount });
  });

  test('released and refunded in parts', async () => {
    const { id, terms } = await deposit();
    const released = terms.amount / 5n;
    await buyer.mined(
      await buyer.client.writeContract({ ...escrow, functionName: 'releasePart', args: [terms, released] }),
    );
    await seller.mined(await seller.client.writeContract({ ...escrow, functionName: 'refundPart', args: [terms, 3n] }));
    await untilDeal(sql, id, { status: 'funded', released, refunded: 3n });
    expect((await readEvents(sql, id)).map(({ name }) => name)).toEqual(['Deposited', 'Released', 'Refunded']);
  });

  test('a dispute names who opened it and what is claimed, until it is withdrawn', async () => {
    const { id, terms } = await deposit();
    const evidence = keccak256(toHex('photo of an empty box'));
    const open = { ...escrow, functionName: 'openDispute', args: [terms, evidence] } as const;
    await seller.mined(await seller.client.writeContract(open));
    await untilDeal(sql, id, { status: 'disputed', disputedBy: 'payee' });
    await seller.call('withdrawDispute', terms);
    await untilDeal(sql, id, { status: 'funded', disputedBy: null });
    await buyer.mined(await buyer.client.writeContract(open));
    await untilDeal(sql, id, { status: 'disputed', disputedBy: 'payer' });
    const [, opened] = await readEvents(sql, id);
    expect(opened).toMatchObject({ name: 'DisputeOpened', evidence, status: 'disputed' });
  });
});

describe('chain.closed_deal', () => {
  test('an offer closed before any deposit is there, and no deal', async () => {
    const offer = offerOf(stack, { payee: seller.address });
    const id = await buyer.client.readContract({ ...escrow, functionName: 'dealId', args: [offer] });
    const { blockNumber: block, transactionHash: transaction } = await seller.call('cancelDeal', offer);
    const closed = () => sql`select * from chain.closed_deal where id = ${id}`;
    await expect.poll(closed, { timeout: 15_000 }).toMatchObject([{ block, transaction, chainId: 31337n }]);
    expect(await readDeal(sql, id)).toBeUndefined();
    expect(await readEvents(sql, id)).toMatchObject([{ name: 'DealCancelled', status: 'cancelled', released: 0n }]);
  });
});

describe('chain.deal_event', () => {
  test('one row an event, in order, with the state it left behind and who sent the transaction', async () => {
    const { id, terms, receipt } = await deposit();
    const release = await buyer.call('release', terms);
    await untilDeal(sql, id, { status: 'settled' });
    const sender = buyer.address.toLowerCase();
    const common = { sender, diamond: stack.diamond.toLowerCase(), refunded: 0n, evidence: null };
    const [blockHash, blockNumber, transactionHash] = [receipt.blockHash, receipt.blockNumber, receipt.transactionHash];
    expect(await readEvents(sql, id)).toMatchObject([
      { ...common, name: 'Deposited', status: 'funded', released: 0n, blockHash, blockNumber, transactionHash },
      { ...common, name: 'Released', status: 'settled', released: terms.amount, blockHash: release.blockHash },
    ]);
  });
});

describe('chain.skipped_deal', () => {
  test('an entry of a batch that was left as it is, with the reason', async () => {
    const { id, terms } = await deposit();
    const never = { ...terms, ref: terms.ref ^ 1n };
    const batch = { ...escrow, functionName: 'releaseMany', args: [[terms, never]] } as const;
    await buyer.mined(await buyer.client.writeContract(batch));
    await untilDeal(sql, id, { status: 'settled' });
    const skipped = await buyer.client.readContract({ ...escrow, functionName: 'dealId', args: [never] });
    const reason = toFunctionSelector('WrongStatus(uint8,uint8)');
    expect(await sql`select * from chain.skipped_deal where deal_id = ${skipped}`).toMatchObject([{ reason }]);
  });
});

describe('chain.credit_event', () => {
  test('a fee that its recipient was paid', async () => {
    const feeRecipient = strangerAddress();
    const { terms } = await deposit({ feeRecipient });
    await buyer.call('release', terms);
    const pay = { ...escrow, functionName: 'withdraw', args: [terms.token, feeRecipient] } as const;
    await buyer.mined(await buyer.client.writeContract(pay));
    const paid = () => sql`select * from chain.credit_event where account = ${feeRecipient.toLowerCase()}`;
    await expect.poll(paid, { timeout: 15_000 }).toMatchObject([{ name: 'Withdrawn', amount: terms.fee }]);
  });
});
