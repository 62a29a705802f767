import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { payCart } from '../../support/cart.ts';
import type { Json } from '../marketplace.ts';
import { openShop, refusalOf, type Seller, type Shop } from './shop.ts';

const WAIT_MS = 25_000;

let shop: Shop;
let other: Shop;
let seller: Seller;
beforeAll(async () => {
  [shop, other] = await Promise.all([openShop(), openShop()]);
  seller = await shop.addSeller();
});
afterAll(() => Promise.all([shop.close(), other.close()]));

const transferBody = (fields: Json = {}): Json => ({
  solutionCode: shop.solutionCode,
  accountingEntry: 'TRANSFER_TO_MARKETPLACE',
  reasonCode: 'SUBSCRIPTION',
  reasonLabel: 'Subscription for April 2023',
  amount: 65.15,
  currencyCode: 'EUR',
  sellerId: seller.sellerId,
  merchantTransferId: `transfer-${crypto.randomUUID()}`,
  ...fields,
});

const transfer = (fields: Json = {}) => shop.send('POST', '/transfers', { body: transferBody(fields) });

async function created(fields: Json = {}): Promise<Json> {
  const { status, json } = await transfer(fields);
  expect(status, JSON.stringify(json)).toBe(201);
  return json;
}

/** Its debtor signs and pays it. */
async function paid(fields: Json = {}): Promise<Json> {
  const { transferId, paymentId, accessToken } = await created(fields);
  await shop.market.untilStatus(paymentId, 'awaiting_deposit');
  const widget = (await shop.market.get(`/widget/payments/${paymentId}`, accessToken)).json;
  await payCart(shop.market.stack, widget);
  return await untilStatus(transferId, 'EXECUTED');
}

async function untilStatus(transferId: number, status: string): Promise<Json> {
  const read = async () => (await shop.send('GET', `/transfers/${transferId}`)).json;
  await expect.poll(async () => (await read()).status, { timeout: WAIT_MS }).toBe(status);
  return await read();
}

/** A refusal; nothing may be written. */
async function refused(fields: Json): Promise<unknown[]> {
  const rows = async () => {
    const [row] = await shop.market.sql`
      select ((select count(*) from orders_transfer where node_id = ${shop.market.nodeId}))::int as rows`;
    return [row?.rows, await shop.countRows()];
  };
  const before = await rows();
  const answer = await transfer(fields);
  expect(await rows()).toEqual(before);
  return refusalOf(answer);
}

const accountOf = async (path: string, type: string): Promise<Json> => {
  const { json } = await shop.send('GET', `${path}?pageSize=100&embeddedLines=true`);
  return json.accounts.find(({ accountType, currency }: Json) => accountType === type && currency === 'EUR');
};

