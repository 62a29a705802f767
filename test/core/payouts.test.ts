import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Chain } from '../../api/core/chain/chain.ts';
import { paymentCreator } from '../../api/core/payments/creation.ts';
import {
  readFeeCredits,
  readFeeLines,
  readHeld,
  readHeldLines,
  readReservedLines,
} from '../../api/core/payouts/balances.ts';
import { stepPayouts } from '../../api/core/payouts/execution.ts';
import { grossFor, netOf } from '../../api/core/payouts/payable.ts';
import { createPayout, deletePayout, findPayouts, type PayoutItem } from '../../api/core/payouts/payouts.ts';
import { createParty } from '../../api/core/people/parties.ts';
import { createNode, createWallet } from '../../api/core/platform/platform.ts';
import { Providers } from '../../api/core/rails/provider.ts';
import { rebuildNetwork } from '../../api/core/reconciliation/rebuild.ts';
import { Vault } from '../../api/core/vault.ts';
import { escrowAbi } from '../../contracts/abi.ts';
import { feeAt } from '../../contracts/terms.ts';
import { type Json, type Marketplace, openMarketplace } from '../api/marketplace.ts';
import { payCart } from '../support/cart.ts';
import { openWallet, strangerAddress, type Wallet } from '../support/wallet.ts';

const WAIT_MS = 25_000;
const actor = { type: 'system' } as const;

let market: Marketplace;
let buyer: Wallet;
beforeAll(async () => {
  market = await openMarketplace();
  buyer = await openWallet(market.stack);
});
afterAll(() => market.close());

/** A merchant with a node, a fee recipient and two sellers of its own. */
async function openMerchant({ feeRecipient = strangerAddress() } = {}) {
  const { sql, networkId, stack } = market;
  const vault = new Vault(stack.secret);
  const parentId = market.nodeId;
  const node = await createNode(sql, { name: crypto.randomUUID(), parentId, policy: { feeRecipient, feeBps: 333 } });
  const address = strangerAddress();
  await createWallet(sql, { nodeId: node.id, networkId, address, label: 'own' });
  const seller = async () => {
    const { id } = await createParty(sql, vault, { nodeId: node.id, kind: 'firm', data: {} });
    return { partyId: id, address: strangerAddress() };
  };
  const create = paymentCreator(sql, vault, new Providers());
  const currencyId = market.currencies.USDC;

  /** A payment to these, each so many dollars and cents; answers its id and its legs'. */
  async function createSale(legs: { to: { partyId?: string; address: `0x${string}` }; amount: string }[]) {
    const total = legs.reduce((sum, { amount }) => sum + Math.round(Number(amount) * 1e6), 0) / 1e6;
    const created = await create({
      integration: { id: market.integrationId, nodeId: market.nodeId, mode: 'test', scopes: null, allowedIps: [] },
      request: {
        ...{ externalId: crypto.randomUUID(), nodeId: node.id, networkId, currencyId },
        ...{ price: String(total), paidPrice: String(total), paymentMethod: 'web3', paymentGroup: 'product' },
        ...{
          paymentAddress: address,
          expiresAt: new Date(Date.now() + 3_600_000),
          retry: true,
          retryCount: 3,
          deal: {},
        },
        legs: legs.map(({ to, amount }) => ({
          ...{ externalId: null, paymentAddress: to.address, partyId: to.partyId, paidPrice: amount },
        })),
      },
    });
    if (!('record' in created)) throw new Error('The payment was not created.');
    const { payment, deals } = created.record;
    return { paymentId: payment.id, legIds: deals.map(({ id }) => id) };
  }

  /** The same, and the buyer has paid it. */
  async function sell(...legs: Parameters<typeof createSale>[0]) {
    const sale = await createSale(legs);
    const { json: payment } = await market.get(`/payments/${sale.paymentId}`);
    await market.untilStatus(sale.paymentId, 'awaiting_deposit');
    const widget = (await market.get(`/widget/payments/${sale.paymentId}`, payment.access_token)).json;
    await payCart(market.stack, widget);
    await market.untilStatus(sale.paymentId, 'funded');
    return sale;
  }

  const held = async (holder: Parameters<typeof readHeld>[1]['holder'], asOf?: Date) => {
    const rows = await readHeld(sql, { nodeId: node.id, holder, asOf });
    return rows.find((row) => row.currencyId === currencyId);
  };
  const fees = async () => {
    const credits = await readFeeCredits(sql, { nodeId: node.id });
    return credits.reduce((sum, { balanceUnits }) => sum + balanceUnits, 0n);
  };
  const pay = async (partyId: string | null, items: Partial<PayoutItem>[], executeAt = new Date()) =>
    await createPayout(
      sql,
      {
        ...{ nodeId: node.id, partyId, currencyId, label: 'May', executeAt },
        items: items.map((item) => ({ pointer: '/amount', netUnits: 0n, legIds: null, ...item })),
      },
      actor,
    );
  const find = async (id: string) => (await findPayouts(sql, { nodeId: node.id, ids: [id] }))[0];
  const untilDecided = async (id: string) => {
    await expect.poll(async () => (await find(id))?.status, { timeout: WAIT_MS }).not.toBe('pending');
    return (await find(id))!;
  };
  const credit = async () =>
    await buyer.client.readContract({
      ...{ address: stack.diamond, abi: escrowAbi, functionName: 'creditOf', args: [stack.tokens.USDC, feeRecipient] },
    });
  const lines = { nodeId: node.id, currencyId, limit: 1_000 };
  return {
    ...{
      nodeId: node.id,
      address,
      feeRecipient,
      seller,
      createSale,
      sell,
      held,
      fees,
      pay,
      find,
      untilDecided,
      credit,
      lines,
    },
  };
}

