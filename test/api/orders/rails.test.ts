// Orders that are paid through a provider: the money is fiat, and whether it came says the provider.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CARDS, openTill, type Till } from '../../support/till.ts';
import type { Json } from '../marketplace.ts';
import { refusalOf, type Seller, type Shop, shopOf } from './shop.ts';

let till: Till;
let shop: Shop;
let sellers: [Seller, Seller];
beforeAll(async () => {
  till = await openTill({ chain: 'own' });
  shop = await shopOf(till, (path, init) => fetch(till.apiUrl + path, init));
  const currencies = [{ code: 'EUR', currency_id: till.euroId }];
  expect((await till.call('PATCH', `/nodes/${till.nodeId}`, { body: { currencies } })).status).toBe(200);
  sellers = [await shop.addSeller({ wallet: null }), await shop.addSeller({ wallet: null })];
});
afterAll(() => till.stop());

/** An order of 64 EUR, 40 and 24 to sellers who have no wallet, with its payment once its provider waits for the payer. */
async function openOrder(paymentMethodName: string) {
  const order = await shop.createOrder();
  const splits = [shop.splitOf(sellers[0], 40, 4), shop.splitOf(sellers[1], 24, 2.4)];
  expect((await shop.split(order, splits)).json).toEqual({});
  const transaction = await shop.pay(order, { paymentMethodName });
  const isOpen = ({ rail }: Json) => rail?.page_url !== null || rail?.transfer !== null;
  return { order, transaction, payment: await till.until(transaction.paymentId, 'open', isOpen) };
}

/** A transfer clears with the bank's next batch, within a day. */
async function transfer(payment: Json, cents: number): Promise<void> {
  await till.sendTransfer(payment.rail.transfer.reference, cents);
  expect((await till.post('/test-clock', { advance_seconds: 86_400 })).status).toBe(200);
}

const read = async ({ transactionId }: Json) => (await shop.send('GET', `/transactions/${transactionId}`)).json;

const untilPaid = (transaction: Json) =>
  expect.poll(async () => (await read(transaction)).isPaid, { timeout: 30_000 }).toBe(true);