describe('POST /orders/v1/transfers', () => {
  test('201, PENDING until the seller’s own payment is in the escrow; then it is in the marketplace’s account', async () => {
    const before = await accountOf('/accounts', 'MARKETPLACE');
    const json = await created({ merchantTransferId: 'april' });
    expect(json).toEqual({
      ...transferBody({ merchantTransferId: 'april' }),
      transferId: expect.any(Number),
      executionDate: expect.stringMatching(/Z$/),
      status: 'PENDING',
      paymentId: expect.any(String),
      paymentStatus: expect.stringMatching(/^(pending|awaiting_deposit)$/),
      expiresAt: expect.stringMatching(/Z$/),
      accessToken: expect.any(String),
    });
    const forecast = await accountOf('/accounts', 'MARKETPLACE');
    expect(forecast.currentBalance).toBe(before.currentBalance);
    expect(forecast.forecastBalance - before.forecastBalance).toBeCloseTo(65.15, 6);

    await shop.market.untilStatus(json.paymentId, 'awaiting_deposit');
    const widget = (await shop.market.get(`/widget/payments/${json.paymentId}`, json.accessToken)).json;
    await payCart(shop.market.stack, widget);
    const executed = await untilStatus(json.transferId, 'EXECUTED');
    expect(executed).toMatchObject({ status: 'EXECUTED', paymentStatus: 'funded', pageCount: 1 });
    const { pageCount, transfers, ...alone } = executed;
    expect(transfers).toEqual([alone]);
    const account = await accountOf('/accounts', 'MARKETPLACE');
    expect(account.currentBalance - before.currentBalance).toBeCloseTo(65.15, 6);
    expect(account.lines[0]).toMatchObject({
      accountingEntry: 'TRANSFER_TO_MARKETPLACE',
      accountingLabel: 'Subscription for April 2023',
      lineType: 'CREDIT',
      amount: 65.15,
      isCashed: true,
    });
    expect((await shop.send('GET', '/transfers?pageSize=1')).json.transfers[0].transferId).toBe(json.transferId);
    expect(refusalOf(await shop.send('DELETE', `/transfers/${json.transferId}`))).toEqual([409, 'illegal_transition']);
  });

  test('a gesture to a seller is paid out by a payout that names it', async () => {
    const receiver = await shop.addSeller();
    const gesture = { accountingEntry: 'TRANSFER_TO_SELLER', reasonCode: 'COMMERCIAL_GESTURE', amount: 12.5 };
    const { merchantTransferId } = await paid({ ...gesture, sellerId: receiver.sellerId });
    const path = `/sellers/${receiver.sellerId}`;
    expect(await accountOf(`${path}/accounts`, 'SETTLEMENT')).toMatchObject({ currentBalance: 12.5 });
    const body = {
      ...{ solutionCode: shop.solutionCode, reasonLabel: 'Sorry', currencyCode: 'EUR' },
      merchantPayoutSellerId: crypto.randomUUID(),
      transfers: [{ merchantTransferId }],
    };
    const payout = await shop.send('POST', `${path}/payout-sellers`, { body });
    expect(payout.json).toMatchObject({
      transfers: [{ merchantTransferId, payoutAmount: 12.5, currencyCode: 'EUR' }],
      payoutOrders: [],
      payoutPayment: { paymentStatus: 'PENDING', paymentAmount: 12.5 },
    });
    const read = () => shop.send('GET', `${path}/payout-sellers/${payout.json.payoutSellerId}`);
    await expect
      .poll(async () => (await read()).json.payoutPayment.paymentStatus, { timeout: WAIT_MS })
      .toBe('EXECUTED');
    expect(await shop.market.tokenBalance(receiver.address)).toBe(12_500_000n);
    const again = { ...body, merchantPayoutSellerId: crypto.randomUUID() };
    expect(refusalOf(await shop.send('POST', `${path}/payout-sellers`, { body: again }))).toEqual([
      409,
      'conflict',
      '/transfers/0/merchantTransferId is 12.5 USDC, but only 0 USDC can be paid out now',
    ]);
  });

  test('409: a payout of a transfer that nobody has paid; 400: of one to the marketplace or to another seller', async () => {
    const pending = await created({ accountingEntry: 'TRANSFER_TO_SELLER' });
    const payout = (named: Json, to = seller) =>
      shop.send('POST', `/sellers/${to.sellerId}/payout-sellers`, {
        body: {
          ...{ solutionCode: shop.solutionCode, reasonLabel: 'x', currencyCode: 'EUR' },
          merchantPayoutSellerId: crypto.randomUUID(),
          transfers: [{ merchantTransferId: named.merchantTransferId }],
        },
      });
    expect(refusalOf(await payout(pending))).toEqual([409, 'illegal_transition']);
    const fault = '/transfers/0/merchantTransferId is not a transfer to this seller';
    expect(refusalOf(await payout(await created()))).toContain(fault);
    expect(refusalOf(await payout(pending, await shop.addSeller()))).toContain(fault);
  });

  test('400: another merchant’s seller, an amount of nothing, fiat money, an unknown word', async () => {
    const theirs = await other.addSeller();
    expect(await refused({ sellerId: theirs.sellerId })).toContain('/sellerId is not a seller of the merchant');
    expect(await refused({ amount: 0 })).toContain('/amount must be greater than 0');
    expect(String(await refused({ currencyCode: 'CHF' }))).toContain('/currencyCode is fiat money');
    expect(String(await refused({ reasonCode: 'BRIBE', accountingEntry: 'BETWEEN_SELLERS' }))).toMatch(
      /accountingEntry.*reasonCode/,
    );
    const walletless = await shop.addSeller({ wallet: null });
    expect(String(await refused({ accountingEntry: 'TRANSFER_TO_SELLER', sellerId: walletless.sellerId }))).toContain(
      '/sellerId has no wallet to be paid at',
    );
    expect(String(await refused({ solutionCode: other.solutionCode }))).toContain('/solutionCode');
  });

  test('409: a merchantTransferId that is taken, and of five at once one is created', async () => {
    const merchantTransferId = `transfer-${crypto.randomUUID()}`;
    const answers = await Promise.all(Array.from({ length: 5 }, () => transfer({ merchantTransferId })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409]);
    expect(await refused({ merchantTransferId })).toContain(
      '/merchantTransferId is taken by another one of this merchant, maybe deleted',
    );
  });

  test('the same Idempotency-Key answers with the same transfer, its token anew', async () => {
    const headers = { 'Idempotency-Key': crypto.randomUUID() };
    const body = transferBody();
    const [first, second] = [
      await shop.send('POST', '/transfers', { body, headers }),
      await shop.send('POST', '/transfers', { body, headers }),
    ];
    expect(second.json.transferId).toBe(first.json.transferId);
    expect(second.json.accessToken).toEqual(expect.any(String));
  });
});

