import { zeroAddress } from 'viem';
import { beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { dealId, type Terms } from '../../contracts/terms.ts';
import { type Door, openDoor } from '../support/door.ts';
import { chainOf, mineBlocks, openWallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf, testMarketplace } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

/** What happened, oldest first; without `confirming`, through which a deposit may pass unseen at one confirmation. */
async function events(shop: Marketplace, paymentId: string): Promise<string[]> {
  const { json } = await shop.get(`/payments/${paymentId}/logs?per_page=100`);
  const types: string[] = json.items.map((item: Json) => item.event_type).reverse();
  return types.filter((type) => type !== 'payment.confirming');
}

/** A funded payment and its buyer. */
async function fund(shop: Marketplace, fields: Record<string, unknown> = {}) {
  const { payment, widget } = await shop.payable(fields);
  const buyer = await openWallet(inject('stack'));
  const before = await buyer.balance();
  await buyer.deposit(termsOf(widget));
  const funded = await shop.untilStatus(payment.id, 'funded');
  return { payment: funded, widget, buyer, before };
}

/** The ledger's balances that a payment moved; payee and fee recipient are the shop's, whom others have paid too. */
async function balances(shop: Marketplace, { payment, buyer }: { payment: string; buyer: string }) {
  const balance = async (type: string, owner: string) => {
    const { json } = await shop.get(`/accounts?node_id=${shop.nodeId}&type=${type}&owner=${owner}`);
    return json.items[0]?.balance_units;
  };
  return {
    payer: await balance('payer', buyer),
    escrow: await balance('escrow', payment),
    payee: await balance('payee', shop.payee),
    fee: await balance('fee', inject('stack').feeRecipient),
  };
}

describe('a payment on chain', () => {
  test('deposit → funded → release → the payee has exactly the amount less the fee', async () => {
    const { payment, widget, buyer } = await fund(market, { paid_price: 10.000001 });
    const terms = { ...termsOf(widget), payer: buyer.address };
    expect(payment.deal).toMatchObject({
      hash: dealId(terms, 31337, market.diamond),
      offer_hash: widget.offer_hash,
      payer: buyer.address.toLowerCase(),
    });
    expect(payment.transaction_hash).toMatch(/^0x[0-9a-f]{64}$/);
    const { status, json } = await market.post(`/payments/${payment.id}/release`);
    expect([status, json.status, json.operation.verb]).toEqual([202, 'accepted', 'release']);
    const released = await market.untilStatus(payment.id, 'released');
    expect(released.deal).toMatchObject({ released_units: '10000001', refunded_units: '0' });
    expect(await market.tokenBalance(market.payee)).toBe(10_000_001n - 100_000n);
    expect(await balances(market, { payment: payment.id, buyer: buyer.address })).toEqual({
      payer: '-10000001',
      escrow: '0',
      payee: '9900001',
      fee: '100000',
    });
    const again = await market.post(`/payments/${payment.id}/release`);
    expect([again.status, again.json.operation.id]).toEqual([202, json.operation.id]);
    // Before the chain has spoken an operation proves nothing; then it names the event that the leg rests on too.
    expect(json.operation.proof).toBeNull();
    const proof = async () => (await market.get(`/operations/${json.operation.id}`)).json.proof;
    const { confirmations: _, ...rest } = released.deal.proof;
    await expect.poll(proof, { timeout: 20_000 }).toMatchObject(rest);
    expect(await events(market, payment.id)).toEqual([
      'payment.created',
      'payment.awaiting_deposit',
      'payment.funded',
      'operation.release.requested',
      'operation.release.done',
      'payment.released',
    ]);
    const { json: cancel } = await market.post(`/payments/${payment.id}/cancel`);
    expect(cancel.code).toBe('illegal_transition');
  });

  test('deposit → funded → cancel → the payer has everything back', async () => {
    const { payment, buyer, before } = await fund(market);
    expect(await buyer.balance()).toBe(before - 25_500_000n);
    const [first, second] = await Promise.all([
      market.post(`/payments/${payment.id}/cancel`),
      market.post(`/payments/${payment.id}/cancel`),
    ]);
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.json.operation.id).toBe(first.json.operation.id);
    const refunded = await market.untilStatus(payment.id, 'refunded');
    expect(refunded.deal.refunded_units).toBe('25500000');
    expect(await buyer.balance()).toBe(before);
    const third = await market.post(`/payments/${payment.id}/cancel`);
    expect([third.status, third.json.operation]).toMatchObject([202, { id: first.json.operation.id, status: 'done' }]);
  });

  test('cancelled before any call data was handed out: nothing is sent, and none is handed out afterwards', async () => {
    const payment = await market.createPayment();
    await market.untilStatus(payment.id, 'awaiting_deposit');
    const { json } = await market.post(`/payments/${payment.id}/cancel`);
    expect(json.operation.status).toBe('done');
    const { json: widget } = await market.get(`/widget/payments/${payment.id}`, payment.access_token);
    expect(widget).toMatchObject({ status: 'cancelled', contract: null });
  });

  test('cancelled before the deposit: call data is withdrawn, and a forced deposit reverts with nothing moved', async () => {
    const { payment, widget } = await market.payable();
    const buyer = await openWallet(inject('stack'));
    const before = await buyer.balance();
    await market.post(`/payments/${payment.id}/cancel`);
    const withdrawn = await market.get(`/widget/payments/${payment.id}`, payment.access_token);
    expect(withdrawn.json.contract).toBeNull();
    await market.untilStatus(payment.id, 'cancelled');
    await expect(buyer.deposit(termsOf(widget))).rejects.toThrow(`OfferClosed(bytes32 offer)`);
    expect(await buyer.balance()).toBe(before);
  });

  test('the buyer releases without the platform', async () => {
    const { payment, widget, buyer } = await fund(market);
    const terms = { ...termsOf(widget), payer: buyer.address };
    await buyer.call('release', terms);
    await market.untilStatus(payment.id, 'released');
  });

  test('a second deposit by the same buyer reverts', async () => {
    const { widget, buyer, before } = await fund(market);
    await expect(buyer.deposit(termsOf(widget))).rejects.toThrow('WrongStatus(uint8 actual, uint8 expected)');
    expect(await buyer.balance()).toBe(before - 25_500_000n);
  });

  test("a second buyer's deposit is a duplicate: it moves nothing and goes back by itself", async () => {
    const { payment, widget } = await fund(market);
    const second = await openWallet(inject('stack'));
    const before = await second.balance();
    await second.deposit(termsOf(widget));
    await expect.poll(() => second.balance(), { timeout: 20_000 }).toBe(before);
    const now = (await market.get(`/payments/${payment.id}`)).json;
    expect(now).toMatchObject({ status: 'funded', deal: { payer: payment.deal.payer } });
    expect(await events(market, payment.id)).toContain('deal.duplicate');
    const { json } = await market.get(`/unmatched-deals?node_id=${market.nodeId}`);
    const stray = json.items.find((item: Json) => item.payment_id === payment.id);
    expect(stray).toMatchObject({ kind: 'duplicate', payer: second.address.toLowerCase() });
    // Everything that the chain did is proven: the deal as it stands, the event that told of it, and the refund.
    const proof = { chain_id: 31_337, diamond: market.diamond.toLowerCase(), deal: stray.deal_hash };
    const refundProof = async () => {
      const { items } = (await market.get(`/payments/${payment.id}/operations`)).json;
      return items.find((item: Json) => item.deal_hash === stray.deal_hash)?.proof;
    };
    await expect.poll(refundProof, { timeout: 20_000 }).toMatchObject(proof);
    await expect
      .poll(async () => (await market.get(`/unmatched-deals?node_id=${market.nodeId}`)).json.items[0]?.proof, {
        timeout: 20_000,
      })
      .toMatchObject({ ...proof, transaction: (await refundProof()).transaction });
    const told = (await market.get(`/events?payment_id=${payment.id}&type=deal.duplicate`)).json.items;
    expect(told.map(({ data }: Json) => data.proof)).toMatchObject([proof]);
    const receipt = await chainOf(inject('stack')).getTransactionReceipt({ hash: told[0].data.proof.transaction });
    expect(receipt.blockNumber).toBe(BigInt(told[0].data.proof.block));
    expect(receipt.logs.find((log) => log.logIndex === told[0].data.proof.log_index)?.topics[1]).toBe(stray.deal_hash);
  });

  test('confirming until the network’s confirmations are there; no release before', async () => {
    // More than the tests beside this one mine meanwhile.
    const shop = await testMarketplace({ confirmations: 40 });
    const { payment, widget } = await shop.payable();
    const buyer = await openWallet(inject('stack'));
    await buyer.deposit(termsOf(widget));
    await shop.untilStatus(payment.id, 'confirming');
    const refused = await shop.post(`/payments/${payment.id}/release`);
    expect([refused.status, refused.json.code]).toEqual([409, 'illegal_transition']);
    await mineBlocks(inject('stack'), 39);
    await shop.untilStatus(payment.id, 'funded');
  });
});