const sum = (lines: { amountUnits: bigint }[]) => lines.reduce((total, { amountUnits }) => total + amountUnits, 0n);
const kinds = (lines: { kind: string; amountUnits: bigint }[]) => lines.map((line) => [line.kind, line.amountUnits]);

describe('how much to release', () => {
  test('for any terms, anything released before and any amount that can arrive, there is a part that makes it arrive to the unit', () => {
    const money = fc
      .bigInt(1n, 10n ** 12n)
      .chain((amountUnits) =>
        fc.record({
          amountUnits: fc.constant(amountUnits),
          feeUnits: fc.bigInt(0n, amountUnits),
          before: fc.bigInt(0n, amountUnits),
        }),
      )
      .chain(({ before, ...terms }) =>
        fc
          .record({ releasedUnits: fc.constant(before), refundedUnits: fc.bigInt(0n, terms.amountUnits - before) })
          .map((moved) => ({ ...terms, ...moved })),
      );
    fc.assert(
      fc.property(money, fc.double({ min: 0, max: 1, noNaN: true }), (deal, share) => {
        const held = deal.amountUnits - deal.releasedUnits - deal.refundedUnits;
        const most = netOf(deal, held);
        const wanted = (most * BigInt(Math.floor(share * 1_000))) / 1_000n;
        const gross = grossFor(deal, wanted);
        const terms = { fee: deal.feeUnits, amount: deal.amountUnits };
        const arrives = gross - (feeAt(terms, deal.releasedUnits + gross) - feeAt(terms, deal.releasedUnits));
        expect(gross).toBeLessThanOrEqual(held);
        expect(arrives).toBe(wanted);
      }),
    );
  });
});

describe('balances', () => {
  test('what is held for each is its share less the fee; the lines sum to it, and all of it to what the escrow has', async () => {
    const merchant = await openMerchant();
    const [one, other] = [await merchant.seller(), await merchant.seller()];
    await merchant.createSale([{ to: one, amount: '1.5' }]);
    const own = { address: merchant.address };
    await merchant.sell({ to: one, amount: '50.01' }, { to: other, amount: '30' }, { to: own, amount: '20' });
    // 3.33 % of 100.01, in proportion to the amounts, to the unit.
    const fees = [1_665_333n, 999_000n, 666_000n];
    expect(await merchant.held({ partyId: one.partyId })).toEqual({
      currencyId: market.currencies.USDC,
      netUnits: 50_010_000n - fees[0]!,
      reservedUnits: fees[0],
      awaitedNetUnits: 1_500_000n - 49_950n,
      awaitedFeeUnits: 49_950n,
    });
    expect(await merchant.held('own')).toMatchObject({ netUnits: 20_000_000n - fees[2]! });
    const others = (await merchant.held('others'))!;
    expect(others).toMatchObject({ netUnits: 80_010_000n - fees[0]! - fees[1]!, reservedUnits: fees[0]! + fees[1]! });
    const lines = await readHeldLines(market.sql, { partyId: other.partyId }, merchant.lines);
    expect(kinds(lines)).toEqual([
      ['payment', 30_000_000n],
      ['fee', -fees[1]!],
    ]);
    expect(sum(await readHeldLines(market.sql, 'others', merchant.lines))).toBe(others.netUnits);
    expect(sum(await readReservedLines(market.sql, 'others', merchant.lines))).toBe(others.reservedUnits);
    expect(new Set((await readHeldLines(market.sql, 'others', merchant.lines)).map(({ number }) => number)).size).toBe(
      4,
    );
    // Before the deposit took effect there was nothing.
    expect(await merchant.held('others', new Date(lines[0]!.effectiveAt.getTime() - 1_000))).toMatchObject({
      netUnits: 0n,
    });
  });

  test('a refund gives the fee on it back, a payout earns it', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    const { paymentId } = await merchant.sell({ to: seller, amount: '30' });
    await market.post(`/payments/${paymentId}/refund`, { amount: 10, leg: 0 });
    await expect.poll(async () => (await merchant.held('others'))?.netUnits, { timeout: WAIT_MS }).toBe(19_334_000n);
    const { id } = await merchant.pay(seller.partyId, [{ netUnits: 19_334_000n }]);
    await merchant.untilDecided(id);
    expect(await market.tokenBalance(seller.address)).toBe(19_334_000n);
    expect(kinds(await readHeldLines(market.sql, 'others', merchant.lines))).toEqual([
      ['payout', -19_334_000n],
      ['fee', 333_000n],
      ['refund', -10_000_000n],
      ['payment', 30_000_000n],
      ['fee', -999_000n],
    ]);
    expect(await merchant.held('others')).toBeUndefined();
    expect(kinds(await readFeeLines(market.sql, merchant.lines))).toEqual([['earned', 666_000n]]);
  });
});

