import { type Hex, hashTypedData, keccak256, stringToHex, toHex, zeroHash } from 'viem';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { chainOf, openWallet, strangerAddress, type Wallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

/** A funded payment of 10 with an arbiter, by default one whose key nobody of ours holds, and wallets of all three. */
async function fund(fields: { deal?: Record<string, unknown> } = {}) {
  const [buyer, seller, arbiter] = await Promise.all([0, 1, 2].map(() => openWallet(inject('stack'))));
  if (!buyer || !seller || !arbiter) throw new Error('No wallets.');
  const deal = { arbiter: arbiter.address, ...fields.deal };
  const { payment, widget } = await market.payable({
    price: 10,
    paid_price: 10,
    payment_address: seller.address,
    deal,
  });
  const { terms } = await buyer.deposit(termsOf(widget));
  const funded = await market.untilStatus(payment.id, 'funded');
  return { payment: funded, terms, buyer, seller, arbiter, path: `/payments/${payment.id}` };
}

/** Sends an operation's call from a wallet, exactly as the API hands it out. */
async function send(wallet: Wallet, { call }: Json) {
  return await wallet.mined(await wallet.client.sendTransaction({ to: call.to, data: call.data }));
}

async function untilOperation(id: string, status: string): Promise<Json> {
  const read = async () => (await market.get(`/operations/${id}`)).json;
  await expect.poll(async () => (await read()).status, { timeout: 20_000 }).toBe(status);
  return await read();
}

async function dispute(path: string, as: 'payer' | 'payee', wallet: Wallet, fields: Json = {}) {
  const { status, json } = await market.post(`${path}/dispute`, { as, ...fields });
  expect(status, JSON.stringify(json)).toBe(202);
  await send(wallet, json.operation);
  return await untilOperation(json.operation.id, 'done');
}

describe('POST /api/v1/payments/{id}/dispute', () => {
  test("awaits the party's signature with the exact call, and is done when the chain shows it", async () => {
    const { payment, terms, buyer, path } = await fund();
    const reason = 'It never arrived.';
    const { status, json } = await market.post(`${path}/dispute`, { as: 'payer', reason });
    expect(status).toBe(202);
    const { operation } = json;
    expect(operation).toMatchObject({
      payment_id: payment.id,
      leg: 0,
      verb: 'openDispute',
      status: 'awaiting_signature',
      signer: buyer.address.toLowerCase(),
      sign_by: new Date(Number(terms.settlementDeadline) * 1000).toISOString(),
      call: {
        to: market.diamond.toLowerCase(),
        function: 'openDispute',
        arguments: { evidence: keccak256(stringToHex(reason)), terms: { payer: buyer.address } },
      },
    });
    expect((await market.get(path)).json.status).toBe('funded');

    const { transactionHash } = await send(buyer, operation);
    await market.untilStatus(payment.id, 'disputed');
    expect(await untilOperation(operation.id, 'done')).toMatchObject({ transaction_hash: transactionHash, call: null });
    const { json: page } = await market.get(`${path}/operations`);
    expect(page).toMatchObject({ total: 1, items: [{ id: operation.id, status: 'done' }] });
    for (const verb of ['release', 'cancel']) {
      const refused = await market.post(`${path}/${verb}`);
      expect([refused.status, refused.json.code]).toEqual([409, 'illegal_transition']);
    }
  });

  test('asked again it answers with the same operation; with other evidence it is another', async () => {
    const { path } = await fund();
    const evidence = toHex(7, { size: 32 });
    const ask = async (body: Json) => (await market.post(`${path}/dispute`, body)).json.operation.id;
    const first = await ask({ as: 'payee', evidence });
    expect(await ask({ as: 'payee', evidence })).toBe(first);
    expect(await ask({ as: 'payer', evidence })).not.toBe(first);
    expect(await ask({ as: 'payee' })).not.toBe(first);
  });

  test("one party's dispute makes the other's request fail, and is never taken for it", async () => {
    const { path, seller } = await fund();
    const { json } = await market.post(`${path}/dispute`, { as: 'payer' });
    await dispute(path, 'payee', seller);
    expect(await untilOperation(json.operation.id, 'failed')).toMatchObject({
      transaction_hash: null,
      error: { name: null, message: 'The deal was disputed before this was signed.' },
    });
  });

  test('a dispute opened and given up between two looks answers both', async () => {
    const { path, buyer, terms } = await fund();
    const { json } = await market.post(`${path}/dispute`, { as: 'payer' });
    await send(buyer, json.operation);
    await buyer.call('withdrawDispute', terms);
    await untilOperation(json.operation.id, 'done');
    await market.untilStatus(json.operation.payment_id, 'funded');
  });

  test('400 with every field, 403 for a foreign node, 404 for no such leg, 409 without an arbiter or money', async () => {
    const { path } = await fund();
    const bad = await market.post(`${path}/dispute`, {
      as: 'operator',
      evidence: '0x12',
      reason: '',
      leg: -1,
      extra: 1,
    });
    expect(bad.status).toBe(400);
    expect(bad.json.errors.map((error: Json) => error.pointer).sort()).toEqual([
      '/as',
      '/evidence',
      '/extra',
      '/leg',
      '/reason',
    ]);
    const child = await market.openChildIntegration();
    expect((await market.post(`${path}/dispute`, { as: 'payer' }, child.token)).status).toBe(403);
    expect((await market.post(`${path}/dispute`, { as: 'payer', leg: 1 })).status).toBe(404);

    const without = await fund({ deal: { arbiter: null } });
    const refused = await market.post(`${without.path}/dispute`, { as: 'payer' });
    expect(refused.json).toMatchObject({
      code: 'illegal_transition',
      detail: 'The deal has no arbiter, so nobody can dispute it.',
    });
    const { payment } = await market.payable({ deal: { arbiter: strangerAddress() } });
    expect((await market.post(`/payments/${payment.id}/dispute`, { as: 'payer' })).status).toBe(409);
  });
});

describe('POST /api/v1/payments/{id}/withdraw-dispute', () => {
  test('asks whoever opened it; the payment is funded again', async () => {
    const { payment, path, seller } = await fund();
    expect((await market.post(`${path}/withdraw-dispute`)).json.code).toBe('illegal_transition');
    await dispute(path, 'payee', seller);
    const { json } = await market.post(`${path}/withdraw-dispute`);
    expect(json.operation).toMatchObject({
      verb: 'withdrawDispute',
      signer: seller.address.toLowerCase(),
      sign_by: null,
    });
    await send(seller, json.operation);
    await market.untilStatus(payment.id, 'funded');
    await untilOperation(json.operation.id, 'done');
  });
});

describe('POST /api/v1/payments/{id}/resolve', () => {
  test('awaits an arbiter whose key we do not hold; the split is exact, fee included', async () => {
    const { payment, path, buyer, seller, arbiter } = await fund();
    await dispute(path, 'payer', buyer);
    const before = [await buyer.balance(), await seller.balance()] as const;
    const { json } = await market.post(`${path}/resolve`, { to_payee: 3.333333 });
    expect(json.operation).toMatchObject({
      verb: 'resolve',
      status: 'awaiting_signature',
      signer: arbiter.address.toLowerCase(),
      amount: 3.333333,
      amount_units: '3333333',
    });
    await send(arbiter, json.operation);
    await market.untilStatus(payment.id, 'partially_refunded');
    await untilOperation(json.operation.id, 'done');
    expect(await buyer.balance()).toBe(before[0] + 6_666_667n);
    expect(await seller.balance()).toBe(before[1] + 3_333_333n - 33_333n);
  });

  test("is sent by us when a worker holds the arbiter's key", async () => {
    const { payment, path, buyer } = await fund({ deal: { arbiter: inject('stack').arbiter } });
    await dispute(path, 'payer', buyer);
    const { json } = await market.post(`${path}/resolve`, { to_payee: 0 });
    expect(await untilOperation(json.operation.id, 'done')).toMatchObject({
      signer: inject('stack').arbiter.toLowerCase(),
      transaction_hash: expect.stringMatching(/^0x[0-9a-f]{64}$/),
    });
    await market.untilStatus(payment.id, 'refunded');
  });

  test('another split by the arbiter fails the one that was asked for', async () => {
    const { payment, path, buyer, arbiter, terms } = await fund();
    await dispute(path, 'payer', buyer);
    const { json } = await market.post(`${path}/resolve`, { to_payee: 4 });
    const split = { address: market.diamond, abi: escrowAbi, functionName: 'resolve', args: [terms, 1n] } as const;
    await arbiter.mined(await arbiter.client.writeContract(split));
    await market.untilStatus(payment.id, 'partially_refunded');
    expect((await untilOperation(json.operation.id, 'failed')).error.message).toBe(
      'The deal was settled before this was signed.',
    );
  });

  test('400: more than is held, no number, nothing; 409: not disputed', async () => {
    const { path, buyer } = await fund();
    expect((await market.post(`${path}/resolve`, { to_payee: 1 })).json.code).toBe('illegal_transition');
    await dispute(path, 'payer', buyer);
    for (const [body, error] of [
      [
        { to_payee: 10.000001 },
        { pointer: '/to_payee', message: 'is more than the 10000000 base units that are held' },
      ],
      [{ to_payee: 0.0000001 }, { pointer: '/to_payee', message: 'has more than 6 decimals' }],
      [{ to_payee: '1' }, { pointer: '/to_payee', message: 'must be a number' }],
      [{}, { pointer: '/to_payee', message: 'must be a number' }],
    ]) {
      const { status, json } = await market.post(`${path}/resolve`, body);
      expect([status, json.errors]).toEqual([400, [error]]);
    }
  });
});

/** What a dry run asks both parties to sign, signed. */
async function agree(path: string, terms: Json, wallets: { payer: Wallet; payee: Wallet }) {
  const { status, json } = await market.post(`${path}/settle?dry_run=true`, terms);
  expect(status, JSON.stringify(json)).toBe(200);
  const { domain, types, primaryType, message } = json.operations[0].typed_data;
  const data = { domain, types, primaryType, message };
  return {
    preview: json,
    digest: hashTypedData(data),
    payer_signature: await wallets.payer.account.signTypedData(data),
    payee_signature: await wallets.payee.account.signTypedData(data),
  };
}

describe('POST /api/v1/payments/{id}/settle', () => {
  const soon = () => new Date(Date.now() + 3_600_000).toISOString();

  test('relays what both signed, from a dispute too; the money is as the dry run said', async () => {
    const { payment, path, buyer, seller } = await fund();
    await dispute(path, 'payer', buyer);
    const split = { to_payee: 7, deadline: soon() };
    const { preview, payer_signature, payee_signature } = await agree(path, split, { payer: buyer, payee: seller });
    expect(preview.operations[0]).toMatchObject({
      leg_status: { before: 'disputed', after: 'partially_refunded' },
      movements: [
        { to: seller.address.toLowerCase(), amount: 6.93 },
        { to: buyer.address.toLowerCase(), amount: 3 },
      ],
      fees: [{ amount: 0.07, amount_units: '70000' }],
      gas_estimate: null,
      refusal: { name: 'SignatureInvalid' },
    });
    const before = [await buyer.balance(), await seller.balance()] as const;
    const { status, json } = await market.post(`${path}/settle`, { ...split, payer_signature, payee_signature });
    expect([status, json.operation?.verb], JSON.stringify(json)).toEqual([202, 'settle']);
    await market.untilStatus(payment.id, 'partially_refunded');
    expect([await buyer.balance(), await seller.balance()]).toEqual([before[0] + 3_000_000n, before[1] + 6_930_000n]);
    const again = await market.post(`${path}/settle`, { ...split, payer_signature, payee_signature });
    expect([again.status, again.json.operation.id]).toEqual([202, json.operation.id]);
  });

  test('400: names the signature that does not hold; nothing is written', async () => {
    const { path, buyer, seller } = await fund();
    const split = { to_payee: 7, deadline: soon() };
    const { payer_signature, payee_signature } = await agree(path, split, { payer: buyer, payee: seller });
    for (const [fields, pointer] of [
      [{ payer_signature: payee_signature }, '/payer_signature'],
      [{ payee_signature: payer_signature }, '/payee_signature'],
      [{ to_payee: 8 }, '/payer_signature'],
    ] as [Json, string][]) {
      const { status, json } = await market.post(`${path}/settle`, {
        ...split,
        payer_signature,
        payee_signature,
        ...fields,
      });
      expect([status, json.errors?.[0]?.pointer], JSON.stringify(json)).toEqual([400, pointer]);
    }
    const missing = await market.post(`${path}/settle`, split);
    expect(missing.json.errors.map((error: Json) => error.pointer)).toEqual(['/payer_signature', '/payee_signature']);
    const past = { ...split, deadline: '2020-01-01T00:00:00Z', payer_signature, payee_signature };
    expect((await market.post(`${path}/settle`, past)).json.errors).toEqual([
      { pointer: '/deadline', message: 'is over' },
    ]);
    expect((await market.get(`${path}/operations`)).json.total).toBe(0);
  });

  test('relays what an account with code agrees to (ERC-1271), and nothing else in its name', async () => {
    const { payment, path, buyer, seller } = await fund();
    const [split, other] = [
      { to_payee: 4, deadline: soon() },
      { to_payee: 6, deadline: soon() },
    ];
    const { digest, payer_signature } = await agree(path, split, { payer: buyer, payee: seller });
    // Code that answers its magic value for that one digest, and reverts for any other.
    const agrees = `0x6004357f${digest.slice(2)}14602c57600080fd5b631626ba7e60e01b60005260206000f3` as const;
    await chainOf(inject('stack')).setCode({ address: seller.address, bytecode: agrees });
    const payee_signature = '0x1271';
    const refused = await agree(path, other, { payer: buyer, payee: seller });
    const { status, json } = await market.post(`${path}/settle`, {
      ...{ ...other, payer_signature: refused.payer_signature, payee_signature },
    });
    expect([status, json.errors?.[0]?.pointer]).toEqual([400, '/payee_signature']);
    const before = await seller.balance();
    const settled = await market.post(`${path}/settle`, { ...split, payer_signature, payee_signature });
    expect(settled.status, JSON.stringify(settled.json)).toBe(202);
    await market.untilStatus(payment.id, 'partially_refunded');
    expect(await seller.balance()).toBe(before + 3_960_000n);
  });

  test('a release in between voids the signatures', async () => {
    const { payment, path, buyer, seller } = await fund();
    const split = { to_payee: 2, deadline: soon() };
    const { payer_signature, payee_signature } = await agree(path, split, { payer: buyer, payee: seller });
    await market.post(`${path}/release`, { amount: 1 });
    await market.untilStatus(payment.id, 'partially_released');
    const { status, json } = await market.post(`${path}/settle`, { ...split, payer_signature, payee_signature });
    expect([status, json.errors?.[0]?.pointer]).toEqual([400, '/payer_signature']);
  });
});

describe('POST /api/v1/payments/{id}/return', () => {
  test('the payee gives a part back from its own pocket', async () => {
    const { payment, path, buyer, seller } = await fund();
    expect((await market.post(`${path}/return`)).json.code).toBe('illegal_transition');
    await market.post(`${path}/release`);
    await market.untilStatus(payment.id, 'released');
    const tooMuch = await market.post(`${path}/return`, { amount: 10.000001 });
    expect(tooMuch.json.errors).toEqual([
      { pointer: '/amount', message: 'is more than the 10000000 base units that can be given back' },
    ]);
    const preview = (await market.post(`${path}/return?dry_run=true`, { amount: 4 })).json;
    expect(preview.operations[0]).toMatchObject({
      movements: [{ from: seller.address.toLowerCase(), to: buyer.address.toLowerCase(), amount: 4 }],
      fees: [],
      leg_status: { before: 'released', after: 'partially_refunded' },
      gas_estimate: null,
      refusal: { name: 'TransferFailed' },
    });
    const { json } = await market.post(`${path}/return`, { amount: 4 });
    const allowance = { address: market.tokens.USDC, abi: usdcAbi, functionName: 'approve' } as const;
    await seller.mined(await seller.client.writeContract({ ...allowance, args: [market.diamond, 4_000_000n] }));
    const before = [await buyer.balance(), await seller.balance()] as const;
    await send(seller, json.operation);
    expect([await buyer.balance(), await seller.balance()]).toEqual([before[0] + 4_000_000n, before[1] - 4_000_000n]);
    await market.untilStatus(payment.id, 'partially_refunded');
    await untilOperation(json.operation.id, 'done');
  });
});

test('an operation is read by who may read its payment, and by nobody else', async () => {
  const { path } = await fund();
  const { json } = await market.post(`${path}/dispute`, { as: 'payer', evidence: zeroHash as Hex });
  const child = await market.openChildIntegration();
  expect((await market.get(`/operations/${json.operation.id}`, child.token)).status).toBe(404);
  expect((await market.get(`${path}/operations`, child.token)).status).toBe(404);
  expect((await market.get(`/operations/${crypto.randomUUID()}`)).status).toBe(404);
  expect((await market.get('/operations/none')).status).toBe(400);
});
