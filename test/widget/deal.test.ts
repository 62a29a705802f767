// What the widget believes of a payment's data: nothing that does not hash to the offer, nothing the page knows better.
import { type Address, decodeFunctionData, type Hex, toFunctionSelector, zeroAddress } from 'viem';
import { toFunctionSignature } from 'viem/utils';
import { describe, expect, test } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import { dealId, offerId, type Terms } from '../../contracts/terms.ts';
import { readBatch } from '../../widget/deposit/batch.ts';
import { agreeOnId, dealIdFor, Mismatch, openDeal } from '../../widget/deposit/deal.ts';
import { depositCall } from '../../widget/deposit/escrow.ts';
import { contractErrors, problemOf } from '../../widget/deposit/problem.ts';
import type { ChainPayment, TermsJson } from '../../widget/payment.ts';
import type { ProblemCode } from '../../widget/snapshot.ts';

const address = (digit: string): Address => `0x${digit.repeat(40)}`;
const terms: Terms = {
  ref: (7n << 192n) | 5n,
  operator: address('1'),
  payee: address('2'),
  payer: zeroAddress,
  token: address('3'),
  amount: 25_500_000n,
  fee: 255_000n,
  feeRecipient: address('4'),
  arbiter: zeroAddress,
  depositDeadline: 2_000_000_000n,
  settlementDeadline: 2_000_010_000n,
  resolutionDeadline: 2_000_020_000n,
  defaultOutcome: 0,
};
const diamond = address('9');

function paymentOf(changed: Partial<Terms> = {}, fields: Partial<ChainPayment> = {}): ChainPayment {
  const json = Object.fromEntries(
    Object.entries({ ...terms, ...changed }).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? `${value}` : value,
    ]),
  );
  return {
    external_id: 'order-1',
    payment_method: 'web3',
    rail: null,
    network_id: 31337,
    price_units: '25500000',
    price_decimals: 6,
    payment_address: terms.payee,
    diamond_address: diamond,
    currency: 'USDC',
    token_address: terms.token,
    status: 'awaiting_deposit',
    transaction_hash: null,
    reported_hash: null,
    relays: true,
    relay: null,
    signatures: { domain: null, permit: false, authorization: { standard: false, bytes: false }, permit2: null },
    expires_at: '2033-05-18T03:33:20Z',
    offer_hash: offerId(terms, 31337, diamond),
    deal_hash: null,
    legs: [legOf(terms, offerId(terms, 31337, diamond))],
    confirmations: 1,
    fiat_estimate: null,
    contract: { function_name: 'deposit', arguments: [json] },
    ...fields,
  };
}

/** A leg that nobody has paid yet. */
function legOf({ payee, amount }: Terms, offer_hash: Hex, leg = 0): ChainPayment['legs'][number] {
  return {
    ...{ leg, payment_address: payee, price_units: `${amount}`, offer_hash, status: 'awaiting_deposit' },
    ...{ released_units: '0', refunded_units: '0', refund_request: null, split_proposals: [] },
  };
}

/** The fields in which a payment of one leg tells the hash of these terms. */
function hashOf(changed: Terms): Partial<ChainPayment> {
  const offer_hash = dealId(changed, 31337, diamond);
  return { offer_hash, legs: [legOf(changed, offer_hash)] };
}

