// Owns reading an amount that somebody typed: decimal text to base units, through no float.
import { parseUnits } from 'viem';

/** Why a text is no amount: none at all, finer than the token, more than there is, or nothing. */
export type AmountFault = 'none' | 'fine' | 'high' | 'zero';

/** The amount in base units, least to most. A comma is a decimal point, as half the world writes it. */
export function readAmount(
  text: string,
  { decimals, least, most }: { decimals: number; least: bigint; most: bigint },
): bigint | AmountFault {
  const match = /^(\d{1,40})(?:[.,](\d{1,80}))?$/.exec(text.trim());
  if (!match) return 'none';
  const [, whole = '0', fraction = ''] = match;
  if (fraction.replace(/0+$/, '').length > decimals) return 'fine';
  const units = parseUnits(`${whole}.${fraction.slice(0, decimals)}`, decimals);
  if (units > most) return 'high';
  return units < least ? 'zero' : units;
}
