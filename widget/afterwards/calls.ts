/**
 * Owns the calls that a deal takes once it is there, encoded by the generated ABI, what the contract answers, and what it means
 * when it refuses. Readings go to the provider that is handed in; what a node says of a deal must hash to the deal.
 */
import {
  type Address,
  decodeErrorResult,
  decodeFunctionResult,
  encodeFunctionData,
  getAddress,
  type Hex,
  hexToString,
  isHex,
  parseAbi,
  zeroHash,
} from 'viem';
import { diamondCode, escrowAbi } from '../../contracts/abi.ts';
import { logicHash } from '../../contracts/code.ts';
import { dealId, statusNames, type Terms } from '../../contracts/terms.ts';
import { type Call, type Provider, read } from '../deposit/escrow.ts';
import { Problem, problemOf, revertDataOf } from '../deposit/problem.ts';
import type { Standing, Verb } from './options.ts';

/** A deal, and where it is. */
export type Place = { chainId: number; diamond: Address };

/** A token, as it calls itself. */
export type Token = { address: Address; symbol: string; decimals: number };

/** A deal as a node shows it. */
export type DealNow = Place & Standing & { id: Hex; token: Token };

/** The contract's refusal: its error by name, with its arguments. */
export type Refusal = { name: string; args: readonly unknown[] };

/** A split that one party proposes; what was settled before is part of it, so that anything in between voids it. */
export type Split = { toPayee: bigint; deadline: bigint };

const tokenAbi = parseAbi(['function symbol() view returns (string)', 'function decimals() view returns (uint8)']);
const bytes32SymbolAbi = parseAbi(['function symbol() view returns (bytes32)']);

/** The node says something that cannot be: it is on another chain, has another contract, or lies. */
export class WrongNode extends Error {
  override name = 'WrongNode';
  readonly code: 'no_contract' | 'not_escrow' | 'contradicts' | 'not_a_deal';
  constructor(code: WrongNode['code']) {
    super(code);
    this.code = code;
  }
}

/** The call of a verb that needs no signature; `units` is the part, or the payee's share. */
export function verbCall({ diamond, terms }: Place & { terms: Terms }, verb: Verb, units: bigint): Call {
  const data = (() => {
    switch (verb) {
      case 'releasePart':
      case 'refundPart':
      case 'returnPayment':
      case 'resolve':
        return encodeFunctionData({ abi: escrowAbi, functionName: verb, args: [terms, units] });
      case 'openDispute':
        return encodeFunctionData({ abi: escrowAbi, functionName: verb, args: [terms, zeroHash] });
      case 'settle':
        throw new TypeError('A split needs a signature.');
      default:
        return encodeFunctionData({ abi: escrowAbi, functionName: verb, args: [terms] });
    }
  })();
  return { to: diamond, data };
}

/** The call that settles by the other party's signature; the caller's own word is the call. */
export function settleCall(
  { diamond, terms }: Place & { terms: Terms },
  { toPayee, deadline }: Split,
  signature: Hex,
  signedBy: 'payer' | 'payee',
): Call {
  const signatures = signedBy === 'payer' ? ([signature, '0x'] as const) : (['0x', signature] as const);
  const args = [terms, toPayee, deadline, ...signatures] as const;
  return { to: diamond, data: encodeFunctionData({ abi: escrowAbi, functionName: 'settle', args }) };
}

/** The call that pays an account's credit to it. */
export function withdrawCall({ diamond }: Place, token: Address, account: Address): Call {
  const args = [token, account] as const;
  return { to: diamond, data: encodeFunctionData({ abi: escrowAbi, functionName: 'withdraw', args }) };
}

/**
 * Holds the node against what the place says, and answers whether the contract's code is the one that this was built with; a copy of
 * it may still have another owner, who can add to it. @throws WrongNode · Problem network_down
 */
export async function checkPlace(provider: Provider, { chainId, diamond }: Place): Promise<{ isKnownCode: boolean }> {
  const code = await read(provider, 'eth_getCode', [diamond, 'latest']);
  if (code.length <= 2) throw new WrongNode('no_contract');
  // Terms that nobody has: only our contract, on this chain and at this address, hashes them as we do.
  const asked = encodeFunctionData({ abi: escrowAbi, functionName: 'dealId', args: [sample] });
  const id = await read(provider, 'eth_call', [{ to: diamond, data: asked }, 'latest']).catch((error) => {
    throw isNodeTrouble(error) ? error : new WrongNode('not_escrow');
  });
  if (id !== dealId(sample, chainId, diamond)) throw new WrongNode('not_escrow');
  return { isKnownCode: logicHash(code, diamondCode.blanks) === diamondCode.logicHash };
}

const one: Address = '0x0000000000000000000000000000000000000001';
const sample: Terms = {
  ref: 1n,
  ...{ operator: one, payee: one, payer: one, token: one, feeRecipient: one, arbiter: one },
  ...{ amount: 1n, fee: 0n, depositDeadline: 1n, settlementDeadline: 2n, resolutionDeadline: 3n, defaultOutcome: 0 },
};

