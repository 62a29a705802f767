// A split that one side signs in its browser and the other one sees, and what a payee's token opens.
import { type Hex, zeroHash } from 'viem';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import { dealId, type Terms } from '../../contracts/terms.ts';
import { escrowDomain, settlementTypes } from '../../contracts/typed-data.ts';
import { openWallet, type Wallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, parseTerms, termsOf } from './marketplace.ts';

const stack = inject('stack');
let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
  return () => market.close();
});

const soon = () => BigInt(Math.floor(Date.now() / 1_000) + 86_400);

/** A funded payment of 10, its parties' wallets, and both tokens. */
async function fund() {
  const [buyer, seller] = await Promise.all([0, 1].map(() => openWallet(stack)));
  if (!buyer || !seller) throw new Error('No wallets.');
  const { payment, widget } = await market.payable({ price: 10, paid_price: 10, payment_address: seller.address });
  const { terms } = await buyer.deposit(termsOf(widget));
  await market.untilStatus(payment.id, 'funded');
  const { json } = await market.get(`/payments/${payment.id}/payee-token`);
  const path = `/widget/payments/${payment.id}`;
  const propose = (body: unknown, token: string = payment.access_token) =>
    market.post(`${path}/split-proposals`, body, token);
  return { payment, terms, buyer, seller, path, propose, payeeToken: json.access_token as string };
}

/** What a party sends: the split, signed over these numbers. */
async function signed(
  wallet: Wallet,
  terms: Terms,
  fields: { by: 'payer' | 'payee'; toPayee?: bigint; until?: bigint },
) {
  const { by, toPayee = 6_000_000n, until = soon() } = fields;
  const signature = await wallet.account.signTypedData({
    domain: escrowDomain(stack.chainId, stack.diamond),
    types: settlementTypes,
    primaryType: 'Settlement',
    message: {
      ...{ deal: dealId(terms, stack.chainId, stack.diamond), released: 0n, refunded: 0n },
      ...{ toPayee, toPayer: terms.amount - toPayee, deadline: until },
    },
  });
  return {
    ...{ signed_by: by, to_payee_units: `${toPayee}`, released_units: '0', refunded_units: '0' },
    ...{ deadline: new Date(Number(until) * 1_000).toISOString(), signature },
  };
}

const shown = async ({ payment }: { payment: Json }) =>
  (await market.get(`/payments/${payment.id}`)).json.deal.split_proposals;

describe('POST /api/v1/widget/payments/{id}/split-proposals', () => {
  test('is seen by the other side, which carries it out by its own wallet; then it holds no more', async () => {
    const deal = await fund();
    const { payment, terms, buyer, seller, path, propose, payeeToken } = deal;
    const body = await signed(buyer, terms, { by: 'payer' });
    const { status, json } = await propose(body);
    expect(status, JSON.stringify(json)).toBe(201);
    expect(json).toMatchObject({ ...body, to_payer_units: '4000000' });
    expect((await propose(body)).json).toEqual(json);
    const { json: sellers } = await market.get(path, payeeToken);
    expect(sellers.legs[0].split_proposals).toEqual([json]);
    expect(await shown(deal)).toEqual([json]);
    expect((await market.get(`/payments/${payment.id}`)).json.status).toBe('funded');
    const { to_payee_units, deadline, signature } = sellers.legs[0].split_proposals[0];
    const args = [terms, BigInt(to_payee_units), BigInt(Date.parse(deadline) / 1_000), signature as Hex, '0x'] as const;
    await seller.mined(
      await seller.client.writeContract({ address: stack.diamond, abi: escrowAbi, functionName: 'settle', args }),
    );
    await market.untilStatus(payment.id, 'partially_refunded');
    expect(await shown(deal)).toEqual([]);
    const { items } = (await market.get(`/payments/${payment.id}/logs?per_page=50`)).json;
    const told = items.filter(({ event_type }: Json) => event_type === 'payment.split_proposed');
    expect(told).toMatchObject([{ actor_type: 'payer', message: expect.stringContaining('6000000 to the seller') }]);
  });

  test('a newer one takes the place of the same side’s; each side has its own', async () => {
    const deal = await fund();
    const { terms, buyer, seller, propose, payeeToken } = deal;
    await propose(await signed(buyer, terms, { by: 'payer', toPayee: 1n }));
    await propose(await signed(buyer, terms, { by: 'payer', toPayee: 2n }));
    await propose(await signed(seller, terms, { by: 'payee', toPayee: 9_000_000n }), payeeToken);
    expect((await shown(deal)).map(({ signed_by, to_payee_units }: Json) => [signed_by, to_payee_units])).toEqual([
      ['payer', '2'],
      ['payee', '9000000'],
    ]);
  });

  test('400: a signature of somebody else or over other numbers, and every wrong field', async () => {
    const deal = await fund();
    const { terms, buyer, seller, propose } = deal;
    const good = await signed(buyer, terms, { by: 'payer' });
    const pointers = async (body: unknown) => {
      const { status, json } = await propose(body);
      return [status, ...(json.errors ?? []).map(({ pointer }: Json) => pointer)];
    };
    expect(await pointers(await signed(seller, terms, { by: 'payer' }))).toEqual([400, '/signature']);
    expect(await pointers({ ...good, to_payee_units: '6000001' })).toEqual([400, '/signature']);
    expect(await pointers({ ...good, deadline: new Date(Number(soon() + 9n) * 1_000).toISOString() })).toEqual([
      400,
      '/signature',
    ]);
    expect(await pointers({ ...good, signature: `${zeroHash}${zeroHash.slice(2)}1b` })).toEqual([400, '/signature']);
    expect(await pointers({ ...good, signature: '0x12', signed_by: 'arbiter', deadline: '1e9' })).toEqual([
      400,
      ...['/signed_by', '/deadline', '/signature'],
    ]);
    expect(await pointers({ ...good, to_payee_units: '10000001', deadline: '2001-01-01T00:00:00Z' })).toEqual([
      400,
      ...['/to_payee_units', '/deadline'],
    ]);
    const late = BigInt(Math.floor(Date.now() / 1_000)) + 91n * 86_400n;
    expect(await pointers(await signed(buyer, terms, { by: 'payer', until: late }))).toEqual([400, '/deadline']);
    expect(await pointers({})).toHaveLength(7);
    expect(await shown(deal)).toEqual([]);
  });

  test('409: the deal has moved since, or holds nothing', async () => {
    const { payment, terms, buyer, propose } = await fund();
    const body = await signed(buyer, terms, { by: 'payer' });
    expect((await propose({ ...body, released_units: '1' })).status).toBe(409);
    await market.ask(payment.id, 'release');
    await market.untilStatus(payment.id, 'released');
    expect((await propose(body)).status).toBe(409);
  });

  test('429 after twenty of one side', async () => {
    const { terms, buyer, propose } = await fund();
    for (let count = 1n; count <= 20n; count += 1n) {
      expect((await propose(await signed(buyer, terms, { by: 'payer', toPayee: count }))).status).toBe(201);
    }
    expect((await propose(await signed(buyer, terms, { by: 'payer', toPayee: 21n }))).status).toBe(429);
  });
});

