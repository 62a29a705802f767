// Gasless deposits: a buyer signs over terms that were handed out for them, our submitter sends them and pays the fee.
import { type Address, getAddress, type Hex } from 'viem';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { dealId, type Terms } from '../../contracts/terms.ts';
import { authorizationTypes, permit2DealMessage, permit2DealTypes, permit2Domain } from '../../contracts/typed-data.ts';
import { chainOf, openWallet, strangerAddress, type Wallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, parseTerms, termsOf } from './marketplace.ts';

const stack = inject('stack');
let market: Marketplace;

beforeAll(async () => {
  market = await openMarketplace();
  return () => market.close();
});

const soon = () => BigInt(Math.floor(Date.now() / 1_000) + 3_600);
const idOf = (terms: Terms) => dealId(terms, stack.chainId, stack.diamond);

/** A payment with its terms for this payer, as its widget gets them. */
async function handedOut(payer: Address, fields: Record<string, unknown> = {}) {
  const { payment } = await market.payable(fields);
  const path = `/widget/payments/${payment.id}`;
  const { json: widget } = await market.get(`${path}?payer=${payer}`, payment.access_token);
  const post = (name: string, body: unknown) => market.post(`${path}/${name}`, body, payment.access_token);
  return { payment, path, widget, terms: termsOf(widget), post };
}

/** The request with a wallet's ERC-3009 signature over these terms. */
async function authorization(wallet: Wallet, terms: Terms, validBefore = soon()) {
  const signature = await wallet.account.signTypedData({
    domain: { name: 'USD Coin', version: '1', chainId: stack.chainId, verifyingContract: terms.token },
    types: authorizationTypes,
    primaryType: 'ReceiveWithAuthorization',
    message: {
      from: wallet.address,
      to: stack.diamond,
      value: terms.amount,
      validAfter: 0n,
      validBefore,
      nonce: idOf(terms),
    },
  });
  return { form: 'authorization', payer: wallet.address, valid_before: `${validBefore}`, signature };
}

async function permit2Request(wallet: Wallet, terms: Terms, permit2: Address, nonce = 0n) {
  const deadline = soon();
  const signature = await wallet.account.signTypedData({
    domain: permit2Domain(stack.chainId, permit2),
    types: permit2DealTypes,
    primaryType: 'PermitWitnessTransferFrom',
    message: permit2DealMessage(terms, stack.diamond, nonce, deadline),
  });
  return { form: 'permit2', payer: wallet.address, nonce: `${nonce}`, deadline: `${deadline}`, signature };
}

async function moveAway(wallet: Wallet): Promise<void> {
  const transfer = { address: stack.tokens.USDC, abi: usdcAbi, functionName: 'transfer' } as const;
  const args = [strangerAddress(), await wallet.balance()] as const;
  await wallet.mined(await wallet.client.writeContract({ ...transfer, args }));
}

describe('GET /api/v1/widget/payments/{id}', () => {
  test('tells what can be signed for the token, as tried on the chain', async () => {
    const { widget } = await market.payable();
    expect(widget.signatures).toEqual({
      domain: { name: 'USD Coin', version: '1' },
      permit: true,
      authorization: { standard: true, bytes: true },
      permit2: expect.stringMatching(/^0x[0-9a-fA-F]{40}$/),
    });
    const { widget: tether } = await market.payable({ currency_id: market.currencies.USDT });
    expect(tether.signatures).toMatchObject({
      domain: null,
      permit: false,
      authorization: { standard: false, bytes: false },
    });
  });

  test('?payer= fixes the payer in the terms, and nothing else', async () => {
    const payer = strangerAddress();
    const { payment, widget, terms } = await handedOut(payer);
    const { json: offer } = await market.get(`/widget/payments/${payment.id}`, payment.access_token);
    expect(terms).toEqual({ ...termsOf(offer), payer });
    expect(widget.offer_hash).toBe(offer.offer_hash);
  });

  test('409: terms for a ninth payer · 400: a payer that is no address', async () => {
    const { payment, path } = await handedOut(strangerAddress());
    const ask = (payer: string) => market.get(`${path}?payer=${payer}`, payment.access_token);
    for (let forms = 1; forms < 8; forms += 1) expect((await ask(strangerAddress())).status).toBe(200);
    expect((await ask(strangerAddress())).status).toBe(409);
    expect((await ask('0x12')).json.errors[0].pointer).toBe('/payer');
    expect((await market.get(path, payment.access_token)).status).toBe(200);
  });
});

