import type { Address } from 'viem';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import { chainOf, openWallet, strangerAddress } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, parseTerms, testMarketplace } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

/** A funded payment of 10.000001 to one payee or to three, with a fee of 1.37 % for a recipient of its own. */
async function fund(shares: number[] = []) {
  const feeRecipient = strangerAddress();
  const payees = (shares.length > 0 ? shares : [10.000001]).map(() => strangerAddress());
  const legs = shares.map((paid_price, index) => ({ payment_address: payees[index], paid_price }));
  const { payment, widget } = await market.payable({
    price: 10.000001,
    paid_price: 10.000001,
    payment_address: payees[0],
    ...(legs.length > 0 && { legs }),
    deal: { fee_bps: 137, fee_recipient: feeRecipient },
  });
  const buyer = await openWallet(inject('stack'));
  const [handed] = widget.contract.arguments;
  for (const terms of [handed].flat()) await buyer.deposit(parseTerms(terms));
  await market.untilStatus(payment.id, 'funded');
  const holders: Address[] = [buyer.address, ...payees];
  const read = async () => ({
    held: await Promise.all(holders.map((holder) => market.tokenBalance(holder))),
    credit: await chainOf(inject('stack')).readContract({
      address: market.diamond,
      abi: escrowAbi,
      functionName: 'creditOf',
      args: [market.tokens.USDC, feeRecipient],
    }),
  });
  return { path: `/payments/${payment.id}`, holders, feeRecipient, read };
}

type Funded = Awaited<ReturnType<typeof fund>>;

const sum = (parts: Json[]): bigint =>
  parts.reduce((total: bigint, { amount_units }: Json) => total + BigInt(amount_units), 0n);

/** A payment without its confirmations, which grow with everybody's blocks. */
const still = (payment: Json) =>
  JSON.parse(JSON.stringify(payment, (name, value) => (name === 'confirmations' ? undefined : value)));

/** What a dry run writes would show here. */
const written = async (path: string) => [
  still((await market.get(path)).json),
  (await market.get(`${path}/logs`)).json.total,
  (await market.get(`${path}/operations`)).json.total,
];

/** Asks what an action would do, does it, and holds the chain against the answer. */
async function holdAgainstChain({ path, holders, feeRecipient, read }: Funded, verb: string, body: Json = {}) {
  const untouched = await written(path);
  const { status, json: preview } = await market.post(`${path}/${verb}?dry_run=true`, body);
  expect([status, preview.dry_run], JSON.stringify(preview)).toEqual([200, true]);
  expect(await written(path)).toEqual(untouched);
  const before = await read();

  const { json } = await market.post(`${path}/${verb}`, body);
  expect(json.operations.map(({ leg, verb: called }: Json) => [leg, called])).toEqual(
    preview.operations.map(({ leg, verb: called }: Json) => [leg, called]),
  );
  const legs = async () => (await market.get(path)).json.legs;
  for (const { leg, leg_status, movements, fees } of preview.operations) {
    const [{ released_units, refunded_units }, was] = [(await legs())[leg], untouched[0].legs[leg]];
    const moved = BigInt(was.released_units) + BigInt(was.refunded_units) + sum(movements) + sum(fees);
    expect(BigInt(released_units) + BigInt(refunded_units)).toBeLessThanOrEqual(moved);
    await expect
      .poll(async () => BigInt((await legs())[leg].released_units) + BigInt((await legs())[leg].refunded_units), {
        timeout: 20_000,
      })
      .toBe(moved);
    expect((await legs())[leg].status).toBe(leg_status.after);
  }
  expect((await market.get(path)).json.status).toBe(preview.payment_status.after);

  const after = await read();
  const all = preview.operations.flatMap(({ movements }: Json) => movements);
  for (const [index, holder] of holders.entries()) {
    const gained = sum(all.filter(({ to }: Json) => to === holder.toLowerCase()));
    expect(after.held[index], `${verb}: ${holder}`).toBe((before.held[index] ?? 0n) + gained);
  }
  expect(all.every(({ from }: Json) => from === market.diamond.toLowerCase())).toBe(true);
  const fees = preview.operations.flatMap((operation: Json) => operation.fees);
  expect(after.credit).toBe(before.credit + sum(fees));
  expect(fees.every(({ recipient }: Json) => recipient === feeRecipient.toLowerCase())).toBe(true);
  for (const operation of preview.operations) {
    // A leg that was released before is answered with that operation, and moves nothing again.
    if (operation.operation_id !== null) continue;
    expect(Number(operation.gas_estimate)).toBeGreaterThan(21_000);
    expect(operation).toMatchObject({ refusal: null, operation_id: null, call: { function: operation.verb } });
  }
  return preview;
}

