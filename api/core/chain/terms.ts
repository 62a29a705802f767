// Owns the form in which terms travel through JSON: integers as decimal text, everything else as it is.
import { type Terms, termsParameters } from '../../../contracts/terms.ts';

/** Terms as JSON can carry them: integers as decimal text. */
export type TermsJson = { [Field in keyof Terms]: Terms[Field] extends bigint ? string : Terms[Field] };

/** Terms → JSON. */
export function termsToJson(terms: Terms): TermsJson {
  return Object.fromEntries(
    Object.entries(terms).map(([field, value]) => [field, typeof value === 'bigint' ? value.toString() : value]),
  ) as TermsJson;
}

/** JSON → terms, with their fields in the order of the struct: viem tells overloads apart by it, and jsonb keeps no order. */
export function termsFromJson(json: TermsJson): Terms {
  return Object.fromEntries(
    termsParameters.map(({ name, type }) => [name, type === 'uint256' ? BigInt(json[name]) : json[name]]),
  ) as unknown as Terms;
}