describe('a deposit with other terms', () => {
  const changes: [string, (terms: Terms, shop: Marketplace) => Partial<Terms>][] = [
    ['salt', ({ ref }) => ({ ref: ref + 1n })],
    ['number', ({ ref }) => ({ ref: ref + (1n << 250n) })],
    ['operator', (_terms, shop) => ({ operator: shop.stranger })],
    ['payee', (_terms, shop) => ({ payee: shop.stranger })],
    ['token', (_terms, shop) => ({ token: shop.tokens.USDT })],
    ['amount', ({ amount }) => ({ amount: amount - 1n })],
    ['fee', ({ fee }) => ({ fee: fee - 1n })],
    ['feeRecipient', (_terms, shop) => ({ feeRecipient: shop.stranger })],
    ['arbiter', (_terms, shop) => ({ arbiter: shop.stranger })],
    ['depositDeadline', ({ depositDeadline }) => ({ depositDeadline: depositDeadline + 1n })],
    ['settlementDeadline', ({ settlementDeadline }) => ({ settlementDeadline: settlementDeadline + 1n })],
    ['resolutionDeadline', ({ resolutionDeadline }) => ({ resolutionDeadline: resolutionDeadline + 1n })],
    ['defaultOutcome', () => ({ defaultOutcome: 1 })],
  ];

  test.each(changes)('%s: unmatched, the payment unmoved, and the true deposit still counts', async (field, change) => {
    const shop = await testMarketplace();
    const { payment, widget } = await shop.payable();
    const terms = termsOf(widget);
    const buyer = await openWallet(shop.stack);
    const altered = { ...terms, ...change(terms, shop) };
    await buyer.deposit(altered);
    const id = dealId({ ...altered, payer: buyer.address }, 31337, shop.diamond);
    // Under a number that no payment has, a deal belongs to no node either.
    const of = field === 'number' ? { nodeId: null, paymentId: null } : { nodeId: shop.nodeId, paymentId: payment.id };
    await expect
      .poll(
        async () => await shop.sql`select * from stray_deal where network_id = ${shop.networkId} and deal_id = ${id}`,
        { timeout: 20_000 },
      )
      .toMatchObject([{ kind: 'unmatched', ...of }]);
    expect((await shop.get(`/payments/${payment.id}`)).json).toMatchObject({
      status: 'awaiting_deposit',
      transaction_hash: null,
    });
    await (await openWallet(inject('stack'))).deposit(terms);
    await shop.untilStatus(payment.id, 'funded');
  });

  test('payer fixed to the depositor: the same deal, funded', async () => {
    const { payment, widget } = await market.payable();
    const buyer = await openWallet(inject('stack'));
    const terms = termsOf(widget);
    expect(terms.payer).toBe(zeroAddress);
    await buyer.deposit({ ...terms, payer: buyer.address });
    await market.untilStatus(payment.id, 'funded');
  });

  test('an unmatched deal that names our operator can be sent back', async () => {
    const shop = await testMarketplace();
    const { widget } = await shop.payable();
    const terms = termsOf(widget);
    const buyer = await openWallet(inject('stack'));
    const before = await buyer.balance();
    await buyer.deposit({ ...terms, amount: terms.amount + 5n });
    const unmatched = async () => (await shop.get(`/unmatched-deals?node_id=${shop.nodeId}`)).json.items;
    await expect.poll(unmatched, { timeout: 20_000 }).toHaveLength(1);
    const [deal] = await unmatched();
    const path = `/unmatched-deals/${shop.networkId}/${deal.deal_hash}/refund`;
    const first = await shop.post(path);
    expect(first.status).toBe(202);
    expect((await shop.post(path)).json.operation_id).toBe(first.json.operation_id);
    await expect.poll(() => buyer.balance(), { timeout: 20_000 }).toBe(before);
  });
});

