import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AmountError, feeUnits, formatUnits, parseUnits, splitUnits } from '../../api/core/money.ts';

describe('parseUnits', () => {
  test.each([
    ['25.5', 6, 25_500_000n],
    ['25.50', 6, 25_500_000n],
    ['0.000001', 6, 1n],
    ['1e2', 6, 100_000_000n],
    ['1.5E-3', 6, 1_500n],
    ['1.2300e1', 2, 1_230n],
    ['0', 6, 0n],
    ['-0', 6, 0n],
    ['0e80', 0, 0n],
    ['1329227995784915872903807060280344575', 0, (1n << 120n) - 1n],
  ])('reads %s with %i decimals as %s base units', (text, decimals, units) => {
    expect(parseUnits(text, decimals)).toBe(units);
  });

  test.each([
    ['0.0000001', 'has more than 6 decimals'],
    ['1e-7', 'has more than 6 decimals'],
    ['-1', 'must not be negative'],
    ['1e81', 'is out of range'],
    ['1e9999', 'is out of range'],
    ['1e99999', 'must be a decimal number'],
    ['Infinity', 'must be a decimal number'],
    ['NaN', 'must be a decimal number'],
    ['0x10', 'must be a decimal number'],
    ['1_000', 'must be a decimal number'],
    ['', 'must be a decimal number'],
    [' 1', 'must be a decimal number'],
  ])('refuses %j: %s', (text, message) => {
    expect(() => parseUnits(text, 6)).toThrow(new AmountError(message));
  });

  test('gives back exactly what formatUnits wrote, for any amount a deal can hold', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 120n) - 1n), fc.integer({ min: 0, max: 36 }), (units, decimals) => {
        expect(parseUnits(formatUnits(units, decimals), decimals)).toBe(units);
      }),
    );
  });
});

describe('feeUnits', () => {
  const rule = { bps: 100, fixed: 0n, minimum: null, maximum: null };

  test('rounds the proportional part down and adds the fixed part', () => {
    expect(feeUnits(999n, rule)).toBe(9n);
    expect(feeUnits(999n, { ...rule, fixed: 5n })).toBe(14n);
    expect(feeUnits(10_000n, { ...rule, bps: 10_000 })).toBe(10_000n);
    expect(feeUnits(1n, { ...rule, bps: 9_999 })).toBe(0n);
  });

  test('stays within its bounds', () => {
    expect(feeUnits(999n, { ...rule, minimum: 30n })).toBe(30n);
    expect(feeUnits(999_999n, { ...rule, maximum: 500n })).toBe(500n);
    expect(feeUnits(5_000n, { ...rule, minimum: 30n, maximum: 500n })).toBe(50n);
  });
});

describe('splitUnits', () => {
  test('gives what is left to the largest remainders, earlier ones first', () => {
    expect(splitUnits(100n, [1n, 1n, 1n])).toEqual([34n, 33n, 33n]);
    expect(splitUnits(10n, [1n, 5n, 4n])).toEqual([1n, 5n, 4n]);
    expect(splitUnits(7n, [3n, 3n, 2n])).toEqual([3n, 2n, 2n]);
    expect(splitUnits(0n, [1n, 2n])).toEqual([0n, 0n]);
  });

  test('sums to the total, each part within one unit of its share', () => {
    const weights = fc.array(fc.bigInt(1n, 1n << 120n), { minLength: 1, maxLength: 32 });
    fc.assert(
      fc.property(fc.bigInt(0n, 1n << 120n), weights, (total, shares) => {
        const parts = splitUnits(total, shares);
        const sum = shares.reduce((all, share) => all + share, 0n);
        expect(parts.reduce((all, part) => all + part, 0n)).toBe(total);
        for (const [index, part] of parts.entries()) {
          const floor = (total * shares[index]!) / sum;
          expect(part === floor || part === floor + 1n).toBe(true);
        }
      }),
    );
  });
});