describe('DELETE /orders/v1/transfers/{transferId}', () => {
  test('204 while PENDING: its payment is cancelled; 404 from then on, and for another merchant', async () => {
    const { transferId, paymentId } = await created();
    const path = `/transfers/${transferId}`;
    for (const method of ['GET', 'DELETE']) expect((await other.send(method, path)).status).toBe(404);
    expect((await shop.send('DELETE', path)).status).toBe(204);
    await shop.market.untilStatus(paymentId, 'cancelled');
    for (const method of ['GET', 'DELETE']) expect((await shop.send(method, path)).status).toBe(404);
  });
});

describe('GET /orders/v1/accounts', () => {
  test('as of a moment: a balance, the day’s opening and closing, and lines that sum to it', async () => {
    const { sellers } = await shop.paidOrder([[40, 4]]);
    const path = `/sellers/${sellers[0]?.sellerId}/accounts`;
    const account = await accountOf(path, 'SETTLEMENT');
    expect(account).toMatchObject({
      accountType: 'SETTLEMENT',
      solutionCode: shop.solutionCode,
      currentBalance: 36,
      forecastBalance: 36,
      currency: 'EUR',
      balancesHistory: { closingBalance: 36 },
    });
    expect(
      account.lines.map(({ accountingEntry, lineType, amount }: Json) => [accountingEntry, lineType, amount]),
    ).toEqual([
      ['ORDER_PAYMENT', 'CREDIT', 40],
      ['MKTP_FEES', 'DEBIT', 4],
    ]);
    expect(new Set(account.lines.map(({ lineId }: Json) => lineId)).size).toBe(2);
    const { operationDate } = account.lines[0];
    const earlier = new Date(Date.parse(operationDate) - 1_000).toISOString();
    const asOf = async (moment: string) => {
      const query = new URLSearchParams({ balanceExtractionDate: moment, embeddedLines: 'true' });
      const { json } = await shop.send('GET', `${path}?${query}`);
      return json.accounts.find(({ currency }: Json) => currency === 'EUR');
    };
    expect(await asOf(earlier)).toMatchObject({ balanceExtractionDate: earlier, currentBalance: 0, lines: [] });
    // The day after, all of it was there when the day began.
    const tomorrow = new Date(Date.parse(operationDate) + 86_400_000).toISOString();
    expect(await asOf(tomorrow)).toMatchObject({ balancesHistory: { openingBalance: 36, closingBalance: 36 } });
    expect(await asOf(operationDate)).toMatchObject({ currentBalance: 36 });
  });

  test('each type in each currency, page by page; without lines unless asked; one type alone', async () => {
    const { json } = await shop.send('GET', '/accounts?pageSize=3');
    expect(json.pageCount).toBe(Math.ceil(10 / 3));
    expect(json.accounts).toHaveLength(3);
    expect(json.accounts[0]).not.toHaveProperty('lines');
    const fees = await shop.send('GET', '/accounts?accountType=FEES');
    expect(fees.json.accounts.map(({ accountType, currency }: Json) => [accountType, currency])).toEqual([
      ['FEES', 'CHF'],
      ['FEES', 'EUR'],
    ]);
  });

  test('400: every parameter that is wrong is named; 404: another merchant’s seller', async () => {
    const query = 'page=0&pageSize=101&balanceExtractionDate=soon&accountType=MINE&embeddedLines=1';
    const [status, , ...faults] = refusalOf(await shop.send('GET', `/accounts?${query}`));
    expect([status, faults.length]).toEqual([400, 5]);
    const theirs = await other.addSeller();
    expect((await shop.send('GET', `/sellers/${theirs.sellerId}/accounts`)).status).toBe(404);
    expect((await shop.send('GET', '/sellers/99999999999/accounts')).status).toBe(400);
  });
});
