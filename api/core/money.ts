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

/** The fee of a deal in base units: basis points of the amount, rounded down, plus a fixed part. */
export function feeUnits(amountUnits: bigint, feeBps: number, feeFixedUnits: bigint): bigint {
  return (amountUnits * BigInt(feeBps)) / 10_000n + feeFixedUnits;
}