describe('openDeal', () => {
  test('takes data that agrees with itself', () => {
    expect(openDeal(paymentOf(), {}, null)).toEqual({
      legs: [{ terms, offer: offerId(terms, 31337, diamond) }],
      token: terms.token,
      amountUnits: terms.amount,
      chainId: 31337,
      diamond,
    });
  });

  const other: Record<keyof Terms, bigint | Address | number> = {
    ref: 1n,
    operator: address('a'),
    payee: address('a'),
    payer: address('a'),
    token: address('a'),
    amount: 1n,
    fee: 1n,
    feeRecipient: address('a'),
    arbiter: address('a'),
    depositDeadline: 1n,
    settlementDeadline: 1n,
    resolutionDeadline: 1n,
    defaultOutcome: 1,
  };
  test.each(Object.entries(other))('refuses terms with another %s', (field, value) => {
    expect(() => openDeal(paymentOf({ [field]: value }), {}, null)).toThrow(Mismatch);
  });

  test('refuses terms that name a payer, even when their hash is given', () => {
    const named = { ...terms, payer: address('a') };
    const payment = paymentOf(named, hashOf(named));
    expect(() => openDeal(payment, {}, null)).toThrow(Mismatch);
  });

  test.each([
    ['network_id', 1],
    ['diamond_address', address('a')],
    ['price_units', '1'],
    ['payment_address', address('a')],
    ['token_address', address('a')],
    ['offer_hash', null],
    ['contract', { function_name: 'approve', arguments: paymentOf().contract?.arguments }],
    ['contract', { function_name: 'deposit', arguments: [] }],
  ])('refuses data with another %s', (field, value) => {
    expect(() => openDeal(paymentOf({}, { [field]: value }), {}, null)).toThrow(Mismatch);
  });

  test('refuses what the page does not expect, and takes it in any capitals', () => {
    const right = { chainId: 31337, diamond, token: terms.token, payee: terms.payee, amountUnits: '25500000' };
    expect(() => openDeal(paymentOf(), right, null)).not.toThrow();
    const wrong = { chainId: 1, diamond: address('a'), token: address('a'), payee: address('a'), amountUnits: 1n };
    for (const [field, value] of Object.entries(wrong)) {
      expect(() => openDeal(paymentOf(), { ...right, [field]: value }, null), field).toThrow(Mismatch);
    }
  });

  test('refuses another offer than was read before', () => {
    const before = openDeal(paymentOf(), {}, null);
    const changed = { ...terms, ref: 1n };
    const payment = paymentOf(changed, hashOf(changed));
    expect(() => openDeal(payment, {}, before)).toThrow(Mismatch);
  });

  test("the depositor becomes the payer in the deal's id", () => {
    const deal = openDeal(paymentOf(), {}, null);
    const id = dealId({ ...terms, payer: address('a') }, 31337, diamond);
    expect(dealIdFor(deal, deal.legs[0], address('a'))).toBe(id);
    expect(() => agreeOnId(deal, deal.legs[0], address('b'), id)).toThrow(Mismatch);
  });
});

describe('openDeal, of a cart', () => {
  const second = { ...terms, ref: 6n, payee: address('5'), amount: 1_500_000n, fee: 15_000n };

  /** A payment of two legs, 25.5 and 1.5. */
  function cartOf(list: Terms[] = [terms, second], fields: Partial<ChainPayment> = {}): ChainPayment {
    const calls = list.map((leg) => paymentOf(leg).contract?.arguments[0] as TermsJson);
    const legs = [terms, second].map((leg, index) => legOf(leg, offerId(leg, 31337, diamond), index));
    const contract = { function_name: 'depositMany', arguments: [calls] };
    return paymentOf({}, { price_units: '27000000', legs, contract, ...fields });
  }

  test('takes every leg, and their sum', () => {
    const deal = openDeal(cartOf(), {}, null);
    expect(deal.legs.map((leg) => leg.terms)).toEqual([terms, second]);
    expect(deal.amountUnits).toBe(27_000_000n);
    expect(decodeFunctionData({ abi: escrowAbi, data: depositCall(deal).data })).toEqual({
      functionName: 'depositMany',
      args: [[terms, second]],
    });
  });

  test('takes what is left once a leg is paid, and nothing new', () => {
    const before = openDeal(cartOf(), {}, null);
    const rest = openDeal(cartOf([second]), {}, before);
    expect(rest.amountUnits).toBe(1_500_000n);
    expect(() => openDeal(cartOf([{ ...second, ref: 9n }]), {}, before)).toThrow(Mismatch);
  });

  test.each([
    ['price', { price_units: '1' }],
    ['function', { contract: { function_name: 'deposit', arguments: cartOf().contract?.arguments ?? [] } }],
  ])('refuses another %s', (_what, fields) => {
    expect(() => openDeal(cartOf([terms, second], fields), {}, null)).toThrow(Mismatch);
  });

  test('refuses a leg whose payee, amount or terms are not what the payment says', () => {
    for (const change of [{ payee: address('a') }, { amount: 1n }, { ref: 8n }]) {
      expect(() => openDeal(cartOf([terms, { ...second, ...change }]), {}, null)).toThrow(Mismatch);
    }
  });
});

