// Owns the form in which terms travel through JSON: integers as decimal text, everything else as it is.
import type { Terms } from '../../contracts/terms.ts';

/** Terms as JSON can carry them: integers as decimal text. */
export type TermsJson = { [Field in keyof Terms]: Terms[Field] extends bigint ? string : Terms[Field] };

/** Terms → JSON. */
export function termsToJson(terms: Terms): TermsJson {
  return Object.fromEntries(
    Object.entries(terms).map(([field, value]) => [field, typeof value === 'bigint' ? value.toString() : value]),
  ) as TermsJson;
}

/** JSON → terms. */
export function termsFromJson(json: TermsJson): Terms {
  return {
    ...json,
    ref: BigInt(json.ref),
    amount: BigInt(json.amount),
    fee: BigInt(json.fee),
    depositDeadline: BigInt(json.depositDeadline),
    settlementDeadline: BigInt(json.settlementDeadline),
    resolutionDeadline: BigInt(json.resolutionDeadline),
  };
}