describe('a payout', () => {
  test('takes the oldest legs first and arrives to the unit; the rest stays', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    const first = await merchant.sell({ to: seller, amount: '10' });
    const second = await merchant.sell({ to: seller, amount: '10.000001' });
    const { id, leftUnits } = await merchant.pay(seller.partyId, [{ netUnits: 12_345_679n }]);
    expect(leftUnits).toEqual([2n * 9_667_000n + 1n - 12_345_679n]);
    const payout = await merchant.untilDecided(id);
    expect(payout).toMatchObject({ status: 'executed', amountUnits: 12_345_679n });
    expect(payout.parts.map(({ legId, paidUnits }) => [legId, paidUnits])).toEqual([
      [first.legIds[0], 9_667_000n],
      [second.legIds[0], 12_345_679n - 9_667_000n],
    ]);
    expect(await market.tokenBalance(seller.address)).toBe(12_345_679n);
    const rest = await merchant.pay(seller.partyId, [{ netUnits: leftUnits[0]! }]);
    await merchant.untilDecided(rest.id);
    expect(await market.tokenBalance(seller.address)).toBe(2n * 9_667_000n + 1n);
    expect(await merchant.fees()).toBe(666_000n);
  });

  test('two of one leg in a row are paid one after the other, each to the unit', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    await merchant.sell({ to: seller, amount: '10' });
    const payouts = await Promise.all(
      [1_000_001n, 2_000_003n].map((netUnits) => merchant.pay(seller.partyId, [{ netUnits }])),
    );
    for (const { id } of payouts) expect((await merchant.untilDecided(id)).status).toBe('executed');
    expect(await market.tokenBalance(seller.address)).toBe(3_000_004n);
  });

  test('that several workers begin at once is begun once', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    const { paymentId } = await merchant.sell({ to: seller, amount: '10' });
    const { id } = await merchant.pay(seller.partyId, [{ netUnits: 5_000_000n }]);
    const failures: unknown[] = [];
    const step = () => stepPayouts(market.sql, new Date(), (_payout, error) => failures.push(error));
    await Promise.all([step(), step(), step()]);
    expect((await merchant.untilDecided(id)).status).toBe('executed');
    expect(failures).toEqual([]);
    const { json } = await market.get(`/payments/${paymentId}/operations`);
    expect(json.items.map(({ verb }: Json) => verb)).toEqual(['releasePart']);
    expect(await market.tokenBalance(seller.address)).toBe(5_000_000n);
  });

  test('never more than there is: of five at once for the whole balance one is promised', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    await merchant.sell({ to: seller, amount: '10' });
    const tries = Array.from({ length: 5 }, () => merchant.pay(seller.partyId, [{ netUnits: 9_667_000n }]));
    const results = await Promise.allSettled(tries);
    const refusals = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refusals).toHaveLength(4);
    expect(refusals[0]).toMatchObject({
      code: 'conflict',
      message: 'Only 0 USDC can be paid out now, and 9.667 USDC were asked for.',
      faults: [{ pointer: '/amount', message: 'is 9.667 USDC, but only 0 USDC can be paid out now' }],
    });
    const [count] = await market.sql`select count(*)::int as payouts from payout where node_id = ${merchant.nodeId}`;
    expect(count).toEqual({ payouts: 1 });
  });

  test('of named legs takes nothing of others', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    const { legIds } = await merchant.sell({ to: seller, amount: '10' });
    await merchant.sell({ to: seller, amount: '10' });
    await expect(merchant.pay(seller.partyId, [{ netUnits: 9_667_001n, legIds }])).rejects.toMatchObject({
      code: 'conflict',
    });
    const { id } = await merchant.pay(seller.partyId, [{ netUnits: 9_667_000n, legIds }]);
    const { parts } = await merchant.untilDecided(id);
    expect(parts.map(({ legId, state }) => [legId, state])).toEqual([[legIds[0], 'executed']]);
  });

  test('can be taken back until its time has come, and then no more', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    await merchant.sell({ to: seller, amount: '10' });
    const later = await merchant.pay(seller.partyId, [{ netUnits: 9_667_000n }], new Date(Date.now() + 3_600_000));
    await expect(merchant.pay(seller.partyId, [{ netUnits: 1n }])).rejects.toMatchObject({ code: 'conflict' });
    await deletePayout(market.sql, { nodeId: merchant.nodeId, payoutId: later.id });
    expect(await merchant.find(later.id)).toBeUndefined();
    await expect(deletePayout(market.sql, { nodeId: merchant.nodeId, payoutId: later.id })).rejects.toMatchObject({
      code: 'not_found',
    });
    const now = await merchant.pay(seller.partyId, [{ netUnits: 9_667_000n }]);
    await merchant.untilDecided(now.id);
    await expect(deletePayout(market.sql, { nodeId: merchant.nodeId, payoutId: now.id })).rejects.toMatchObject({
      code: 'illegal_transition',
    });
  });

  test('is rejected with the reason when the buyer has his money back before its time', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    const { paymentId } = await merchant.sell({ to: seller, amount: '10' });
    const { id } = await merchant.pay(seller.partyId, [{ netUnits: 1n }], new Date(Date.now() + 3_600_000));
    await market.ask(paymentId, 'cancel');
    await market.untilStatus(paymentId, 'refunded');
    await market.sql`update payout set execute_at = now() where id = ${id}`;
    const { status, parts } = await merchant.untilDecided(id);
    expect([status, parts[0]?.failure]).toEqual(['rejected', 'A payment that is refunded cannot be released.']);
  });

  test("of the node's own takes its legs first, then its fees, whose credit the escrow pays out whole", async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    const { paymentId } = await merchant.sell(
      { to: seller, amount: '10' },
      { to: { address: merchant.address }, amount: '5' },
    );
    await market.post(`/payments/${paymentId}/release`, { leg: 0 });
    await expect.poll(() => merchant.fees(), { timeout: WAIT_MS }).toBe(333_000n);
    await expect(merchant.pay(null, [{ netUnits: 4_833_500n + 333_001n }])).rejects.toMatchObject({ code: 'conflict' });
    const { id } = await merchant.pay(null, [{ netUnits: 4_833_500n + 1n }]);
    const { status, parts } = await merchant.untilDecided(id);
    expect(status).toBe('executed');
    expect(parts.map(({ recipient, paidUnits }) => [recipient, paidUnits])).toEqual([
      [null, 4_833_500n],
      // The fee on the node's own leg was earned while that was released.
      [merchant.feeRecipient.toLowerCase(), expect.any(BigInt)],
    ]);
    expect(await market.tokenBalance(merchant.address)).toBe(4_833_500n);
    await expect
      .poll(async () => [await merchant.fees(), await merchant.credit()].join(), { timeout: WAIT_MS })
      .toMatch(/^(0,0|166500,166500)$/);
    expect((await market.tokenBalance(merchant.feeRecipient)) + (await merchant.fees())).toBe(499_500n);
  });
});