describe('GET /api/v1/payments/{id}/payee-token', () => {
  test('opens one leg and nothing of the others’', async () => {
    const sellers = await Promise.all([0, 1].map(() => openWallet(stack)));
    const legs = sellers.map((seller, index) => ({ payment_address: seller?.address, paid_price: 4 + 2 * index }));
    const { payment, widget } = await market.payable({ price: 10, paid_price: 10, legs });
    const buyer = await openWallet(stack);
    const path = `/payments/${payment.id}/payee-token`;
    expect((await market.get(path)).json.errors[0].pointer).toBe('/leg');
    expect((await market.get(`${path}?leg=2`)).status).toBe(404);
    const { json } = await market.get(`${path}?leg=1`);
    expect(json).toMatchObject({ payment_id: payment.id, leg: 1 });
    expect((await market.get(`${path}?leg=1`)).json).toEqual(json);
    const seen = async () => (await market.get(`/widget/payments/${payment.id}`, json.access_token)).json;
    expect(await seen()).toMatchObject({ price: 6, price_units: '6000000', contract: null, relays: false });
    const [first, second] = widget.contract.arguments[0].map(parseTerms);
    await buyer.deposit(second);
    await expect.poll(async () => (await seen()).status, { timeout: 20_000 }).toBe('funded');
    const whole = await seen();
    expect(whole.legs).toHaveLength(1);
    expect(JSON.stringify(whole)).not.toContain(sellers[0]?.address.toLowerCase());
    const { terms } = { terms: { ...second, payer: buyer.address } };
    const propose = (body: unknown) =>
      market.post(`/widget/payments/${payment.id}/split-proposals`, body, json.access_token);
    const [one, two] = sellers;
    if (!one || !two) throw new Error('No wallets.');
    expect((await propose(await signed(two, terms, { by: 'payee', toPayee: 5n }))).status).toBe(201);
    expect((await propose({ ...(await signed(two, terms, { by: 'payee', toPayee: 5n })), leg: 0 })).status).toBe(403);
    expect((await propose(await signed(buyer, terms, { by: 'payer', toPayee: 5n }))).status).toBe(403);
    await buyer.deposit(first);
  });

  test('403 for everything that is the buyer’s, 401 once the payment’s token was rotated, 404 for a stranger', async () => {
    const { payment, path, payeeToken } = await fund();
    const answers = await Promise.all([
      market.post(`${path}/refund-requests`, {}, payeeToken),
      market.post(`${path}/refund-requests/${crypto.randomUUID()}/withdraw`, undefined, payeeToken),
      market.post(`${path}/handoffs`, {}, payeeToken),
      market.post(`${path}/transaction`, { transaction_hash: zeroHash }, payeeToken),
      market.post(`${path}/attempts`, { after: 1 }, payeeToken),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 403));
    const child = await market.openChildIntegration();
    expect((await market.get(`/payments/${payment.id}/payee-token`, child.token)).status).toBe(404);
    const narrow = await market.tokensOf.issueIntegrationToken(market.integrationId, ['payments:read']);
    expect((await market.get(`/payments/${payment.id}/payee-token`, narrow)).status).toBe(403);
    await market.post(`/payments/${payment.id}/access-token/rotate`);
    expect((await market.get(path, payeeToken)).status).toBe(401);
  });

  test('hands nothing out: a cancellation of what only its payee has seen sends nothing', async () => {
    const payment = await market.createPayment();
    await market.untilStatus(payment.id, 'awaiting_deposit');
    const { json } = await market.get(`/payments/${payment.id}/payee-token`);
    expect((await market.get(`/widget/payments/${payment.id}`, json.access_token)).json.contract).toBeNull();
    await market.post(`/payments/${payment.id}/cancel`);
    expect((await market.get(`/payments/${payment.id}`)).json.status).toBe('cancelled');
  });
});