async function rpcDoor(): Promise<Door> {
  const door = await openDoor(inject('stack').rpcUrl);
  onTestFinished(() => door.close());
  return door;
}

describe('POST /api/v1/payments/{id}/retry-send', () => {
  test('a payment created while the RPC is down stays pending, and is paid after it returns and retry-send', async () => {
    const door = await rpcDoor();
    const shop = await testMarketplace({ rpcUrl: door.url });
    door.open = false;
    const payment = await shop.createPayment();
    await expect.poll(() => events(shop, payment.id), { timeout: 20_000 }).toContain('payment.send_failed');
    expect((await shop.get(`/payments/${payment.id}`)).json.status).toBe('pending');
    door.open = true;
    const retried = await shop.post(`/payments/${payment.id}/retry-send`);
    expect(retried.status).toBe(200);
    expect(retried.json).toMatchObject({ id: payment.id, status: 'pending', retry_count: 1 });
    await shop.untilStatus(payment.id, 'awaiting_deposit');
    const { json: widget } = await shop.get(`/widget/payments/${payment.id}`, payment.access_token);
    await (await openWallet(inject('stack'))).deposit(termsOf(widget));
    await shop.untilStatus(payment.id, 'funded');
  });

  test('with retry, it is tried again by itself', async () => {
    const door = await rpcDoor();
    const shop = await testMarketplace({ rpcUrl: door.url });
    door.open = false;
    const payment = await shop.createPayment({ retry: true, retry_count: 3 });
    await expect.poll(() => events(shop, payment.id), { timeout: 20_000 }).toContain('payment.send_failed');
    door.open = true;
    await shop.untilStatus(payment.id, 'awaiting_deposit');
  });

  test('400: not pending', async () => {
    const { payment } = await market.payable();
    const { status, json } = await market.post(`/payments/${payment.id}/retry-send`);
    expect([status, json.code]).toEqual([400, 'not_retryable']);
  });
});
