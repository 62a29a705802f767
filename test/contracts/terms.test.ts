/** What TypeScript computes of deals and signs for them, held against the diamond and the real Permit2 on an in-process chain. */
import { randomBytes } from 'node:crypto';
import { type Address, decodeEventLog, getAddress, type Hex, toHex, zeroAddress } from 'viem';
import { beforeAll, describe, expect, test } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import {
  dealId,
  decodeDealState,
  feeAt,
  MAX_AMOUNT,
  MAXIMUM_HORIZON_SECONDS,
  MINIMUM_GAP_SECONDS,
  offerId,
  statusNames,
  type Terms,
} from '../../contracts/terms.ts';
import {
  authorizationTypes,
  cartHash,
  escrowDomain,
  permit2CartTypes,
  permit2DealMessage,
  permit2DealTypes,
  permit2Domain,
  settlementTypes,
} from '../../contracts/typed-data.ts';
import { AMOUNT, encodeEscrowCall, type Stage, setStage } from '../../scripts/bench/gas-stage.ts';
import { readPermit2Code } from '../support/permit2.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await setStage('plain', readPermit2Code());
  await stage.endow(stage.roles.payer, stage.permit2);
});

function read<T extends 'dealId' | 'getDeal'>(functionName: T, args: readonly unknown[]) {
  return stage.reader.readContract({ abi: escrowAbi, address: stage.diamond, functionName, args: args as never });
}

async function statusOf(terms: Terms) {
  const deal = await read('getDeal', [stage.idOf(terms)]);
  return typeof deal === 'string' ? undefined : statusNames[deal.status];
}

async function refusal(send: Promise<unknown>): Promise<string> {
  try {
    await send;
  } catch (error) {
    return String(error);
  }
  return 'accepted';
}

describe('dealId', () => {
  test('is what the diamond computes, for random terms', async () => {
    for (let i = 0; i < 20; i++) {
      const word = () => BigInt(toHex(randomBytes(32)));
      const address = (): Address => getAddress(toHex(randomBytes(20)));
      const terms: Terms = {
        ref: word(),
        operator: address(),
        payee: address(),
        payer: address(),
        token: address(),
        amount: word(),
        fee: word(),
        feeRecipient: address(),
        arbiter: address(),
        depositDeadline: word(),
        settlementDeadline: word(),
        resolutionDeadline: word(),
        defaultOutcome: i % 2,
      };
      expect(dealId(terms, stage.chainId, stage.diamond)).toBe(await read('dealId', [terms]));
      expect(offerId(terms, stage.chainId, stage.diamond)).toBe(
        await read('dealId', [{ ...terms, payer: zeroAddress }]),
      );
    }
  });

  test('is another one for another chain and another diamond', async () => {
    const terms = await stage.newTerms();
    const ids = [
      dealId(terms, stage.chainId, stage.diamond),
      dealId(terms, 1, stage.diamond),
      dealId(terms, stage.chainId, stage.token),
      offerId(terms, stage.chainId, stage.diamond),
    ];
    expect(new Set(ids).size).toBe(4);
  });
});

describe('limits', () => {
  test('are those of the diamond', async () => {
    const { payer } = stage.roles;
    const terms = await stage.newTerms();
    const deposit = (changes: Partial<Terms>) =>
      refusal(stage.send(payer, stage.diamond, encodeEscrowCall('deposit', [{ ...terms, ...changes }])));
    expect(await deposit({ amount: MAX_AMOUNT + 1n })).toContain('AmountOutOfRange');
    expect(await deposit({ amount: MAX_AMOUNT, fee: 0n })).toContain('TransferFailed');
    const tooSoon = terms.depositDeadline + MINIMUM_GAP_SECONDS - 1n;
    expect(await deposit({ settlementDeadline: tooSoon })).toContain('DeadlineGap');
    const tooFar = terms.depositDeadline + MAXIMUM_HORIZON_SECONDS;
    expect(await deposit({ resolutionDeadline: tooFar })).toContain('DeadlineTooFar');
    expect(await deposit({ settlementDeadline: tooSoon + 1n })).toBe('accepted');
  });
});

