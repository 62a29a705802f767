/** A merchant of the orders surface: a marketplace whose node has a solution code and currencies, its sellers, and its calls. */
import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { createFiat } from '../../../api/core/platform/platform.ts';
import { payCart } from '../../support/cart.ts';
import { strangerAddress } from '../../support/wallet.ts';
import { type Answer, type Json, type Marketplace, openMarketplace } from '../marketplace.ts';

export type Shop = Awaited<ReturnType<typeof shopOf>>;

/** A seller, and the wallet that it is paid at. */
export type Seller = { sellerId: number; partyId: string; address: `0x${string}` };

/** Opens a merchant on the shared stack, whose EUR is the test USDC; CHF is fiat money that no provider takes there. */
export async function openShop(options: Parameters<typeof openMarketplace>[0] = {}): Promise<Shop> {
  const market = await openMarketplace(options);
  return await shopOf(market, market.app.request);
}

/** Makes a merchant of a marketplace, whose surface answers to `request`. */
export async function shopOf(
  market: Omit<Marketplace, 'app'>,
  request: (path: string, init: RequestInit) => Response | Promise<Response>,
) {
  const solutionCode = `MP${randomBytes(2).toString('hex').toUpperCase()}-${randomBytes(2).toString('hex').toUpperCase()}`;
  const franc = await createFiat(market.sql, { code: 'CHF', decimals: 2 });
  const currencies = [
    { code: 'EUR', currency_id: market.currencies.USDC },
    { code: 'CHF', currency_id: franc.id },
  ];
  const named = await market.call('PATCH', `/nodes/${market.nodeId}`, {
    body: { solution_code: solutionCode, currencies },
  });
  expect(named.status, JSON.stringify(named.json)).toBe(200);

  /** Calls the surface; `token` null sends none, `body` as text is sent as it is. */
  async function send(
    method: string,
    path: string,
    { body, token = market.token, headers = {} }: { body?: Json; token?: string | null; headers?: Json } = {},
  ): Promise<Answer & { headers: Headers }> {
    const response = await request(`/orders/v1${path}`, {
      method,
      headers: {
        ...(token !== null && { Authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === '' ? null : JSON.parse(text), headers: response.headers };
  }

  /** Adds a seller; `wallet` null: one without any. */
  async function addSeller({ wallet = strangerAddress() }: { wallet?: `0x${string}` | null } = {}): Promise<Seller> {
    const name = crypto.randomUUID();
    const party = await market.post('/parties', {
      node_id: market.nodeId,
      kind: 'firm',
      external_ids: { orders: name },
    });
    expect(party.status, JSON.stringify(party.json)).toBe(201);
    if (wallet !== null) {
      const added = await market.post(`/parties/${party.json.id}/payout-instruments`, {
        type: 'wallet',
        address: wallet,
      });
      expect(added.status).toBe(201);
    }
    return { sellerId: party.json.seller_id, partyId: party.json.id, address: wallet ?? '0x' };
  }

  /** The body of an order of 64 EUR with a new id. */
  const orderBody = (fields: Json = {}): Json => ({
    solutionCode,
    merchantGlobalOrderId: `order-${crypto.randomUUID()}`,
    amount: 64,
    currencyCode: 'EUR',
    merchantBuyerId: `buyer-${crypto.randomUUID()}`,
    ...fields,
  });

  async function createOrder(fields: Json = {}): Promise<Json> {
    const body = orderBody(fields);
    const { status, json } = await send('POST', '/orders', { body });
    expect(status, JSON.stringify(json)).toBe(201);
    return { ...body, ...json };
  }

  const splitOf = (seller: Seller, amount: number, fee: number, fields: Json = {}): Json => ({
    sellerId: seller.sellerId,
    amount,
    amountType: 'SELLER_PAYMENT',
    fee,
    feeType: 'MKTP_FEES',
    currencyCode: 'EUR',
    model: '3P',
    ...fields,
  });

  const split = (order: Json, splits: Json[]) =>
    send('POST', '/order-splits', {
      body: { solutionCode, merchantGlobalOrderId: order.merchantGlobalOrderId, splits },
    });

  const transactionBody = (order: Json, fields: Json = {}): Json => ({
    solutionCode,
    merchantGlobalOrderId: order.merchantGlobalOrderId,
    merchantTransactionId: `transaction-${crypto.randomUUID()}`,
    type: 'PAYMENT',
    executionDate: '2023-04-22T06:00:00.000Z',
    amount: order.amount,
    currencyCode: 'EUR',
    paymentMethodName: 'PAYXPERT_SG',
    ...fields,
  });

  async function pay(order: Json, fields: Json = {}): Promise<Json> {
    const { status, json } = await send('POST', '/transactions', { body: transactionBody(order, fields) });
    expect(status, JSON.stringify(json)).toBe(201);
    return json;
  }

  /** An order that is split as said, `[amount, fee]` a seller, and paid into the escrow. */
  async function paidOrder(shares: readonly (readonly [number, number])[] = [[64, 6.4]]) {
    const sellers = await Promise.all(shares.map(() => addSeller()));
    const order = await createOrder({ amount: shares.reduce((sum, [amount]) => sum + amount, 0) });
    const splits = shares.map(([amount, fee], index) => splitOf(sellers[index] as Seller, amount, fee));
    expect((await split(order, splits)).status).toBe(200);
    const transaction = await pay(order);
    await market.untilStatus(transaction.paymentId, 'awaiting_deposit');
    const widget = (await market.get(`/widget/payments/${transaction.paymentId}`, transaction.accessToken)).json;
    const buyer = await payCart(market.stack, widget);
    await market.untilStatus(transaction.paymentId, 'funded');
    return { order, sellers, transaction, buyer, widget };
  }

  /** An order as the list has it; undefined: not there. */
  async function readOrder(orderId: number): Promise<Json> {
    const { json } = await send('GET', '/orders?pageSize=100');
    return json.orders.find((order: Json) => order.orderId === orderId);
  }

  /** How many rows the surface and the core have for the merchant. */
  async function countRows(): Promise<number> {
    const [row] = await market.sql<{ rows: number }[]>`
      select (
        (select count(*) from orders_order where node_id = ${market.nodeId}) +
        (select count(*) from orders_split where node_id = ${market.nodeId}) +
        (select count(*) from orders_transaction where node_id = ${market.nodeId}) +
        (select count(*) from surface_number where node_id = ${market.nodeId}) +
        (select count(*) from payment where node_id = ${market.nodeId}) +
        (select count(*) from operation where node_id = ${market.nodeId}))::int as rows`;
    return row?.rows ?? 0;
  }

  return {
    market,
    solutionCode,
    send,
    addSeller,
    orderBody,
    createOrder,
    splitOf,
    split,
    transactionBody,
    pay,
    paidOrder,
    readOrder,
    countRows,
    close: market.close,
  };
}

/** A refusal as tests compare it: status, code, and each field with what is wrong. */
export function refusalOf({ status, json }: Answer): unknown[] {
  const faults = (json?.errors ?? []).map((fault: Json) => `${fault.pointer} ${fault.message}`);
  return [status, json?.code, ...faults];
}
