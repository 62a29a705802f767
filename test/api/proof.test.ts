import { type Address, createPublicClient, http } from 'viem';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { type ClaimedLeg, type ClaimedPayment, verify } from '../../contracts/verify.ts';
import { mineBlocks, openWallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from './marketplace.ts';

const stack = inject('stack');
const client = createPublicClient({ transport: http(stack.rpcUrl) });

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

async function funded(fields: Record<string, unknown> = {}): Promise<Json> {
  const { payment, widget } = await market.payable(fields);
  await (await openWallet(stack)).deposit(termsOf(widget));
  return await market.untilStatus(payment.id, 'funded');
}

async function read(id: string): Promise<ClaimedPayment & Json> {
  return (await market.get(`/payments/${id}`)).json;
}

/** The fields that are not as the API claims. */
async function lies(payment: ClaimedPayment, diamond?: Address): Promise<string[]> {
  const findings = await verify(payment, client, diamond ? { diamond } : {});
  return findings.filter(({ agrees }) => !agrees).map(({ field }) => field);
}

describe('The proof of a state', () => {
  test('is null while nothing is on chain, and the event with its confirmations afterwards', async () => {
    const { payment } = await market.payable();
    expect((await read(payment.id)).deal.proof).toBeNull();
    const { deal, transaction_hash } = await funded();
    expect(deal.proof).toMatchObject({
      chain_id: 31_337,
      transaction: transaction_hash,
      diamond: stack.diamond.toLowerCase(),
      deal: deal.hash,
    });
    expect(deal.proof.confirmations).toBeGreaterThan(0);
  });

  test('is in the log row of each change that the chain made', async () => {
    const payment = await funded();
    const { items } = (await market.get(`/payments/${payment.id}/logs`)).json;
    const row = items.find((entry: Json) => entry.event_type === 'payment.funded');
    expect(row.proof).toMatchObject({
      deal: payment.deal.hash,
      transaction: payment.transaction_hash,
      chain_id: 31_337,
    });
    expect(items.find((entry: Json) => entry.event_type === 'payment.created').proof).toBeNull();
  });
});

describe('verify', () => {
  test('finds nothing wrong with a payment that is funded, partly released, released, refunded or never paid', async () => {
    const unpaid = await market.payable();
    expect(await lies(await read(unpaid.payment.id))).toEqual([]);
    expect(await lies(await read(unpaid.payment.id), stack.diamond)).toEqual([]);
    const payment = await funded();
    expect(await lies(payment)).toEqual([]);
    expect(await lies(payment, stack.diamond)).toEqual([]);
    await market.post(`/payments/${payment.id}/release`, { amount: 10 });
    await market.untilStatus(payment.id, 'partially_released');
    expect(await lies(await read(payment.id))).toEqual([]);
    await market.post(`/payments/${payment.id}/refund`);
    await market.untilStatus(payment.id, 'partially_refunded');
    expect(await lies(await read(payment.id))).toEqual([]);
  });

  test('names each field that is not as on chain', async () => {
    const payment = await funded();
    const other = await funded();
    const [leg] = payment.legs;
    const changed = (fields: Record<string, unknown>, of: Record<string, unknown> = {}) => {
      const deal = { ...leg, ...fields };
      return { ...payment, deal, legs: [deal], ...of };
    };
    const proof = (fields: Record<string, unknown>) => changed({ proof: { ...leg.proof, ...fields } });
    expect(await lies(changed({ status: 'released' }, { status: 'released' }))).toEqual(['status']);
    expect(await lies({ ...payment, status: 'released' })).toEqual(['status']);
    expect(await lies({ ...payment, deal: { ...leg, status: 'released' } })).toEqual(['deal']);
    expect(await lies({ ...payment, transaction_hash: other.transaction_hash })).toEqual(['transaction_hash']);
    expect(await lies(changed({ released_units: '1' }))).toEqual(['released_units']);
    expect(await lies(changed({ refunded_units: '1' }))).toEqual(['refunded_units']);
    expect(await lies(changed({ deal_id: 7 }))).toEqual(['deal_id']);
    expect(await lies(changed({ payee: market.stranger }))).toEqual(['offer_hash', 'hash']);
    expect(await lies(changed({ payer: market.stranger }))).toEqual(['hash']);
    expect(await lies(changed({ amount_units: '1' }))).toEqual(['paid_price_units', 'offer_hash', 'hash']);
    expect(await lies({ ...payment, paid_price: 2_550 })).toEqual(['paid_price']);
    expect(await lies(proof({ chain_id: 1 }))).toEqual(['proof.chain_id']);
    expect(await lies(proof({ block: leg.proof.block - 1 }))).toEqual(['proof.block']);
    expect(await lies(proof({ confirmations: 1_000_000 }))).toEqual(['proof.confirmations']);
    expect(await lies(proof({ transaction: `0x${'11'.repeat(32)}` }))).toEqual(['proof.block', 'proof.log_index']);
    expect(await lies(proof({ transaction: other.transaction_hash }))).toEqual(['proof.block', 'proof.log_index']);
    expect(await lies(payment, market.stranger)).toEqual(['proof.diamond']);
  });

  test('finds a claim to money that no proof goes with, a term that runs on, and a deposit behind an empty hand', async () => {
    const paid = await funded();
    const { payment } = await market.payable();
    const unpaid = await read(payment.id);
    const claim = (of: Json, fields: Record<string, unknown>) => {
      const deal = { ...of.deal, ...fields };
      return { ...of, ...(fields.status ? { status: fields.status } : {}), deal, legs: [deal] };
    };
    expect(await lies(claim(unpaid, { status: 'funded' }))).toEqual(['status']);
    expect(await lies(claim(unpaid, { status: 'released', released_units: '25500000' }))).toEqual([
      'status',
      'released_units',
    ]);
    expect(await lies(claim(unpaid, { status: 'expired' }))).toEqual(['deposit_deadline']);
    const wrongOffer = claim(unpaid, { amount_units: '1' });
    expect(await lies(wrongOffer, stack.diamond)).toEqual(['paid_price_units', 'offer_hash']);
    // Closed on chain by a cancellation, which the API keeps to itself.
    await market.post(`/payments/${payment.id}/cancel`);
    const cancelled = await market.untilStatus(payment.id, 'cancelled');
    expect(await lies(cancelled, stack.diamond)).toEqual([]);
    expect(await lies(claim(cancelled, { status: 'awaiting_deposit', proof: null }), stack.diamond)).toEqual(['proof']);
    expect(await lies(claim(paid, { status: 'awaiting_deposit', proof: null }))).toEqual(['transaction_hash']);
  });

  test('holds the status of a payment with several legs against theirs', async () => {
    const legs = [
      { payment_address: market.payee, paid_price: 10 },
      { payment_address: market.stranger, paid_price: 15.5 },
    ];
    const { payment } = await market.payable({ legs });
    const claimed = await read(payment.id);
    const withLegs = (status: string, ...statuses: string[]): ClaimedPayment => {
      const changed: ClaimedLeg[] = claimed.legs.map((leg: ClaimedLeg, index: number) => ({
        ...leg,
        status: statuses[index] ?? leg.status,
      }));
      return { ...claimed, status, deal: changed[0] ?? claimed.deal, legs: changed };
    };
    const agrees = async (payment: ClaimedPayment) =>
      (await verify(payment, client)).find(({ leg, field }) => leg === null && field === 'status')?.agrees;
    expect(await agrees(withLegs('confirming', 'funded', 'awaiting_deposit'))).toBe(true);
    expect(await agrees(withLegs('funded', 'funded', 'awaiting_deposit'))).toBe(false);
    expect(await agrees(withLegs('released', 'released', 'cancelled'))).toBe(true);
    expect(await agrees(withLegs('released', 'released', 'refunded'))).toBe(false);
  });

  test('finds a claim that another deal funds this payment', async () => {
    const payment = await funded();
    const other = await funded();
    const [leg] = payment.legs;
    const deal = { ...leg, hash: other.deal.hash, proof: other.deal.proof };
    const claimed = { ...payment, deal, legs: [deal] };
    expect(await lies(claimed)).toContain('hash');
  });
});

describe('GET /api/v1/reserves', () => {
  test('is kept for some seconds: asking again costs no RPC call and says the same', async () => {
    const ask = async () => {
      const response = await market.app.request('/api/v1/reserves');
      return { caching: response.headers.get('Cache-Control'), text: await response.text() };
    };
    const first = await ask();
    await mineBlocks(stack, 2);
    const [again, other] = await Promise.all([ask(), ask()]);
    expect(first.caching).toBe('public, max-age=10');
    expect([again.text, other.text]).toEqual([first.text, first.text]);
  });

  test('is open to everybody and says what the diamond has and owes as of one block', async () => {
    await funded();
    const { status, json } = await market.get('/reserves', null);
    expect(status).toBe(200);
    const item = json.items.find(
      (entry: Json) => entry.network === 'shared' && entry.token === stack.tokens.USDC.toLowerCase(),
    );
    expect(item).toMatchObject({ chain_id: 31_337, currency: 'USDC', covered: true });
    expect(BigInt(item.held_units)).toBeGreaterThan(0n);
    const balance = await client.readContract({
      address: stack.tokens.USDC,
      abi: [
        {
          type: 'function',
          name: 'balanceOf',
          stateMutability: 'view',
          inputs: [{ type: 'address' }],
          outputs: [{ type: 'uint256' }],
        },
      ],
      functionName: 'balanceOf',
      args: [stack.diamond],
      blockNumber: BigInt(item.block),
    });
    expect(item.balance_units).toBe(String(balance));
    expect(BigInt(item.balance_units)).toBeGreaterThanOrEqual(BigInt(item.held_units) + BigInt(item.credit_units));
    expect(JSON.stringify(json)).not.toContain(stack.rpcUrl);
  });
});