/** How the deal with these terms stands. @throws WrongNode not_a_deal, contradicts · Problem network_down */
export async function readStanding(provider: Provider, { chainId, diamond }: Place, terms: Terms): Promise<Standing> {
  const call = { abi: escrowAbi, functionName: 'getDeal' } as const;
  const asked = encodeFunctionData({ ...call, args: [dealId(terms, chainId, diamond)] });
  const {
    released,
    refunded,
    status: index,
  } = await view(provider, diamond, asked, (data) => decodeFunctionResult({ ...call, data }));
  const status = statusNames[index];
  if (!status || status === 'None') throw new WrongNode('not_a_deal');
  const isHeld = status === 'Funded' || status === 'Disputed';
  // While money is held no more can have left than came in; given back afterwards, both may be up to the amount.
  if (isHeld ? released + refunded >= terms.amount : released > terms.amount || refunded > terms.amount) {
    throw new WrongNode('contradicts');
  }
  const disputedBy = status === 'Disputed' ? await readDisputing(provider, { chainId, diamond }, terms) : null;
  return { terms, status, released, refunded, disputedBy };
}

/** Who opened the dispute: whom the contract would let give it up. */
async function readDisputing(provider: Provider, place: Place, terms: Terms): Promise<'payer' | 'payee'> {
  const call = verbCall({ ...place, terms }, 'withdrawDispute', 0n);
  try {
    await read(provider, 'eth_call', [{ from: terms.payee, ...call }, 'latest']);
    return 'payee';
  } catch (error) {
    if (isNodeTrouble(error)) throw error;
    return 'payer';
  }
}

/** The newest block's time, in Unix seconds. @throws Problem network_down */
export async function readTime(provider: Provider): Promise<bigint> {
  const block: unknown = await provider
    .request({ method: 'eth_getBlockByNumber', params: ['latest', false] })
    .catch((error) => {
      throw problemOf(error);
    });
  const time: unknown = Object(block).timestamp;
  if (!isHex(time)) throw new Problem('network_down');
  return BigInt(time);
}

/** What a token calls itself, made harmless: no more than 12 letters, digits and signs. @throws Problem network_down */
export async function readToken(provider: Provider, address: Address): Promise<Token> {
  const view = async (functionName: 'symbol' | 'decimals') =>
    await read(provider, 'eth_call', [
      { to: address, data: encodeFunctionData({ abi: tokenAbi, functionName }) },
      'latest',
    ]).catch((error): Hex => {
      if (isNodeTrouble(error)) throw error;
      return '0x';
    });
  const [symbol, decimals] = await Promise.all([view('symbol'), view('decimals')]);
  return { address, symbol: symbolOf(symbol), decimals: decimals.length === 66 ? Number(BigInt(decimals) % 256n) : 0 };
}

function symbolOf(answer: Hex): string {
  const attempts = [
    () => decodeFunctionResult({ abi: tokenAbi, functionName: 'symbol', data: answer }),
    () => hexToString(decodeFunctionResult({ abi: bytes32SymbolAbi, functionName: 'symbol', data: answer })),
  ];
  for (const attempt of attempts) {
    try {
      const symbol = attempt().replace(/[^\p{L}\p{N}.$₮₿+-]/gu, '');
      if (symbol !== '') return symbol.slice(0, 12);
    } catch {
      // Another form, or none.
    }
  }
  return 'token';
}

/** What waits for the account in the contract, in base units. @throws Problem network_down */
export async function readCredit(provider: Provider, { diamond }: Place, token: Address, account: Address) {
  const call = { abi: escrowAbi, functionName: 'creditOf' } as const;
  const asked = encodeFunctionData({ ...call, args: [token, account] });
  return await view(provider, diamond, asked, (data) => decodeFunctionResult({ ...call, data }));
}

/** The contract's refusal behind an error; null where there is none that it knows. */
export function refusalOf(error: unknown): Refusal | null {
  const data = revertDataOf(error);
  if (!data) return null;
  try {
    const { errorName, args } = decodeErrorResult({ abi: escrowAbi, data });
    return { name: errorName, args: args ?? [] };
  } catch {
    return null;
  }
}

/** Whether a node, and not the contract, is what failed. */
function isNodeTrouble(error: unknown): boolean {
  return problemOf(error).code === 'network_down';
}

/** Asks the diamond; what it answers must decode. @throws WrongNode not_escrow · Problem */
async function view<T>(provider: Provider, to: Address, data: Hex, decode: (answer: Hex) => T): Promise<T> {
  const answer = await read(provider, 'eth_call', [{ to, data }, 'latest']);
  try {
    return decode(answer);
  } catch {
    throw new WrongNode('not_escrow');
  }
}

/** An address in any capitals, or null. */
export function addressOf(text: string): Address | null {
  const trimmed = text.trim();
  return /^0x[0-9a-fA-F]{40}$/.test(trimmed) ? getAddress(trimmed.toLowerCase()) : null;
}