describe('an order in fiat money', () => {
  test('PAYXPERT_SG is a card; the fee is the splits’, and a REFUND takes from one seller', async () => {
    const { order, transaction, payment } = await openOrder('PAYXPERT_SG');
    expect(payment.payment_method).toBe('credit_card');
    await till.typeCard(payment, CARDS.declined);
    await till.untilStatus(transaction.paymentId, 'failed');
    expect(await read(transaction)).toMatchObject({ isPaid: false, paidAmount: 0, paymentStatus: 'failed' });
    // What has failed binds nobody: the order takes another transaction.
    const next = await shop.pay(order);
    const again = await till.until(next.paymentId, 'open', ({ rail }) => rail?.page_url !== null);
    await till.typeCard(again, CARDS.succeeds);
    await untilPaid(next);
    const refund = await shop.pay(order, { type: 'REFUND', amount: 10.5, sellerId: sellers[0].sellerId });
    await untilPaid(refund);
    const funded = (await till.get(`/payments/${next.paymentId}`)).json;
    expect(funded.legs.map((leg: Json) => [leg.fee_units, leg.refunded_units])).toEqual([
      ['400', '1050'],
      ['240', '0'],
    ]);
  });

  test('is paid out by a memo: the provider pays; accounts and payouts say the same as of the escrow', async () => {
    const { order, transaction, payment } = await openOrder('CARD');
    await till.typeCard(payment, CARDS.succeeds);
    await untilPaid(transaction);
    const path = `/sellers/${sellers[1].sellerId}`;
    const balance = async () => (await shop.send('GET', `${path}/accounts`)).json.accounts[0].currentBalance;
    const held = await balance();
    const pay = (amount: number) =>
      shop.send('POST', `${path}/payout-sellers`, {
        body: {
          ...{ solutionCode: shop.solutionCode, reasonLabel: 'May', currencyCode: 'EUR' },
          merchantPayoutSellerId: crypto.randomUUID(),
          payoutOrders: [{ merchantGlobalOrderId: order.merchantGlobalOrderId, payoutRequestedAmount: amount }],
        },
      });
    expect(refusalOf(await pay(21.61))).toEqual([
      409,
      'conflict',
      '/payoutOrders/0/payoutRequestedAmount is 21.61 EUR, but only 21.6 EUR can be paid out now',
    ]);
    const { status, json } = await pay(11.11);
    expect([status, json.payoutOrders[0].payoutResidualAmount]).toEqual([201, 10.49]);
    const read = async () => (await shop.send('GET', `${path}/payout-sellers/${json.payoutSellerId}`)).json;
    await expect.poll(async () => (await read()).payoutPayment.paymentStatus, { timeout: 30_000 }).toBe('EXECUTED');
    expect((await read()).payoutOrders[0].payoutEffectiveAmount).toBe(11.11);
    expect(Number((held - (await balance())).toFixed(2))).toBe(11.11);
    // Its fees are the provider's to pay out.
    const fees = { merchantPayoutMerchantId: crypto.randomUUID(), solutionCode: shop.solutionCode };
    const refused = await shop.send('POST', '/payout-merchants', { body: { ...fees, amount: 1, currencyCode: 'EUR' } });
    expect(refusalOf(refused)).toContain('/amount is 1 EUR, but only 0 EUR can be paid out now');
  });

  test('BANK_TRANSFER is paid when all of it has arrived, not before', async () => {
    const { transaction, payment } = await openOrder('BANK_TRANSFER');
    await transfer(payment, 6_399);
    await till.until(transaction.paymentId, 'partly received', ({ rail }) => rail.missing_units === '1');
    expect(await read(transaction)).toMatchObject({ isPaid: false, paidAmount: 0 });
    await transfer(payment, 1);
    await untilPaid(transaction);
    expect((await read(transaction)).paidAmount).toBe(64);
  });

  test('400: finer than a cent, and the escrow', async () => {
    expect(refusalOf(await shop.send('POST', '/orders', { body: shop.orderBody({ amount: 64.001 }) }))).toEqual([
      400,
      'invalid_request',
      '/amount has more than 2 decimals',
    ]);
    const order = await shop.createOrder();
    await shop.split(order, [shop.splitOf(sellers[0], 64, 4)]);
    const body = shop.transactionBody(order, { paymentMethodName: 'WEB3' });
    expect(refusalOf(await shop.send('POST', '/transactions', { body }))).toEqual([
      400,
      'invalid_request',
      '/paymentMethodName cannot be in EUR, which is fiat money of the merchant',
    ]);
  });

  test('a merchant whose currency is a token takes cards in the fiat money of the same code', async () => {
    const currencies = [{ code: 'EUR', currency_id: till.currencies.USDC }];
    await till.call('PATCH', `/nodes/${till.nodeId}`, { body: { currencies } });
    const seller = await shop.addSeller();
    const order = await shop.createOrder();
    await shop.split(order, [shop.splitOf(seller, 64, 4)]);
    const card = await shop.pay(order, { paymentMethodName: 'CARD' });
    expect((await till.get(`/payments/${card.paymentId}`)).json).toMatchObject({
      payment_method: 'credit_card',
      currency_id: till.euroId,
      price_units: '6400',
    });
    const fine = await shop.createOrder({ amount: 64.001 });
    await shop.split(fine, [shop.splitOf(seller, 64.001, 4)]);
    const body = shop.transactionBody(fine, { paymentMethodName: 'CARD' });
    const answer = await shop.send('POST', '/transactions', { body });
    expect([answer.status, answer.json.errors[0]]).toEqual([
      400,
      { pointer: '/amount', message: 'has more than 2 decimals' },
    ]);
  });
});
