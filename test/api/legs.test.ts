import { beforeAll, describe, expect, inject, test } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import { payCart } from '../support/cart.ts';
import { openWallet, strangerAddress } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, parseTerms } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

/** A payment of 10 USDC to three payees: 5, 3 and 2, with a fee of 1 % on the whole. */
function threeLegs() {
  const payees = [strangerAddress(), strangerAddress(), strangerAddress()];
  const legs = ['5', '3', '2'].map((share, index) => ({
    payment_address: payees[index],
    paid_price: Number(share),
    external_id: `seller-${index}`,
  }));
  return { payees, fields: { price: 10, paid_price: 10, legs } };
}

async function fundThreeLegs() {
  const { payees, fields } = threeLegs();
  const { payment, widget } = await market.payable(fields);
  const buyer = await payCart(market.stack, widget);
  const funded = await market.untilStatus(payment.id, 'funded');
  return { payees, payment: funded, widget, buyer, path: `/payments/${payment.id}` };
}

const legStatuses = (payment: Json) => payment.legs.map((leg: Json) => leg.status);

async function untilLegs(paymentId: string, statuses: string[]): Promise<Json> {
  const read = async () => (await market.get(`/payments/${paymentId}`)).json;
  await expect.poll(async () => legStatuses(await read()), { timeout: 20_000 }).toEqual(statuses);
  return await read();
}

describe('a payment with several legs', () => {
  test('is one deal a payee, the fee split to the unit, funded by one call', async () => {
    const { payment, widget, payees } = await fundThreeLegs();
    expect(widget.contract.function_name).toBe('depositMany');
    expect(widget.legs.map((leg: Json) => leg.payment_address)).toEqual(payees.map((payee) => payee.toLowerCase()));
    expect(payment.legs.map((leg: Json) => [leg.amount_units, leg.fee_units, leg.external_id])).toEqual([
      ['5000000', '50000', 'seller-0'],
      ['3000000', '30000', 'seller-1'],
      ['2000000', '20000', 'seller-2'],
    ]);
    expect(new Set(payment.legs.map((leg: Json) => leg.hash)).size).toBe(3);
  });

  test('releases, refunds in part and cancels leg by leg; the ledger follows', async () => {
    const { payment, buyer, payees, path } = await fundThreeLegs();
    const before = await buyer.balance();
    expect((await market.post(`${path}/release`, { leg: 0 })).status).toBe(202);
    await untilLegs(payment.id, ['released', 'funded', 'funded']);
    expect(await market.tokenBalance(payees[0]!)).toBe(4_950_000n);

    const part = await market.post(`${path}/refund`, { leg: 1, amount: 0.5 });
    expect(part.json.operation).toMatchObject({ verb: 'refundPart', amount_units: '500000' });
    await expect.poll(() => buyer.balance(), { timeout: 20_000 }).toBe(before + 500_000n);

    await market.post(`${path}/cancel`, { leg: 2 });
    await expect.poll(() => buyer.balance(), { timeout: 20_000 }).toBe(before + 2_500_000n);
    const now = await untilLegs(payment.id, ['released', 'funded', 'refunded']);
    expect(now.status).toBe('partially_released');

    await expect
      .poll(async () => (await market.get(path)).json.legs[1].refunded_units, { timeout: 20_000 })
      .toBe('500000');
    await market.post(`${path}/release`);
    await market.untilStatus(payment.id, 'partially_refunded');
    const { json } = await market.get(`/accounts?node_id=${market.nodeId}&type=escrow&owner=${payment.id}`);
    expect(json.items).toMatchObject([{ balance_units: '0' }]);
    const payer = await market.get(`/accounts?node_id=${market.nodeId}&type=payer&owner=${buyer.address}`);
    expect(payer.json.items).toMatchObject([{ balance_units: '-7500000' }]);
  });

  test('is cancelled as a whole: every leg is refunded', async () => {
    const { payment, buyer, path } = await fundThreeLegs();
    const before = await buyer.balance();
    const { json } = await market.post(`${path}/cancel`);
    expect(json.operations).toHaveLength(3);
    await market.untilStatus(payment.id, 'refunded');
    expect(await buyer.balance()).toBe(before + 10_000_000n);
  });

  test('a dispute freezes its leg and no other; the arbiter splits it', async () => {
    const { fields } = threeLegs();
    const arbiter = await openWallet(market.stack);
    const { payment, widget } = await market.payable({ ...fields, deal: { arbiter: arbiter.address } });
    const buyer = await payCart(market.stack, widget);
    await market.untilStatus(payment.id, 'funded');
    const terms = { ...parseTerms(widget.contract.arguments[0][1]), payer: buyer.address };
    const escrow = { address: market.diamond, abi: escrowAbi } as const;
    const dispute = { ...escrow, functionName: 'openDispute', args: [terms, `0x${'00'.repeat(32)}`] } as const;
    await buyer.mined(await buyer.client.writeContract(dispute));
    await market.untilStatus(payment.id, 'disputed');
    const path = `/payments/${payment.id}`;
    const refused = await market.post(`${path}/release`, { leg: 1 });
    expect([refused.status, refused.json.code]).toEqual([409, 'illegal_transition']);
    await market.post(`${path}/release`, { leg: 0 });
    await untilLegs(payment.id, ['released', 'disputed', 'funded']);
    const split = { ...escrow, functionName: 'resolve', args: [terms, 1_000_000n] } as const;
    await arbiter.mined(await arbiter.client.writeContract(split));
    const now = await untilLegs(payment.id, ['released', 'partially_refunded', 'funded']);
    expect(now.legs[1]).toMatchObject({ released_units: '1000000', refunded_units: '2000000' });
  });

  test('with one leg deposited alone it waits for the others', async () => {
    const { fields } = threeLegs();
    const { payment, widget } = await market.payable(fields);
    const [[first]] = widget.contract.arguments;
    await (await openWallet(market.stack)).deposit(parseTerms(first));
    await market.untilStatus(payment.id, 'confirming');
    const { json } = await market.get(`/widget/payments/${payment.id}`, payment.access_token);
    expect(json.contract.arguments[0]).toHaveLength(2);
    expect(legStatuses((await market.get(`/payments/${payment.id}`)).json)).toEqual([
      'funded',
      'awaiting_deposit',
      'awaiting_deposit',
    ]);
  });

  test('400: shares that do not sum to paid_price, a bad share, a bad payee; each named', async () => {
    const { fields } = threeLegs();
    const short = await market.post('/payments', market.paymentBody({ ...fields, paid_price: 11 }));
    expect(short.json.errors).toEqual([
      { pointer: '/legs', message: 'sum to 10000000 base units, but paid_price is 11000000' },
    ]);
    const [first, second, third] = fields.legs;
    const legs = [{ ...first, paid_price: 0 }, { ...second, payment_address: market.diamond }, third];
    const bad = await market.post('/payments', market.paymentBody({ ...fields, paid_price: 5, legs }));
    expect(bad.json.errors).toEqual([
      { pointer: '/legs/0/paid_price', message: 'must be greater than 0' },
      { pointer: '/legs/1/payment_address', message: 'must not be the diamond' },
    ]);
  });

  test('404: a leg that is not there', async () => {
    const { path } = await fundThreeLegs();
    expect((await market.post(`${path}/release`, { leg: 3 })).status).toBe(404);
  });
});

