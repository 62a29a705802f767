import { beforeAll, describe, expect, test } from 'vitest';
import { type Marketplace, openMarketplace } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

/** A body as text, with one field's JSON replaced by raw text: JSON.stringify cannot write `1.10` or `1e999`. */
function rawBody(field: string, text: string): string {
  const body = market.paymentBody({ [field]: '@' });
  return JSON.stringify(body).replace('"@"', text);
}

describe('POST /api/v1/payments', () => {
  test('201: the payment, pending, with an access token and exact base units beside each float', async () => {
    const body = market.paymentBody({
      price: 25.5,
      paid_price: 24.25,
      items: [
        { name: 'Mug', price: 10.5, external_id: 'mug' },
        { name: 'Shirt', price: 15, external_id: 'shirt' },
      ],
      member: { external_id: 'm-1', name: 'Ada', surname: 'Byron', email: 'ada@example.com' },
      metadata: '{"order":1}',
      notify_url: 'http://127.0.0.1:4100/notify',
      client_ip: '203.0.113.7',
    });
    const { status, json } = await market.post('/payments', body);
    expect(status).toBe(201);
    expect(json).toMatchObject({
      external_id: body.external_id,
      node_id: market.nodeId,
      chain_id: market.chainId,
      network_id: market.networkId,
      wallet_id: null,
      member: { external_id: 'm-1', name: 'Ada', surname: 'Byron', email: 'ada@example.com' },
      currency_id: market.currencies.USDC,
      price: 25.5,
      price_units: '25500000',
      paid_price: 24.25,
      paid_price_units: '24250000',
      payment_method: 'web3',
      payment_group: 'product',
      payment_address: market.payee.toLowerCase(),
      items: [
        { name: 'Mug', price: 10.5, external_id: 'mug' },
        { name: 'Shirt', price: 15, external_id: 'shirt' },
      ],
      metadata: '{"order":1}',
      notify_url: 'http://127.0.0.1:4100/notify',
      retry: false,
      retry_count: 0,
      client_ip: '203.0.113.7',
      status: 'pending',
      transaction_hash: null,
      deal_id: null,
      deal: { amount_units: '24250000', fee_units: '242500', default_outcome: 'refund' },
    });
    expect(json.access_token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(json.member_id).toBe(json.member.id);
  });

  test('201: the deal object overrides single fields of the policy', async () => {
    const { status, json } = await market.post(
      '/payments',
      market.paymentBody({
        paid_price: 100,
        deal: { fee_bps: 250, fee_fixed: 0.3, default_outcome: 'release', settlement_period_seconds: 7200 },
      }),
    );
    expect(status).toBe(201);
    expect(json.deal).toMatchObject({ fee_units: '2800000', default_outcome: 'release' });
    expect(Date.parse(json.deal.settlement_deadline) - Date.parse(json.deal.deposit_deadline)).toBe(7_200_000);
  });

  test('201: wallet_id, chain_id and member_id that agree are accepted', async () => {
    const first = await market.post('/payments', market.paymentBody({ member: { external_id: 'again' } }));
    const body = market.paymentBody({
      chain_id: market.chainId,
      wallet_id: market.walletId,
      member_id: first.json.member_id,
    });
    const { status, json } = await market.post('/payments', body);
    expect(status).toBe(201);
    expect(json).toMatchObject({ wallet_id: market.walletId, member_id: first.json.member_id });
  });

  test.each([
    ['1e1', '10000000'],
    ['10.000000', '10000000'],
    ['0.1', '100000'],
    ['12345678901234567.123456', '12345678901234567123456'],
  ])('201: paid_price %s is read digit by digit', async (text, units) => {
    const { status, json } = await market.post('/payments', rawBody('paid_price', text));
    expect(status).toBe(201);
    expect(json).toMatchObject({ paid_price: Number(text), paid_price_units: units });
  });

  test.each([
    ['price', '-1', 'must not be negative'],
    ['price', '0', 'must be greater than 0'],
    ['price', '"1"', 'must be a number'],
    ['price', '1e999', 'is out of range'],
    ['price', '1.0000001', 'has more than 6 decimals'],
    ['paid_price', '0', 'must be greater than 0'],
    ['paid_price', '1329227995784915872903807060280.344576', 'is more than a deal can hold'],
    ['expires_at', '"2020-01-01T00:00:00Z"', 'must be in the future'],
    ['expires_at', '"tomorrow"', 'must be an RFC 3339 date-time'],
    ['expires_at', '"2099-01-01T00:00:00Z"', 'puts the last deadline too far away'],
    ['payment_address', '"0x00"', 'must be an EVM address with a valid checksum'],
    ['payment_address', '"0x0000000000000000000000000000000000000000"', 'must not be the zero address'],
    ['payment_method', '"credit_card"', 'credit_card has no provider on this installation'],
    ['items', '[{"price": 1}]', 'sum to 1000000 base units, but price is 25500000'],
    ['retry_count', '1.5', 'Invalid input: expected int, received number'],
    ['metadata', '"a\\u0000b"', 'must not contain a NUL character'],
    ['external_id', '"a\\u0000b"', 'must not contain a NUL character'],
    ['client_ip', '"::1"', 'Invalid IPv4 address'],
  ])('400: %s = %s %s, and nothing is written', async (field, text, message) => {
    const before = await market.countPayments();
    const { status, json } = await market.post('/payments', rawBody(field, text));
    expect(status).toBe(400);
    expect(json).toMatchObject({ code: 'invalid_request', status: 400 });
    expect(json.errors).toContainEqual({ pointer: `/${field}`, message });
    expect(await market.countPayments()).toBe(before);
  });

  test('400: the payee may be neither the diamond, the token nor the operator', async () => {
    for (const [address, name] of [
      [market.diamond, 'the diamond'],
      [market.tokens.USDC, 'the token'],
      [market.operator, 'the operator'],
    ] as const) {
      const { status, json } = await market.post('/payments', market.paymentBody({ payment_address: address }));
      expect(status).toBe(400);
      expect(json.errors).toEqual([{ pointer: '/payment_address', message: `must not be ${name}` }]);
    }
  });

  test('400: references that disagree are all named at once', async () => {
    const stranger = crypto.randomUUID();
    const { status, json } = await market.post(
      '/payments',
      market.paymentBody({ chain_id: stranger, wallet_id: stranger, member_id: stranger, price: '1' }),
    );
    expect(status).toBe(400);
    const withNumber = await market.post(
      '/payments',
      market.paymentBody({ chain_id: stranger, wallet_id: stranger, member_id: stranger }),
    );
    expect(json.errors.map((fault: { pointer: string }) => fault.pointer)).toEqual(['/price']);
    expect(withNumber.json.errors.map((fault: { pointer: string }) => fault.pointer)).toEqual([
      '/chain_id',
      '/member_id',
      '/wallet_id',
    ]);
  });

  test('400: wallet_id and payment_address that differ', async () => {
    const body = market.paymentBody({ wallet_id: market.walletId, payment_address: market.stranger });
    const { json } = await market.post('/payments', body);
    expect(json.errors).toEqual([{ pointer: '/payment_address', message: 'is not the address of wallet_id' }]);
  });

  test('400: every missing field is named', async () => {
    const { status, json } = await market.post('/payments', {});
    expect(status).toBe(400);
    expect(json.errors.map((fault: { pointer: string }) => fault.pointer)).toEqual([
      '/external_id',
      '/node_id',
      '/currency_id',
      '/price',
      '/paid_price',
      '/payment_method',
      '/payment_group',
      '/expires_at',
      '/network_id',
      '/payment_address',
    ]);
  });

  test.each(['{"external_id":', '', 'null', '[]', '"text"', '1e5'])('400: the body %j', async (body) => {
    const { status, json } = await market.post('/payments', body);
    expect(status).toBe(400);
    expect(json.code).toBe('invalid_request');
  });

  test('400: unknown fields inside member, items and deal are named', async () => {
    const body = market.paymentBody({ member: { external_id: 'm', sudo: true }, deal: { payee: market.stranger } });
    const { json } = await market.post('/payments', body);
    expect(json.errors).toEqual([
      { pointer: '/member/sudo', message: 'is not a known field' },
      { pointer: '/deal/payee', message: 'is not a known field' },
    ]);
  });

  test('413: a body over 256 KB, whether or not it announces its length', async () => {
    const { status, json } = await market.post('/payments', market.paymentBody({ metadata: 'x'.repeat(300_000) }));
    expect(status).toBe(413);
    expect(json.code).toBe('payload_too_large');
  });

  test('404: unknown node, network or currency', async () => {
    for (const field of ['node_id', 'network_id', 'currency_id']) {
      const { status, json } = await market.post('/payments', market.paymentBody({ [field]: crypto.randomUUID() }));
      expect([status, json.code]).toEqual([404, 'not_found']);
    }
  });

  test("404: another integration's node", async () => {
    const other = await openMarketplace();
    const { status } = await market.post('/payments', other.paymentBody());
    expect(status).toBe(404);
  });

  test('201: a node below the integration’s own', async () => {
    const child = await market.openChild();
    const { status, json } = await market.post('/payments', market.paymentBody({ node_id: child }));
    expect(status).toBe(201);
    expect(json.deal.fee_units).toBe('255000');
  });

  test('409: external_id taken in the same node', async () => {
    const body = market.paymentBody();
    expect((await market.post('/payments', body)).status).toBe(201);
    const { status, json } = await market.post('/payments', body);
    expect(status).toBe(409);
    expect(json.errors).toEqual([{ pointer: '/external_id', message: 'is taken in this node' }]);
  });

  test('409: of twenty racing requests with one external_id, one is created', async () => {
    const body = market.paymentBody();
    const before = await market.countPayments();
    const answers = await Promise.all(Array.from({ length: 20 }, () => market.post('/payments', body)));
    const statuses = answers.map((answer) => answer.status).sort();
    expect(statuses).toEqual([201, ...Array.from({ length: 19 }, () => 409)]);
    expect(await market.countPayments()).toBe(before + 1);
  });
});