describe('?dry_run=true says to the unit what then happens on chain', () => {
  test('slices, a refund in between, and the rest; the fee is never shaved', async () => {
    const funded = await fund();
    const part = await holdAgainstChain(funded, 'release', { amount: 3.333333 });
    expect(part.operations[0]).toMatchObject({
      verb: 'releasePart',
      leg_status: { before: 'funded', after: 'partially_released' },
      call: { arguments: { amount: '3333333', terms: { amount: '10000001' } } },
    });
    await holdAgainstChain(funded, 'release', { amount: 0.000001 });
    await holdAgainstChain(funded, 'refund', { amount: 1.000003 });
    await holdAgainstChain(funded, 'release', { amount: 0.000073 });
    const rest = await holdAgainstChain(funded, 'release');
    expect(rest.payment_status.after).toBe('partially_refunded');
    const { credit } = await funded.read();
    // ⌊137,000 × 8,999,998 ÷ 10,000,001⌋: the fee of the whole is ⌊1.37 %⌋ of 10,000,001.
    expect(credit).toBe((137_000n * 8_999_998n) / 10_000_001n);
  });

  test('a cancellation and a full refund of what is left', async () => {
    await holdAgainstChain(await fund(), 'cancel');
    const partly = await fund();
    await holdAgainstChain(partly, 'release', { amount: 9.999999 });
    await holdAgainstChain(partly, 'refund');
  });

  test('legs: one alone, then all that is left', async () => {
    const funded = await fund([5.000001, 3, 2]);
    const one = await holdAgainstChain(funded, 'release', { leg: 1 });
    expect(one.payment_status).toEqual({ before: 'funded', after: 'partially_released' });
    await holdAgainstChain(funded, 'refund', { leg: 0, amount: 0.000001 });
    const rest = await holdAgainstChain(funded, 'release');
    expect(rest.operations.map(({ operation_id }: Json) => operation_id !== null)).toEqual([false, true, false]);
    expect(rest.operations[1].movements).toEqual([]);
  });
});

describe('?dry_run=true', () => {
  test('of an unfunded cancellation: nothing moves; closed by us alone before call data was handed out, else on chain', async () => {
    const payment = await market.createPayment();
    await market.untilStatus(payment.id, 'awaiting_deposit');
    const path = `/payments/${payment.id}/cancel?dry_run=true`;
    const here = (await market.post(path)).json;
    expect(here).toMatchObject({
      payment_status: { before: 'awaiting_deposit', after: 'cancelled' },
      operations: [{ movements: [], fees: [], gas_estimate: null, refusal: null, call: null, deal_hash: null }],
    });
    await market.get(`/widget/payments/${payment.id}`, payment.access_token);
    const [onChain] = (await market.post(path)).json.operations;
    expect(onChain).toMatchObject({
      movements: [],
      leg_status: { after: 'cancelled' },
      call: { function: 'cancelDeal' },
    });
    expect(Number(onChain.gas_estimate)).toBeGreaterThan(21_000);
    expect((await market.get(`/payments/${payment.id}`)).json.status).toBe('awaiting_deposit');
  });

  test('names the operation that was asked for already, and a refusal of the chain in words', async () => {
    const funded = await fund();
    const { json } = await market.post(`${funded.path}/release`);
    await market.untilStatus(json.operation.payment_id, 'released');
    const [again] = (await market.post(`${funded.path}/release?dry_run=true`)).json.operations;
    expect(again).toMatchObject({ operation_id: json.operation.id, movements: [], gas_estimate: null });
  });

  test('refuses what the action refuses; 400 for neither true nor false', async () => {
    const { path } = await fund();
    for (const verb of ['cancel', 'release', 'refund', 'withdraw-dispute', 'return']) {
      const { status, json } = await market.post(`${path}/${verb}?dry_run=maybe`);
      expect([status, json.errors?.[0]?.pointer]).toEqual([400, '/dry_run']);
    }
    const over = await market.post(`${path}/release?dry_run=true`, { amount: 11 });
    expect(over.json.errors).toEqual([
      { pointer: '/amount', message: 'is more than the 10000001 base units that are held' },
    ]);
    expect((await market.post(`${path}/release?dry_run=true`, { leg: 4 })).status).toBe(404);
    const child = await market.openChildIntegration();
    expect((await market.post(`${path}/release?dry_run=true`, {}, child.token)).status).toBe(403);
    await market.post(`${path}/release`);
    const late = await market.post(`${path}/cancel?dry_run=true`);
    expect([late.status, late.json.code]).toEqual([409, 'illegal_transition']);
  });
});

/** How many transactions were signed for a payment's operations. */
async function transactionsOf(paymentId: string): Promise<number> {
  const rows = await market.sql<{ hash: string }[]>`
    select distinct transaction_hash as hash from operation
    where payment_id = ${paymentId} and transaction_hash is not null`;
  return rows.length;
}