describe('POST /api/v1/payments/{id}/release with an amount', () => {
  test('releases a part; the fee taken is the same share, and the rest stays held', async () => {
    const { payment, widget } = await market.payable({ paid_price: 10 });
    await (await openWallet(inject('stack'))).deposit(parseTerms(widget.contract.arguments[0]));
    await market.untilStatus(payment.id, 'funded');
    const path = `/payments/${payment.id}`;
    const before = await market.tokenBalance(market.payee);
    expect((await market.post(`${path}/release`, { amount: 2.5 })).status).toBe(202);
    const partly = await market.untilStatus(payment.id, 'partially_released');
    expect(partly.deal).toMatchObject({ released_units: '2500000', refunded_units: '0' });
    expect(await market.tokenBalance(market.payee)).toBe(before + 2_475_000n);

    const refused = await market.post(`${path}/release`, { amount: 7.500001 });
    expect(refused.json.errors).toEqual([
      { pointer: '/amount', message: 'is more than the 7500000 base units that are held' },
    ]);
    for (const [amount, message] of [
      [0, 'must be greater than 0'],
      [0.0000001, 'has more than 6 decimals'],
      [-1, 'must not be negative'],
    ]) {
      const { status, json } = await market.post(`${path}/release`, { amount });
      expect([status, json.errors]).toEqual([400, [{ pointer: '/amount', message }]]);
    }
    await market.post(`${path}/refund`, { amount: 7.5 });
    await market.untilStatus(payment.id, 'partially_refunded');
  });

  test('400: an amount without a leg when there are several', async () => {
    const { path } = await fundThreeLegs();
    const { json } = await market.post(`${path}/release`, { amount: 1 });
    expect(json.errors).toEqual([{ pointer: '/leg', message: 'is required with an amount: the payment has several' }]);
  });

  test('409: not funded', async () => {
    const { payment } = await market.payable();
    for (const verb of ['release', 'refund']) {
      const { status, json } = await market.post(`/payments/${payment.id}/${verb}`, { amount: 1 });
      expect([status, json.code]).toEqual([409, 'illegal_transition']);
    }
  });
});

describe('fees', () => {
  test('within a minimum and a maximum', async () => {
    const fee = async (deal: Record<string, number>) =>
      (await market.post('/payments', market.paymentBody({ price: 100, paid_price: 100, deal }))).json.deal.fee_units;
    expect(await fee({ fee_minimum: 3 })).toBe('3000000');
    expect(await fee({ fee_maximum: 0.5 })).toBe('500000');
  });

  test('borne by the payer: computed on the price, and paid_price is both together', async () => {
    const deal = { fee_bearer: 'payer' };
    const right = await market.post('/payments', market.paymentBody({ price: 100, paid_price: 101, deal }));
    expect(right.json.deal).toMatchObject({ amount_units: '101000000', fee_units: '1000000' });
    const wrong = await market.post('/payments', market.paymentBody({ price: 100, paid_price: 100, deal }));
    expect(wrong.json.errors).toEqual([
      { pointer: '/paid_price', message: 'must be 101: the price plus the fee, which the payer bears' },
    ]);
  });

  test('400: bounds that contradict each other, and a fee above the amount', async () => {
    const crossed = await market.post('/payments', market.paymentBody({ deal: { fee_minimum: 2, fee_maximum: 1 } }));
    expect(crossed.json.errors).toEqual([{ pointer: '/deal/fee_maximum', message: 'is less than fee_minimum' }]);
    const greedy = await market.post('/payments', market.paymentBody({ deal: { fee_fixed: 26 } }));
    expect(greedy.json.errors).toEqual([{ pointer: '/paid_price', message: 'is less than the fee' }]);
  });
});
