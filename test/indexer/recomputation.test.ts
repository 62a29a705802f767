import type { Hex } from 'viem';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect, type Sql } from '../../api/core/database/db.ts';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { feeAt } from '../../contracts/terms.ts';
import { type DealState, recompute } from '../../scripts/faults/recomputation.ts';
import { indexedBlock } from '../support/mirror.ts';
import { type RunningStack, type Stack, startStack } from '../support/stack.ts';
import { chainOf, offerOf, openWallet } from '../support/wallet.ts';

let running: RunningStack;
let stack: Stack;
let sql: Sql;
beforeAll(async () => {
  running = await startStack({ serverUrl: inject('stack').databaseUrl });
  stack = running.stack;
  sql = connect(stack.databaseUrl, { maxConnections: 2 });
});
afterAll(async () => {
  await sql?.end();
  await running?.stop();
});

describe('the mirror', () => {
  test('is what the logs say, recomputed: deals, credits, totals; and the diamond owns exactly what it needs', async () => {
    const buyer = await openWallet(stack);
    const seller = await openWallet(stack);
    const arbiter = await openWallet(stack);
    const escrow = { address: stack.diamond, abi: escrowAbi } as const;
    const deposit = () => buyer.deposit(offerOf(stack, { payee: seller.address, arbiter: arbiter.address }));
    const write = async (wallet: typeof buyer, call: { functionName: string; args: readonly unknown[] }) =>
      await wallet.mined(await wallet.client.writeContract({ ...escrow, ...call } as never));

    await deposit();
    await buyer.call('release', (await deposit()).terms);
    await seller.call('cancelDeal', (await deposit()).terms);
    const sliced = (await deposit()).terms;
    await write(buyer, { functionName: 'releasePart', args: [sliced, 7_777_777n] });
    await write(seller, { functionName: 'refundPart', args: [sliced, 3_333_333n] });
    await write(buyer, { functionName: 'releasePart', args: [sliced, 1n] });
    const disputed = (await deposit()).terms;
    await write(buyer, { functionName: 'openDispute', args: [disputed, `0x${'11'.repeat(32)}`] });
    await write(arbiter, { functionName: 'resolve', args: [disputed, 9_999_999n] });
    const closed = offerOf(stack, { payee: seller.address });
    await seller.call('cancelDeal', closed);
    await write(buyer, { functionName: 'withdraw', args: [stack.tokens.USDC, stack.feeRecipient] });
    await buyer.call('release', (await deposit()).terms);

    const head = await chainOf(stack).getBlockNumber();
    await expect.poll(() => indexedBlock(sql), { timeout: 15_000 }).toBeGreaterThanOrEqual(head);
    const { diamond, startBlock } = stack;
    const place = { diamond, startBlock: BigInt(startBlock), block: head };
    const { deals, credits } = await recompute(chainOf(stack), place);

    const mirrored = await sql<{ id: Hex; released: bigint; refunded: bigint; status: string }[]>`
      select id, released, refunded, status from chain.deal order by id`;
    const expected = [...deals].map(([id, { released, refunded, status }]) => ({ id, released, refunded, status }));
    expect([...mirrored]).toEqual(expected.sort((a, b) => (a.id < b.id ? -1 : 1)));

    const rows = await sql<{ token: string; account: string; amount: bigint }[]>`select * from chain.credit`;
    expect(new Map(rows.map((row) => [`${row.token} ${row.account}`, row.amount]))).toEqual(credits);

    const [total] = await sql`select * from chain.token_total where token = ${stack.tokens.USDC.toLowerCase()}`;
    const sum = (pick: (deal: DealState) => bigint) => [...deals.values()].reduce((all, deal) => all + pick(deal), 0n);
    const held = sum(({ terms, released, refunded }) => terms.amount - released - refunded);
    const owed = [...credits.values()].reduce((all, amount) => all + amount, 0n);
    expect(total).toMatchObject({
      deals: deals.size,
      deposited: sum((deal) => deal.terms.amount),
      released: sum((deal) => deal.released),
      refunded: sum((deal) => deal.refunded),
      fees: sum(({ terms, released }) => feeAt(terms, released)),
      held,
      credits: owed,
    });
    const call = {
      address: stack.tokens.USDC,
      abi: usdcAbi,
      functionName: 'balanceOf',
      args: [stack.diamond],
    } as const;
    expect(await chainOf(stack).readContract(call)).toBe(held + owed);
  });
});