describe('fees', () => {
  test('of two payouts at once one is promised, since the escrow pays them out whole; taken back, they are there again', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    const { paymentId } = await merchant.sell({ to: seller, amount: '10' });
    await market.post(`/payments/${paymentId}/release`);
    await expect.poll(() => merchant.fees(), { timeout: WAIT_MS }).toBe(333_000n);
    const later = new Date(Date.now() + 3_600_000);
    const tries = await Promise.allSettled([1n, 2n, 3n].map((netUnits) => merchant.pay(null, [{ netUnits }], later)));
    const promised = tries.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value.id] : []));
    expect(promised).toHaveLength(1);
    await deletePayout(market.sql, { nodeId: merchant.nodeId, payoutId: promised[0]! });
    const { id } = await merchant.pay(null, [{ netUnits: 333_000n }]);
    await expect(merchant.pay(null, [{ netUnits: 1n }])).rejects.toMatchObject({ code: 'conflict' });
    const [part] = (await merchant.untilDecided(id)).parts;
    expect(part?.paidUnits).toBe(333_000n);
    const { json: operation } = await market.get(`/operations/${part?.operationId}`);
    expect(operation).toMatchObject({ verb: 'withdraw', status: 'done', payment_id: null, leg: null, deal_hash: null });
    expect(await market.tokenBalance(merchant.feeRecipient)).toBe(333_000n);
  });

  test('that a stranger withdraws first are paid out all the same', async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    const { paymentId } = await merchant.sell({ to: seller, amount: '10' });
    await market.post(`/payments/${paymentId}/release`);
    await expect.poll(() => merchant.fees(), { timeout: WAIT_MS }).toBe(333_000n);
    const { id } = await merchant.pay(null, [{ netUnits: 333_000n }], new Date(Date.now() + 3_600_000));
    const args = [market.tokens.USDC, merchant.feeRecipient] as const;
    const call = { abi: escrowAbi, address: market.diamond, functionName: 'withdraw', args } as const;
    await buyer.mined(await buyer.client.writeContract(call));
    await expect.poll(() => merchant.fees(), { timeout: WAIT_MS }).toBe(0n);
    await market.sql`update payout set execute_at = now() where id = ${id}`;
    const { status, parts } = await merchant.untilDecided(id);
    expect([status, parts[0]?.paidUnits ?? parts[0]?.failure]).toEqual(['executed', 333_000n]);
  });
});

