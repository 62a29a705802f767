/**
 * Owns what a wallet signs instead of sending: ERC-2612 permits, ERC-3009 authorizations and Permit2 transfers, each over the
 * terms of one deal and nothing else. Chain, token and contract come from the verified deal; only the names of the token's
 * domain come from the API, and a false one makes the signature worthless.
 */
import { type Address, type Hex, size, slice } from 'viem';
import {
  authorizationTypes,
  permit2DealMessage,
  permit2DealTypes,
  permit2Domain,
  permitTypes,
} from '../../contracts/typed-data.ts';
import type { WidgetPayment } from '../payment.ts';
import { type Deal, dealIdFor } from './deal.ts';
import type { Provider } from './escrow.ts';
import { Problem, problemOf } from './problem.ts';

/** A signature with what it was made over besides the terms. Times in Unix seconds. */
export type Signed =
  | { step: 'permit'; deadline: bigint; signature: Hex }
  | { step: 'authorize'; validBefore: bigint; signature: Hex }
  | { step: 'permit2'; nonce: bigint; deadline: bigint; signature: Hex };

const VALID_SECONDS = 3_600;
const ECDSA_BYTES = 65;

/** Asks for the account's ERC-2612 permit over exactly the amount; `nonce` is the token's. @throws Problem */
export async function signPermit(
  provider: Provider,
  account: Address,
  deal: Deal,
  { signatures }: WidgetPayment,
  nonce: bigint,
): Promise<Signed> {
  const deadline = soon();
  const message = { owner: account, spender: deal.diamond, value: deal.amountUnits, nonce, deadline };
  const signature = await sign(provider, account, tokenDomain(deal, signatures), permitTypes, message);
  return { step: 'permit', deadline, signature };
}

/** Asks for the account's ERC-3009 authorization, whose nonce is the deal. @throws Problem */
export async function signAuthorization(
  provider: Provider,
  account: Address,
  deal: Deal,
  { signatures }: WidgetPayment,
): Promise<Signed> {
  const validBefore = soon();
  const [leg] = deal.legs;
  const message = {
    from: account,
    to: deal.diamond,
    value: deal.amountUnits,
    validAfter: 0n,
    validBefore,
    nonce: dealIdFor(deal, leg, account),
  };
  const signature = await sign(provider, account, tokenDomain(deal, signatures), authorizationTypes, message);
  return { step: 'authorize', validBefore, signature };
}

/** Asks for the account's Permit2 transfer with the terms as witness. @throws Problem */
export async function signPermit2(
  provider: Provider,
  account: Address,
  deal: Deal,
  permit2: Address,
  nonce: bigint,
): Promise<Signed> {
  const deadline = soon();
  const [{ terms }] = deal.legs;
  const message = permit2DealMessage({ ...terms, payer: account }, deal.diamond, nonce, deadline);
  const signature = await sign(provider, account, permit2Domain(deal.chainId, permit2), permit2DealTypes, message);
  return { step: 'permit2', nonce, deadline, signature };
}

// viem's own parser brings 16 KiB of elliptic curves along.
/** A 65-byte signature in its parts; null for one that only a contract can judge. */
export function split(signature: Hex): { v: number; r: Hex; s: Hex } | null {
  const recovery = Number.parseInt(signature.slice(130), 16);
  if (size(signature) !== ECDSA_BYTES || ![0, 1, 27, 28].includes(recovery)) return null;
  return { v: 27 + (recovery % 27), r: slice(signature, 0, 32), s: slice(signature, 32, 64) };
}

function soon(): bigint {
  return BigInt(Math.floor(Date.now() / 1_000) + VALID_SECONDS);
}

function tokenDomain({ chainId, token }: Deal, { domain }: WidgetPayment['signatures']) {
  if (!domain) throw new Problem('signature_failed');
  return { name: domain.name, version: domain.version, chainId, verifyingContract: token };
}

const domainFields: Record<string, string> = {
  name: 'string',
  version: 'string',
  chainId: 'uint256',
  verifyingContract: 'address',
};

/** Has typed data signed; the primary type stands first among the types. @throws Problem */
export async function sign(
  provider: Provider,
  account: Address,
  domain: object,
  types: Readonly<Record<string, readonly { readonly name: string; readonly type: string }[]>>,
  message: object,
): Promise<Hex> {
  const EIP712Domain = Object.keys(domain).map((name) => ({ name, type: domainFields[name] }));
  // The primary type stands first in each table of types.
  const data = { domain, types: { EIP712Domain, ...types }, primaryType: Object.keys(types)[0], message };
  const json = JSON.stringify(data, (_, value) => (typeof value === 'bigint' ? `${value}` : value));
  try {
    const signature = await provider.request({ method: 'eth_signTypedData_v4', params: [account, json] });
    if (typeof signature !== 'string' || !/^0x([0-9a-fA-F]{2}){64,}$/.test(signature))
      throw new Problem('signature_failed');
    return signature as Hex;
  } catch (error) {
    const problem = problemOf(error);
    const ownersWord = problem.code === 'rejected' || problem.code === 'wallet_busy';
    throw ownersWord ? problem : new Problem('signature_failed', { cause: error });
  }
}