describe('POST /api/v1/widget/payments/{id}/relay', () => {
  test('ERC-3009: funded without a wei of the buyer; the same signature again answers the same', async () => {
    const buyer = await openWallet(stack);
    await chainOf(stack).setBalance({ address: buyer.address, value: 0n });
    const { payment, terms, post } = await handedOut(buyer.address);
    const request = await authorization(buyer, terms);
    expect((await post('relay', request)).status).toBe(202);
    expect((await post('relay', request)).status).toBe(202);
    const funded = await market.untilStatus(payment.id, 'funded');
    expect(funded.deal.payer).toBe(buyer.address.toLowerCase());
    expect(await buyer.balance()).toBe(1_000_000_000n - terms.amount);
    expect((await post('relay', request)).json).toEqual({ status: 'done', error: null });
    expect(await relays(payment.id)).toHaveLength(1);
  });

  test('Permit2: funded by its signature, once it may take the token', async () => {
    const buyer = await openWallet(stack);
    const { payment, terms, widget, post } = await handedOut(buyer.address, {
      currency_id: market.currencies.USDT,
    });
    const permit2 = getAddress(widget.signatures.permit2);
    const request = await permit2Request(buyer, terms, permit2);
    const refused = await post('relay', request);
    expect([refused.status, refused.json.code]).toEqual([422, 'chain_reverted']);
    const approve = { address: terms.token, abi: usdcAbi, functionName: 'approve' } as const;
    await buyer.mined(await buyer.client.writeContract({ ...approve, args: [permit2, terms.amount] }));
    expect((await post('relay', request)).status).toBe(202);
    await market.untilStatus(payment.id, 'funded');
  });

  test('what is not our terms, payer or token is refused before it costs anything', async () => {
    const [buyer, other] = [await openWallet(stack), await openWallet(stack)];
    const { payment, terms, post } = await handedOut(buyer.address);
    const wrong: [string, Json][] = [
      ['chain_reverted', await authorization(buyer, { ...terms, amount: terms.amount - 1n })],
      ['chain_reverted', await authorization(buyer, { ...terms, payee: other.address })],
      ['chain_reverted', { ...(await authorization(other, terms)), payer: buyer.address }],
      ['illegal_transition', await authorization(other, { ...terms, payer: other.address })],
      ['chain_reverted', await authorization(buyer, terms, 1n)],
      ['chain_reverted', { ...(await authorization(buyer, terms)), signature: `0x${'ab'.repeat(65)}` }],
    ];
    for (const [code, request] of wrong) expect((await post('relay', request)).json.code).toBe(code);
    await moveAway(buyer);
    expect((await post('relay', await authorization(buyer, terms))).json.code).toBe('chain_reverted');
    expect(await relays(payment.id)).toEqual([]);
  });

  test('400: every wrong field by name', async () => {
    const { post, terms } = await handedOut(strangerAddress());
    const wrong = { form: 'authorization', payer: 'me', valid_before: '-1', signature: '0x12', more: 1 };
    const { status, json } = await post('relay', wrong);
    expect(status).toBe(400);
    expect(json.errors.map((fault: Json) => fault.pointer).sort()).toEqual([
      '/more',
      '/payer',
      '/signature',
      '/valid_before',
    ]);
    expect((await post('relay', { form: 'cash' })).json.errors[0].pointer).toBe('/form');
    expect((await post('relay', '{')).status).toBe(400);
    const buyer = await openWallet(stack);
    const late = await authorization(buyer, terms, soon() + 86_400n);
    expect((await post('relay', late)).json.errors).toEqual([
      { pointer: '/valid_before', message: 'must be within the next hour' },
    ]);
  });

  test('401: no token, a wrong one, one of another payment', async () => {
    const buyer = await openWallet(stack);
    const { path, terms } = await handedOut(buyer.address);
    const request = await authorization(buyer, terms);
    const other = await market.payable();
    for (const token of [null, market.token, other.payment.access_token]) {
      for (const name of ['relay', 'transaction']) {
        const body = name === 'relay' ? request : { transaction_hash: null };
        expect((await market.post(`${path}/${name}`, body, token)).status).toBe(401);
      }
      expect((await market.get(path, token)).status).toBe(401);
    }
  });

  test('a cart is not relayed', async () => {
    const buyer = await openWallet(stack);
    const legs = [10, 15.5].map((paid_price) => ({ payment_address: strangerAddress(), paid_price }));
    const { payment } = await market.payable({ legs });
    const path = `/widget/payments/${payment.id}`;
    const { json } = await market.get(`${path}?payer=${buyer.address}`, payment.access_token);
    const terms = parseTerms(json.contract.arguments[0][0]);
    const answer = await market.post(`${path}/relay`, await authorization(buyer, terms), payment.access_token);
    expect(answer.json).toMatchObject({
      code: 'illegal_transition',
      detail: 'A payment to several payees is not relayed.',
    });
  });

  test('429: a payer whose signatures failed three times today', async () => {
    const buyer = await openWallet(stack);
    const { payment, terms, post } = await handedOut(buyer.address);
    const request = await authorization(buyer, terms);
    const { sql, nodeId, networkId } = market;
    for (let failed = 0; failed < 3; failed += 1) {
      await sql`
        insert into operation ${sql({
          ...{ nodeId, id: crypto.randomUUID(), paymentId: payment.id, legId: null, networkId, stray: false },
          ...{ verb: 'depositWithAuthorization', status: 'failed' },
          relay: sql.json({ form: 'authorization', payer: buyer.address.toLowerCase() }),
        })}`;
    }
    const { status, json } = await post('relay', request);
    expect([status, json.code]).toEqual([429, 'rate_limited']);
  });
});