describe('a withdrawal by anybody', () => {
  test('of fees of two nodes under one recipient is entered for each with its own part', async () => {
    const one = await openMerchant();
    const two = await openMerchant({ feeRecipient: one.feeRecipient });
    const never = await openMerchant({ feeRecipient: one.feeRecipient });
    const seller = await one.seller();
    for (const [merchant, amount] of [
      [one, '10'],
      [two, '20'],
    ] as const) {
      const { paymentId } = await merchant.sell({ to: merchant === one ? seller : await two.seller(), amount });
      await market.post(`/payments/${paymentId}/release`);
      await expect.poll(() => merchant.fees(), { timeout: WAIT_MS }).toBe(merchant === one ? 333_000n : 666_000n);
    }
    const args = [market.tokens.USDC, one.feeRecipient] as const;
    const call = { abi: escrowAbi, address: market.diamond, functionName: 'withdraw', args } as const;
    await buyer.mined(await buyer.client.writeContract(call));
    for (const merchant of [one, two]) await expect.poll(() => merchant.fees(), { timeout: WAIT_MS }).toBe(0n);
    expect(kinds(await readFeeLines(market.sql, one.lines))[0]).toEqual(['withdrawal', -333_000n]);
    expect(kinds(await readFeeLines(market.sql, two.lines))[0]).toEqual(['withdrawal', -666_000n]);
    expect(await readFeeLines(market.sql, never.lines)).toEqual([]);
    expect(await market.tokenBalance(one.feeRecipient)).toBe(999_000n);
  });

  test("is entered for what was the node's; the ledger equals the chain, and a rebuild derives the same", async () => {
    const merchant = await openMerchant();
    const seller = await merchant.seller();
    const { paymentId } = await merchant.sell({ to: seller, amount: '10' });
    const withdraw = { abi: escrowAbi, address: market.diamond, functionName: 'withdraw' } as const;
    const args = [market.tokens.USDC, merchant.feeRecipient] as const;
    await market.post(`/payments/${paymentId}/release`, { leg: 0, amount: 4 });
    await expect.poll(() => merchant.fees(), { timeout: WAIT_MS }).toBe(133_200n);
    await buyer.mined(await buyer.client.writeContract({ ...withdraw, args }));
    await expect.poll(() => merchant.fees(), { timeout: WAIT_MS }).toBe(0n);
    await market.post(`/payments/${paymentId}/release`);
    await expect.poll(() => merchant.fees(), { timeout: WAIT_MS }).toBe(199_800n);
    expect(await merchant.credit()).toBe(199_800n);
    expect(kinds(await readFeeLines(market.sql, merchant.lines))).toEqual([
      ['earned', 199_800n],
      ['withdrawal', -133_200n],
      ['earned', 133_200n],
    ]);
    const [network] = await market.sql<Parameters<typeof rebuildNetwork>[2][]>`
      select n.*, c.eip155_id from network n join chain c on c.id = n.chain_id where n.id = ${market.networkId}`;
    const { misstated } = await rebuildNetwork(market.sql, new Chain(), network!);
    expect(misstated.filter(({ nodeId }) => nodeId === merchant.nodeId)).toEqual([]);
  });
});