test('twenty racing cancellations of a funded payment are one operation and one transaction', async () => {
  const { path, read } = await fund();
  const before = await read();
  const answers = await Promise.all(Array.from({ length: 20 }, () => market.post(`${path}/cancel`)));
  expect(new Set(answers.map(({ status, json }) => `${status} ${json.operation?.id}`)).size).toBe(1);
  const paymentId = answers[0]?.json.operation.payment_id;
  await market.untilStatus(paymentId, 'refunded');
  expect((await market.get(`${path}/operations`)).json.total).toBe(1);
  expect(await transactionsOf(paymentId)).toBe(1);
  expect((await read()).held[0]).toBe((before.held[0] ?? 0n) + 10_000_001n);
});

describe('the quota of unfunded cancellations', () => {
  const cancel = async (shop: Marketplace, handedOut: boolean) => {
    const payment = handedOut ? (await shop.payable()).payment : await shop.createPayment();
    return await shop.app.request(`/api/v1/payments/${payment.id}/cancel`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${shop.token}` },
    });
  };

  test('429 with Retry-After once it is used up; what sends nothing does not count, nor does what is funded', async () => {
    const shop = await testMarketplace();
    const set = await shop.call('PATCH', `/nodes/${shop.nodeId}`, { body: { unfunded_cancels_per_day: 2 } });
    expect([set.status, set.json.unfunded_cancels_per_day]).toEqual([200, 2]);
    expect((await cancel(shop, false)).status).toBe(202);
    expect((await cancel(shop, true)).status).toBe(202);
    expect((await cancel(shop, true)).status).toBe(202);
    const refused = await cancel(shop, true);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(86_300);
    expect(Number(refused.headers.get('Retry-After'))).toBeLessThanOrEqual(86_400);
    expect(await refused.json()).toMatchObject({ code: 'rate_limited', retryable: true });
    expect((await cancel(shop, false)).status).toBe(202);

    // A day later there is room again.
    await shop.sql`update operation set created_at = created_at - interval '1 day' where node_id = ${shop.nodeId}`;
    expect((await cancel(shop, true)).status).toBe(202);
  });

  test('holds for a node below as well, racing ones included, and is for operators to set', async () => {
    const shop = await testMarketplace();
    await shop.call('PATCH', `/nodes/${shop.nodeId}`, { body: { unfunded_cancels_per_day: 1 } });
    const child = await shop.openChildIntegration();
    const own = await shop.call('PATCH', `/nodes/${child.nodeId}`, {
      token: child.token,
      body: { unfunded_cancels_per_day: 50 },
    });
    expect(own.status).toBe(403);
    const payments = await Promise.all([0, 1, 2].map(() => shop.payable({ node_id: child.nodeId })));
    const answers = await Promise.all(payments.map(({ payment }) => shop.post(`/payments/${payment.id}/cancel`)));
    expect(answers.map(({ status }) => status).sort()).toEqual([202, 429, 429]);
  });
});

describe('unmatched deals', () => {
  test('one that bears no number of ours is listed for operators, previewed and refunded; nobody else sees it', async () => {
    const shop = await testMarketplace();
    const { widget } = await shop.payable();
    const buyer = await openWallet(inject('stack'));
    const before = await buyer.balance();
    const terms = parseTerms(widget.contract.arguments[0]);
    const { id } = await buyer.deposit({ ...terms, ref: ((2n ** 63n) << 192n) | BigInt(buyer.address) });
    const find = async () => {
      const { json } = await shop.get('/unmatched-deals?per_page=100');
      return json.items.find(({ deal_hash, network_id }: Json) => deal_hash === id && network_id === shop.networkId);
    };
    await expect
      .poll(find, { timeout: 20_000 })
      .toMatchObject({ kind: 'unmatched', payment_id: null, status: 'funded' });
    const path = `/unmatched-deals/${shop.networkId}/${id}/refund`;
    const child = await shop.openChildIntegration();
    expect((await shop.get('/unmatched-deals', child.token)).status).toBe(403);
    expect((await shop.post(path, undefined, child.token)).status).toBe(403);
    expect((await shop.post(`${path}?dry_run=maybe`)).status).toBe(400);

    const preview = (await shop.post(`${path}?dry_run=true`)).json;
    expect(preview).toMatchObject({
      payment_status: null,
      operations: [
        {
          leg_status: { before: 'funded', after: 'settled' },
          movements: [{ from: shop.diamond.toLowerCase(), to: buyer.address.toLowerCase(), amount_units: '25500000' }],
          call: { function: 'cancelDeal' },
        },
      ],
    });
    const { status, json } = await shop.post(path);
    expect(status).toBe(202);
    await expect.poll(() => buyer.balance(), { timeout: 20_000 }).toBe(before);
    const read = async () => (await shop.get(`/operations/${json.operation_id}`)).json;
    await expect.poll(read, { timeout: 20_000 }).toMatchObject({ status: 'done', payment_id: null });
    expect((await shop.post(path)).json.operation_id).toBe(json.operation_id);
  });
});