describe('the pinned calls', () => {
  const signatures = (type: 'function' | 'error') =>
    escrowAbi.flatMap((entry) =>
      entry.type === type
        ? [toFunctionSignature({ ...entry, type: 'function', outputs: [], stateMutability: 'view' })]
        : [],
    );

  test("deposit is the diamond's", () => {
    const { data } = depositCall(openDeal(paymentOf(), {}, null));
    const selectors = signatures('function')
      .filter((text) => text.startsWith('deposit('))
      .map(toFunctionSelector);
    expect(selectors).toEqual([data.slice(0, 10)]);
  });

  test("each error that has words is one of the diamond's", () => {
    expect(signatures('error')).toEqual(expect.arrayContaining(Object.keys(contractErrors)));
  });
});

describe('readBatch', () => {
  const hash = `0x${'ab'.repeat(32)}`;
  test.each([
    [100, 'pending'],
    [200, 'mined'],
    [400, 'failed'],
    [500, 'failed'],
    [600, 'failed'],
    // Of wallets that keep to the standard's first version, or to none: never a failure that is none.
    ['PENDING', 'pending'],
    ['CONFIRMED', 'pending'],
    [undefined, 'pending'],
    [null, 'pending'],
  ])('status %j is %s', async (status, state) => {
    const receipts = [{ transactionHash: hash }];
    expect(await readBatch({ request: async () => ({ status, receipts }) }, 'id')).toEqual({ state, hash });
    expect(await readBatch({ request: async () => ({ status, receipts: 'none' }) }, 'id')).toEqual({
      state,
      hash: null,
    });
  });
});

describe('problemOf', () => {
  const closed = `${toFunctionSelector('OfferClosed(bytes32)')}${'00'.repeat(32)}`;
  const told: [string, unknown, ProblemCode][] = [
    ['a refusal', { code: 4001 }, 'rejected'],
    ['a refusal that wagmi wrapped', { code: 4001, cause: { code: 4001 } }, 'rejected'],
    ['a failure that wagmi wrapped into a refusal', { code: 4001, cause: { code: -32602 } }, 'wallet_failed'],
    ['an open question', { code: -32002 }, 'wallet_busy'],
    ['an unknown chain', { code: 4902 }, 'unknown_chain'],
    ['a revert as Hardhat tells it', { code: 3, data: closed }, 'offer_closed'],
    ['a revert as wallets tell it', { code: -32603, data: { code: 3, data: closed } }, 'offer_closed'],
    ['a revert of another contract', { code: 3, data: '0x12345678' }, 'reverted'],
    ['a revert in words alone', { code: -32000, message: 'execution reverted' }, 'reverted'],
    ['no error at all', undefined, 'wallet_failed'],
    ['a text', 'User rejected the request.', 'wallet_failed'],
  ];
  test.each(told)('%s', (_, error, code) => {
    expect(problemOf(error).code).toBe(code);
  });

  const codes: Partial<Record<ProblemCode, number[]>> = {
    rejected: [4001, 4100, 5000, 5750],
    wallet_busy: [-32002],
    unknown_chain: [4902],
    network_down: [4900, 4901, -32005],
    wallet_failed: [4200, 5700, 5710, 5720, 5740, 5760, -32000, -32601, -32602, -32603],
  };
  test.each(Object.entries(codes))('%s is told by %j', (problem, numbers) => {
    for (const code of numbers) expect(problemOf({ code }).code, `${code}`).toBe(problem);
    for (const code of numbers) expect(problemOf({ code: -1, cause: { code } }).code, `${code}`).toBe(problem);
  });
});
