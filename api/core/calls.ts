// Owns what an operation calls on the diamond: its calldata. Knows no chain, no key and no database.
import { encodeFunctionData, type Hex } from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import type { OperationRow } from './schema.ts';
import { type TermsJson, termsFromJson } from './terms.ts';

/** What of an operation its call depends on. */
export type OperationCall = Pick<OperationRow, 'verb' | 'terms' | 'amountUnits'>;

/** The calldata of an operation that has something to send. */
export function callData({ verb, terms: json, amountUnits }: OperationCall): Hex {
  const terms = termsFromJson(json as TermsJson);
  switch (verb) {
    case 'release':
    case 'cancelDeal':
      return encodeFunctionData({ abi: escrowAbi, functionName: verb, args: [terms] });
    case 'releasePart':
    case 'refundPart':
      return encodeFunctionData({ abi: escrowAbi, functionName: verb, args: [terms, amountUnits ?? 0n] });
  }
}
