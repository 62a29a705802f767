import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Vault } from '../../../api/core/vault.ts';
import { escrowAbi } from '../../../contracts/abi.ts';
import { payCart } from '../../support/cart.ts';
import { type Json, parseTerms } from '../marketplace.ts';
import { openShop, refusalOf, type Seller, type Shop } from './shop.ts';

let shop: Shop;
let other: Shop;
let seller: Seller;
beforeAll(async () => {
  shop = await openShop();
  other = await openShop();
  seller = await shop.addSeller();
});
afterAll(() => Promise.all([shop.close(), other.close()]));

async function splitOrder(fields: Json = {}): Promise<Json> {
  const order = await shop.createOrder(fields);
  expect((await shop.split(order, [shop.splitOf(seller, order.amount, 4)])).status).toBe(200);
  return order;
}

const register = (order: Json, fields: Json = {}) =>
  shop.send('POST', '/transactions', { body: shop.transactionBody(order, fields) });

const read = async (transactionId: number) => (await shop.send('GET', `/transactions/${transactionId}`)).json;

const untilPaid = (transactionId: number) =>
  expect.poll(async () => (await read(transactionId)).isPaid, { timeout: 30_000 }).toBe(true);

describe('POST /orders/v1/transactions, a PAYMENT', () => {
  test('201: is paid when the chain says so, never when the caller does; the fee is the split’s own', async () => {
    const sellers = [await shop.addSeller(), await shop.addSeller()] as const;
    const order = await shop.createOrder();
    await shop.split(order, [shop.splitOf(sellers[0], 40, 4), shop.splitOf(sellers[1], 24, 0.000001)]);
    const created = await shop.pay(order, { dueDate: '2017-07-21' });
    expect(created).toMatchObject({
      solutionCode: shop.solutionCode,
      merchantGlobalOrderId: order.merchantGlobalOrderId,
      orderId: order.orderId,
      type: 'PAYMENT',
      executionDate: '2023-04-22T06:00:00.000Z',
      amount: 64,
      currencyCode: 'EUR',
      paymentMethodName: 'PAYXPERT_SG',
      isPaid: false,
      dueDate: '2017-07-21',
      paidAmount: 0,
    });
    const payment = await shop.market.untilStatus(created.paymentId, 'awaiting_deposit');
    expect(payment.legs.map((leg: Json) => [leg.payee, leg.amount_units, leg.fee_units])).toEqual([
      [sellers[0].address.toLowerCase(), '40000000', '4000000'],
      [sellers[1].address.toLowerCase(), '24000000', '1'],
    ]);
    expect(payment.member.external_id).toBe(order.merchantBuyerId);
    const widget = (await shop.market.get(`/widget/payments/${created.paymentId}`, created.accessToken)).json;
    await payCart(shop.market.stack, widget);
    await untilPaid(created.transactionId);
    expect(await read(created.transactionId)).toMatchObject({ paidAmount: 64, paymentStatus: 'funded' });
    expect((await shop.readOrder(order.orderId)).transactions).toEqual([
      {
        transactionId: created.transactionId,
        type: 'PAYMENT',
        executionDate: created.executionDate,
        amount: 64,
        currencyCode: 'EUR',
        merchantTransactionId: created.merchantTransactionId,
        paymentMethodName: 'PAYXPERT_SG',
        isPaid: true,
        dueDate: '2017-07-21',
        paidAmount: 64,
      },
    ]);
  });

  test('isPaid and paidAmount are not among what a caller may say', async () => {
    const order = await splitOrder();
    const before = await shop.countRows();
    expect(refusalOf(await register(order, { isPaid: true, paidAmount: 64 }))).toEqual([
      400,
      'invalid_request',
      '/isPaid is not a known field',
      '/paidAmount is not a known field',
    ]);
    expect(await shop.countRows()).toBe(before);
  });

  test('the same Idempotency-Key again makes no other payment, and gets the access token too', async () => {
    const body = shop.transactionBody(await splitOrder());
    const headers = { 'Idempotency-Key': crypto.randomUUID() };
    const first = await shop.send('POST', '/transactions', { body, headers });
    const before = await shop.countRows();
    const again = await shop.send('POST', '/transactions', { body, headers });
    expect([again.status, again.json.accessToken]).toEqual([201, first.json.accessToken]);
    expect(await shop.countRows()).toBe(before);
    const { sql, stack, integrationId } = shop.market;
    const key = headers['Idempotency-Key'];
    const [row] = await sql<{ answer: Buffer }[]>`select answer from idempotent_request where key = ${key}`;
    const place = ['idempotent_request', integrationId, 'POST /orders/v1/transactions', key] as const;
    const kept = JSON.parse(new Vault(stack.secret).openText(place, row?.answer ?? Buffer.alloc(0)));
    expect(kept).toMatchObject({ transactionId: first.json.transactionId, accessToken: null });
  });

  test('the access token is null for who may not read one', async () => {
    const { json } = await shop.market.post('/integrations', {
      node_id: shop.market.nodeId,
      name: crypto.randomUUID(),
      mode: 'test',
      scopes: ['transactions:create'],
    });
    const token = await shop.market.tokensOf.issueIntegrationToken(json.id);
    const body = shop.transactionBody(await splitOrder());
    expect((await shop.send('POST', '/transactions', { body, token })).json).toMatchObject({ accessToken: null });
  });

  test.each([
    ['another amount', { amount: 63.99 }, "/amount must be the order's, 64"],
    ['a negative amount', { amount: -64 }, '/amount must not be negative'],
    ['another currency', { currencyCode: 'CHF' }, "/currencyCode is not the order's, EUR"],
    ['a card, which no provider takes here', { paymentMethodName: 'CARD' }, /^\/paymentMethodName /],
    ['a word that is no method', { paymentMethodName: 'CASH' }, /^\/paymentMethodName /],
    ['a type that only a provider reports', { type: 'CHARGEBACK' }, /^\/type /],
    ['a seller, who is of a REFUND', { sellerId: 1 }, '/sellerId is for a REFUND'],
    ['no moment', { executionDate: 'text' }, '/executionDate must be an RFC 3339 date-time'],
    ['no day', { dueDate: '2017-02-30' }, /^\/dueDate /],
  ])('400: %s', async (_what, fields, fault) => {
    const order = await splitOrder();
    const before = await shop.countRows();
    const [status, , ...faults] = refusalOf(await register(order, fields));
    expect(status).toBe(400);
    expect(faults).toContainEqual(fault instanceof RegExp ? expect.stringMatching(fault) : fault);
    expect(await shop.countRows()).toBe(before);
  });

  test('400: fiat money in the escrow', async () => {
    const order = await shop.createOrder({ currencyCode: 'CHF' });
    await shop.split(order, [shop.splitOf(seller, 64, 4, { currencyCode: 'CHF' })]);
    const answer = await register(order, { currencyCode: 'CHF', paymentMethodName: 'WEB3' });
    expect(refusalOf(answer)).toEqual([
      400,
      'invalid_request',
      '/paymentMethodName cannot be in CHF, which is fiat money of the merchant',
    ]);
  });

  test('409: the merchantTransactionId is taken', async () => {
    const { merchantTransactionId } = await shop.pay(await splitOrder());
    const order = await splitOrder();
    const before = await shop.countRows();
    const answer = await register(order, { merchantTransactionId });
    expect([answer.status, answer.json.errors[0].pointer]).toEqual([409, '/merchantTransactionId']);
    expect(await shop.countRows()).toBe(before);
  });

  test('409: not split, being paid already, or an order that takes no payment', async () => {
    const paying = await splitOrder();
    await shop.pay(paying);
    const before = await shop.countRows();
    const bare = await shop.createOrder();
    const returned = await splitOrder({ orderType: 'REFUND' });
    const answers = [await register(paying), await register(bare), await register(returned)];
    expect(answers.map(({ status, json }) => [status, json.code])).toEqual(
      answers.map(() => [409, 'illegal_transition']),
    );
    // An order and its id; an order, its id and its split.
    expect(await shop.countRows()).toBe(before + 2 + 3);
  });

  test('409 or 201: of two at once, one', async () => {
    const order = await splitOrder();
    const answers = await Promise.all([register(order), register(order), register(order)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
  });

  test('400: a seller whose wallet has become one that the escrow pays nothing to', async () => {
    const odd = await shop.addSeller({ wallet: shop.market.tokens.USDC });
    const order = await shop.createOrder();
    await shop.split(order, [shop.splitOf(odd, 64, 0)]);
    expect(refusalOf(await register(order))).toEqual([
      400,
      'invalid_request',
      '/merchantGlobalOrderId cannot be paid: legs/0/payment_address must not be the token',
    ]);
  });

  test('404: another merchant’s order', async () => {
    const order = await splitOrder();
    const body = { ...other.transactionBody(order), solutionCode: other.solutionCode };
    expect((await other.send('POST', '/transactions', { body })).status).toBe(404);
  });
});

describe('POST /orders/v1/transactions, a REFUND', () => {
  test('201: of one seller’s part, then of all that is left; paid when the chain has sent it back', async () => {
    const { order, sellers, buyer } = await shop.paidOrder([
      [40, 4],
      [24, 0],
    ]);
    const before = await buyer.balance();
    const part = await shop.pay(order, { type: 'REFUND', amount: 10.5, sellerId: sellers[0]?.sellerId });
    expect(part).toMatchObject({ type: 'REFUND', amount: 10.5, isPaid: false, paidAmount: 0, accessToken: null });
    await untilPaid(part.transactionId);
    expect(await buyer.balance()).toBe(before + 10_500_000n);
    const rest = await shop.pay(order, { type: 'REFUND', amount: 53.5 });
    await untilPaid(rest.transactionId);
    expect(await buyer.balance()).toBe(before + 64_000_000n);
    const { transactions } = await shop.readOrder(order.orderId);
    expect(transactions.map(({ type, isPaid, paidAmount }: Json) => [type, isPaid, paidAmount])).toEqual([
      ['PAYMENT', true, 64],
      ['REFUND', true, 10.5],
      ['REFUND', true, 53.5],
    ]);
    expect((await shop.send('DELETE', `/transactions/${rest.transactionId}`)).status).toBe(409);
  });

  test('400: more than is held, whose part it is left open, another way than it came, another’s seller', async () => {
    const { order, sellers } = await shop.paidOrder([
      [40, 4],
      [24, 0],
    ]);
    const before = await shop.countRows();
    const refund = async (fields: Json) => refusalOf(await register(order, { type: 'REFUND', ...fields }));
    expect(await refund({ amount: 64.01 })).toContain('/amount is more than the 64 held');
    expect(await refund({ amount: 24.01, sellerId: sellers[1]?.sellerId })).toContain(
      '/amount is more than the 24 held',
    );
    expect(await refund({ amount: 1 })).toContain('/sellerId is needed: a part of several sellers’ money');
    expect(await refund({ amount: 64, paymentMethodName: 'CARD' })).toContain(
      '/paymentMethodName is not that of the PAYMENT, PAYXPERT_SG',
    );
    expect(await refund({ amount: 64, currencyCode: 'CHF' })).toContain("/currencyCode is not the order's, EUR");
    const theirs = await other.addSeller();
    for (const { sellerId } of [theirs, seller]) {
      expect(await refund({ amount: 1, sellerId })).toContain('/sellerId has no held part in the order');
    }
    expect(await shop.countRows()).toBe(before);
  });

  test('409: nothing is held', async () => {
    const order = await splitOrder();
    const refund = async () => (await register(order, { type: 'REFUND' })).json;
    expect(await refund()).toMatchObject({
      code: 'illegal_transition',
      detail: expect.stringContaining('it has no payment'),
    });
    await shop.pay(order);
    expect(await refund()).toMatchObject({ status: 409, code: 'illegal_transition' });
  });

  test('one that the chain refuses is never paid, and can be deleted', { timeout: 120_000 }, async () => {
    const { diamond } = shop.market;
    // The buyer releases the money first. The mirror may be faster than we are; then there is nothing to refund, and we try again.
    for (let tries = 1; ; tries += 1) {
      const { order, transaction, buyer, widget } = await shop.paidOrder();
      const terms = { ...parseTerms(widget.contract.arguments[0]), payer: buyer.address };
      const call = { address: diamond, abi: escrowAbi, functionName: 'release', args: [terms] } as const;
      await buyer.mined(await buyer.client.writeContract(call));
      const refund = await register(order, { type: 'REFUND' });
      if (refund.status === 409 && tries < 10) continue;
      expect(refund.status).toBe(201);
      await shop.market.untilStatus(transaction.paymentId, 'released');
      const operations = async () =>
        (await shop.market.get(`/payments/${transaction.paymentId}/operations`)).json.items;
      await expect.poll(async () => (await operations())[0].status, { timeout: 60_000 }).toBe('failed');
      const { transactionId } = refund.json;
      expect(await read(transactionId)).toMatchObject({ isPaid: false, paidAmount: 0 });
      expect((await shop.send('DELETE', `/transactions/${transactionId}`)).status).toBe(204);
      expect((await shop.readOrder(order.orderId)).transactions).toMatchObject([{ type: 'PAYMENT', isPaid: true }]);
      return;
    }
  });

  test('409 or 201: of two refunds of all at once, one', async () => {
    const { order } = await shop.paidOrder();
    const answers = await Promise.all([1, 2].map(() => register(order, { type: 'REFUND' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
  });
});

describe('GET, PATCH and DELETE /orders/v1/transactions', () => {
  test('200: a due date is a note and moves no deadline; the list has the newest first', async () => {
    const { transactionId, expiresAt } = await shop.pay(await splitOrder());
    const patch = (body: Json) => shop.send('PATCH', `/transactions/${transactionId}`, { body });
    const { json } = await patch({ solutionCode: shop.solutionCode, dueDate: '2017-07-21' });
    expect(json).toMatchObject({ transactionId, dueDate: '2017-07-21', expiresAt });
    expect((await patch({ solutionCode: shop.solutionCode })).json.dueDate).toBe('2017-07-21');
    expect((await shop.send('GET', '/transactions?pageSize=1')).json).toMatchObject({
      transactions: [{ transactionId }],
    });
  });

  test('404: another merchant’s; 400: no number, no day', async () => {
    const { transactionId } = await shop.pay(await splitOrder());
    const path = `/transactions/${transactionId}`;
    const body = { solutionCode: other.solutionCode, dueDate: '2017-07-21' };
    const answers = [
      await other.send('GET', path),
      await other.send('PATCH', path, { body }),
      await other.send('DELETE', path),
      await shop.send('GET', '/transactions/0'),
      await shop.send('PATCH', path, { body: { solutionCode: shop.solutionCode, dueDate: 'soon' } }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 400, 400]);
    expect((await other.send('GET', '/transactions')).json.transactions).toEqual([]);
  });

  test('204: a payment that nobody has paid is cancelled, and the order may have another', async () => {
    const order = await splitOrder();
    const { transactionId, paymentId, merchantTransactionId } = await shop.pay(order);
    await shop.market.untilStatus(paymentId, 'awaiting_deposit');
    expect((await shop.send('DELETE', `/transactions/${transactionId}`)).status).toBe(204);
    await shop.market.untilStatus(paymentId, 'cancelled');
    expect((await shop.send('GET', `/transactions/${transactionId}`)).status).toBe(404);
    expect((await shop.readOrder(order.orderId)).transactions).toEqual([]);
    expect((await register(order, { merchantTransactionId })).status).toBe(409);
    expect((await register(order)).status).toBe(201);
  });

  test('409 once money has moved', async () => {
    const { transaction } = await shop.paidOrder();
    const answer = await shop.send('DELETE', `/transactions/${transaction.transactionId}`);
    expect([answer.status, answer.json.code]).toEqual([409, 'illegal_transition']);
    expect((await read(transaction.transactionId)).isPaid).toBe(true);
  });
});