describe('the quota of a node', () => {
  test('0: nothing is relayed, and the widget knows; null: as above it', async () => {
    const own = await openMarketplace();
    const buyer = await openWallet(stack);
    const { payment } = await own.payable();
    const path = `/widget/payments/${payment.id}`;
    const set = (relays_per_day: number | null) =>
      own.call('PATCH', `/nodes/${own.nodeId}`, { body: { relays_per_day } });
    expect((await set(0)).json.relays_per_day).toBe(0);
    const { json } = await own.get(`${path}?payer=${buyer.address}`, payment.access_token);
    expect(json.relays).toBe(false);
    const request = await authorization(buyer, termsOf(json));
    expect((await own.post(`${path}/relay`, request, payment.access_token)).status).toBe(429);
    expect((await set(-1)).json.errors[0].pointer).toBe('/relays_per_day');
    await set(null);
    expect((await own.post(`${path}/relay`, request, payment.access_token)).status).toBe(202);
    await own.untilStatus(payment.id, 'funded');
    await own.close();
  });
});

describe('a cancellation', () => {
  test('closes the offer and every form that was handed out: no signature opens the deal any more', async () => {
    const [buyer, other] = [await openWallet(stack), await openWallet(stack)];
    const { payment, path, terms, post } = await handedOut(buyer.address);
    const { json } = await market.get(`${path}?payer=${other.address}`, payment.access_token);
    await market.post(`/payments/${payment.id}/cancel`);
    await market.untilStatus(payment.id, 'cancelled');
    for (const form of [terms, termsOf(json)]) expect(await statusOnChain(idOf(form))).toBe(3);
    expect((await post('relay', await authorization(buyer, terms))).json.code).toBe('illegal_transition');
    await expect(buyer.deposit(terms)).rejects.toThrow('WrongStatus');
    await expect(other.deposit({ ...terms, payer: '0x0000000000000000000000000000000000000000' })).rejects.toThrow(
      'OfferClosed',
    );
  });
});

describe('a deposit that was first', () => {
  test('is refunded by the cancellation that wanted to close its form', async () => {
    const buyer = await openWallet(stack);
    const { payment, terms } = await handedOut(buyer.address);
    await buyer.deposit(terms);
    expect((await market.post(`/payments/${payment.id}/cancel`)).status).toBe(202);
    await market.untilStatus(payment.id, 'refunded');
    expect(await buyer.balance()).toBe(1_000_000_000n);
  });
});

describe('POST /api/v1/widget/payments/{id}/transaction', () => {
  test('keeps the hash for other devices, moves nothing, and forgets it when it was dropped', async () => {
    const { payment, path, post } = await handedOut(strangerAddress());
    const hash = `0x${'Ab'.repeat(32)}`;
    const read = async () => (await market.get(path, payment.access_token)).json;
    expect((await post('transaction', { transaction_hash: hash })).status).toBe(204);
    expect(await read()).toMatchObject({ reported_hash: hash.toLowerCase(), status: 'awaiting_deposit' });
    expect((await post('transaction', { transaction_hash: null })).status).toBe(204);
    expect((await read()).reported_hash).toBeNull();
    expect((await post('transaction', { transaction_hash: '0x12' })).json.errors[0].pointer).toBe('/transaction_hash');
  });
});

async function relays(paymentId: string) {
  return await market.sql`select * from operation where payment_id = ${paymentId} and relay is not null`;
}

async function statusOnChain(id: Hex): Promise<number> {
  const read = { address: stack.diamond, abi: escrowAbi, functionName: 'getDeal', args: [id] } as const;
  return (await chainOf(stack).readContract(read)).status;
}
