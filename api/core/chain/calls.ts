// Owns what an operation calls on the diamond, as calldata and in words. Knows no chain, no key and no database.
import {
  decodeFunctionData,
  encodeFunctionData,
  type Hex,
  parseSignature,
  size,
  toFunctionSelector,
  zeroAddress,
  zeroHash,
} from 'viem';
import { escrowAbi } from '../../../contracts/abi.ts';
import type { Terms } from '../../../contracts/terms.ts';
import type { OperationRow, RelayedSignature } from '../schema.ts';
import { type TermsJson, termsFromJson } from './terms.ts';

/** What of an operation its call depends on. */
export type OperationCall = Pick<OperationRow, 'verb' | 'terms' | 'amountUnits' | 'arguments' | 'relay'>;

const ECDSA_BYTES = 65;

/** The calldata of an operation that has something to send. */
export function callData({ verb, terms: json, amountUnits, arguments: more, relay }: OperationCall): Hex {
  if (verb === 'withdraw') {
    const { token = zeroAddress, account = zeroAddress } = more ?? {};
    return encodeFunctionData({ abi: escrowAbi, functionName: verb, args: [token, account] });
  }
  if (Array.isArray(json)) {
    const list = json.map((terms) => termsFromJson(terms as TermsJson));
    return encodeFunctionData({ abi: escrowAbi, functionName: 'cancelMany', args: [list] });
  }
  const terms = termsFromJson(json as TermsJson);
  switch (verb) {
    case 'release':
    case 'cancelDeal':
    case 'withdrawDispute':
      return encodeFunctionData({ abi: escrowAbi, functionName: verb, args: [terms] });
    case 'releasePart':
    case 'refundPart':
    case 'resolve':
    case 'returnPayment':
      return encodeFunctionData({ abi: escrowAbi, functionName: verb, args: [terms, amountUnits ?? 0n] });
    case 'openDispute':
      return encodeFunctionData({ abi: escrowAbi, functionName: verb, args: [terms, more?.evidence ?? zeroHash] });
    case 'settle': {
      const { deadline = '0', payerSignature = '0x', payeeSignature = '0x' } = more ?? {};
      const args = [terms, amountUnits ?? 0n, BigInt(deadline), payerSignature, payeeSignature] as const;
      return encodeFunctionData({ abi: escrowAbi, functionName: verb, args });
    }
    case 'depositWithAuthorization':
    case 'depositWithPermit2':
      return relayedDeposit(terms, relay);
    case 'refundExcess':
      throw new Error('No contract gives excess back; a provider does.');
  }
}

function relayedDeposit(terms: Terms, relay: RelayedSignature | null): Hex {
  if (!relay) throw new Error('There is no signature to relay.');
  const { signature } = relay;
  if (relay.form === 'permit2') {
    const args = [terms, BigInt(relay.nonce), BigInt(relay.deadline), signature] as const;
    return encodeFunctionData({ abi: escrowAbi, functionName: 'depositWithPermit2', args });
  }
  const validBefore = BigInt(relay.validBefore);
  // The standard's form is what every such token has; signatures of accounts with code need the other one.
  if (size(signature) !== ECDSA_BYTES || !/(00|01|1b|1c)$/i.test(signature)) {
    const args = [terms, 0n, validBefore, signature] as const;
    return encodeFunctionData({ abi: escrowAbi, functionName: 'depositWithAuthorization', args });
  }
  const { r, s, yParity } = parseSignature(signature);
  const args = [terms, 0n, validBefore, 27 + yParity, r, s] as const;
  return encodeFunctionData({ abi: escrowAbi, functionName: 'depositWithAuthorization', args });
}

/** A value of a call as JSON carries it: integers as decimal text, a struct as an object. */
export type JsonValue = string | number | boolean | JsonValue[] | { [name: string]: JsonValue };

/** A call of the diamond in words: its function and its arguments by name. */
export type DecodedCall = { functionName: string; arguments: Record<string, JsonValue> };

/** Reads calldata of the diamond back. @throws viem's error when it is none */
export function decodeCall(data: Hex): DecodedCall {
  const { functionName, args = [] } = decodeFunctionData({ abi: escrowAbi, data });
  const entry = escrowAbi.find(
    (item) => item.type === 'function' && item.name === functionName && toFunctionSelector(item) === data.slice(0, 10),
  );
  const inputs = entry && 'inputs' in entry ? entry.inputs : [];
  return { functionName, arguments: named(inputs, args) };
}

function named(inputs: readonly { name?: string }[], args: readonly unknown[]): Record<string, JsonValue> {
  return Object.fromEntries(inputs.map(({ name }, index) => [name || String(index), toJson(args[index])]));
}

function toJson(value: unknown): JsonValue {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, toJson(part)]));
  }
  return value as string | number | boolean;
}