describe('decodeDealState', () => {
  test('reads the state that an event carries, and feeAt the credit that it means', async () => {
    const { payer, feeRecipient } = stage.roles;
    const terms = await stage.newTerms({ fee: 333_333n });
    await stage.send(payer, stage.diamond, encodeEscrowCall('deposit', [terms]));
    await stage.send(payer, stage.diamond, encodeEscrowCall('releasePart', [terms, 77_777_777n]));
    const [log] = await stage.reader.getLogs({ address: stage.diamond, fromBlock: 'latest' });
    const event = decodeEventLog({ abi: escrowAbi, data: log!.data, topics: log!.topics });
    if (event.eventName !== 'Released') throw new Error(`not a release but ${event.eventName}`);
    expect(decodeDealState(event.args.state)).toEqual({ released: 77_777_777n, refunded: 0n, status: 'Funded' });
    const credit = await stage.reader.readContract({
      abi: escrowAbi,
      address: stage.diamond,
      functionName: 'creditOf',
      args: [stage.token, feeRecipient.address],
    });
    expect(feeAt(terms, 77_777_777n)).toBe(credit);
  });

  test('reads a dispute opened by the payee as disputed', () => {
    expect(decodeDealState((1n << 248n) | (2n << 240n) | (5n << 120n) | 3n)).toEqual({
      released: 3n,
      refunded: 5n,
      status: 'Disputed',
    });
  });

  test('error: a status that no contract writes', () => {
    expect(() => decodeDealState(9n << 240n)).toThrow(RangeError);
  });
});

describe('signatures', () => {
  test('an ERC-3009 authorization opens its deal', async () => {
    const { payer, relayer } = stage.roles;
    const terms = await stage.newTerms();
    const signature = await authorize(stage.idOf(terms), AMOUNT, terms.depositDeadline);
    const args = [terms, 0n, terms.depositDeadline, signature];
    await stage.send(relayer, stage.diamond, encodeEscrowCall('depositWithAuthorization', args));
    expect(await statusOf(terms)).toBe('Funded');
    expect(payer.address).toBe(terms.payer);
  });

  test('an ERC-3009 authorization of a cart opens all its deals', async () => {
    const list = [await stage.newTerms(), await stage.newTerms()];
    const signature = await authorize(cartHash(list.map(stage.idOf)), 2n * AMOUNT, list[0]!.depositDeadline);
    const args = [list, 0n, list[0]!.depositDeadline, signature];
    await stage.send(stage.roles.relayer, stage.diamond, encodeEscrowCall('depositManyWithAuthorization', args));
    expect(await statusOf(list[1]!)).toBe('Funded');
  });

  test('a Permit2 transfer opens the deal that is its witness', async () => {
    const { payer, relayer } = stage.roles;
    const terms = await stage.newTerms();
    const signature = await payer.signTypedData({
      domain: permit2Domain(stage.chainId, stage.permit2),
      types: permit2DealTypes,
      primaryType: 'PermitWitnessTransferFrom',
      message: permit2DealMessage(terms, stage.diamond, 0n, terms.depositDeadline),
    });
    const args = [terms, 0n, terms.depositDeadline, signature];
    await stage.send(relayer, stage.diamond, encodeEscrowCall('depositWithPermit2', args));
    expect(await statusOf(terms)).toBe('Funded');
  });

  test('a Permit2 transfer opens the cart that is its witness', async () => {
    const { payer, relayer } = stage.roles;
    const list = [await stage.newTerms(), await stage.newTerms()];
    const deadline = list[0]!.depositDeadline;
    const signature = await payer.signTypedData({
      domain: permit2Domain(stage.chainId, stage.permit2),
      types: permit2CartTypes,
      primaryType: 'PermitWitnessTransferFrom',
      message: {
        permitted: { token: stage.token, amount: 2n * AMOUNT },
        spender: stage.diamond,
        nonce: 1n,
        deadline,
        witness: { deals: cartHash(list.map(stage.idOf)) },
      },
    });
    const args = [list, 1n, deadline, signature];
    await stage.send(relayer, stage.diamond, encodeEscrowCall('depositManyWithPermit2', args));
    expect(await statusOf(list[1]!)).toBe('Funded');
  });

  test('a settlement signed by both parties splits the deal', async () => {
    const { payer, payee, relayer } = stage.roles;
    const terms = await stage.newTerms();
    await stage.send(payer, stage.diamond, encodeEscrowCall('deposit', [terms]));
    const settlement = {
      domain: escrowDomain(stage.chainId, stage.diamond),
      types: settlementTypes,
      primaryType: 'Settlement',
      message: {
        deal: stage.idOf(terms),
        released: 0n,
        refunded: 0n,
        toPayee: 40n,
        toPayer: AMOUNT - 40n,
        deadline: terms.settlementDeadline,
      },
    } as const;
    const both = [await payer.signTypedData(settlement), await payee.signTypedData(settlement)];
    const args = [terms, 40n, terms.settlementDeadline, ...both];
    await stage.send(relayer, stage.diamond, encodeEscrowCall('settle', args));
    expect(await statusOf(terms)).toBe('Settled');
  });
});

async function authorize(nonce: Hex, value: bigint, validBefore: bigint): Promise<Hex> {
  const { payer } = stage.roles;
  return payer.signTypedData({
    domain: { name: 'USD Coin', version: '1', chainId: stage.chainId, verifyingContract: stage.token },
    types: authorizationTypes,
    primaryType: 'ReceiveWithAuthorization',
    message: { from: payer.address, to: stage.diamond, value, validAfter: 0n, validBefore, nonce },
  });
}
