// Owns the way between decimals as people write them and integer base units. No float ever touches an amount.

// A JSON number may carry any exponent; beyond this one no currency's amount is meant, only a very long string.
const MAX_EXPONENT = 80;
const JSON_NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,4}))?$/;

/** A decimal that cannot be an amount; the message says why and is safe to show. */
export class AmountError extends Error {}

/**
 * Parses a decimal's own text into base units; never rounds.
 * @throws AmountError when the text is no decimal, is negative, has more decimals than the currency or is too large.
 */
export function parseUnits(text: string, decimals: number): bigint {
  const match = JSON_NUMBER.exec(text);
  if (!match) throw new AmountError('must be a decimal number');
  const [, sign, whole = '', fraction = '', exponentText = '0'] = match;
  const exponent = Number(exponentText);
  if (Math.abs(exponent) > MAX_EXPONENT) throw new AmountError('is out of range');
  const digits = BigInt(whole + fraction);
  if (digits === 0n) return 0n;
  if (sign) throw new AmountError('must not be negative');
  const shift = decimals - fraction.length + exponent;
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  if (digits % divisor !== 0n) throw new AmountError(`has more than ${decimals} decimals`);
  return digits / divisor;
}

/** Renders base units as a decimal without trailing zeros: `(1500000n, 6)` → `"1.5"`. */
export function formatUnits(units: bigint, decimals: number): string {
  const digits = units.toString().padStart(decimals + 1, '0');
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '');
  return fraction ? `${whole}.${fraction}` : whole;
}

/** A fee rule in base units; null: no bound. */
export type FeeUnitsRule = { bps: number; fixed: bigint; minimum: bigint | null; maximum: bigint | null };

/** The fee on an amount in base units: basis points, rounded down, plus the fixed part, within its bounds. */
export function feeUnits(amountUnits: bigint, { bps, fixed, minimum, maximum }: FeeUnitsRule): bigint {
  const fee = (amountUnits * BigInt(bps)) / 10_000n + fixed;
  if (minimum !== null && fee < minimum) return minimum;
  return maximum !== null && fee > maximum ? maximum : fee;
}

/**
 * Splits a total in proportion to weights (sum above zero) so that the parts sum to it exactly: each is rounded down, and what
 * is left goes, a unit each, to the largest remainders, earlier ones first.
 */
export function splitUnits(total: bigint, weights: readonly bigint[]): bigint[] {
  const sum = weights.reduce((all, weight) => all + weight, 0n);
  const parts = weights.map((weight) => (total * weight) / sum);
  const left = Number(total - parts.reduce((all, part) => all + part, 0n));
  const byRemainder = weights
    .map((weight, index) => ({ index, remainder: (total * weight) % sum }))
    .sort((a, b) => (a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1));
  for (const { index } of byRemainder.slice(0, left)) parts[index] = (parts[index] ?? 0n) + 1n;
  return parts;
}

// Node has it (V8 ≥ 11.4); TypeScript's library does not know it yet.
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown };

/** A decimal as a JSON number, digit for digit; no float in between. */
export function jsonNumber(decimal: string): number {
  return rawJSON(decimal) as number;
}
