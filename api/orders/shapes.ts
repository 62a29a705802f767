// Owns the shapes that the nouns of the orders surface share over HTTP: its ids, money, dates and pages, as its dialect has them.
import { z } from '@hono/zod-openapi';
import { MAX_AMOUNT } from '../../contracts/terms.ts';
import type { FieldFaults } from '../core/errors.ts';
import { AmountError, formatUnits, parseUnits } from '../core/money.ts';
import { ISO_4217, SOLUTION_CODE } from '../core/platform/merchants.ts';
import { MAX_NUMBER } from '../core/platform/numbers.ts';
import { decimalText, jsonNumber, wholeNumber } from '../http.ts';
import { label, moment } from '../resource.ts';

/** Names the merchant's node. */
export const solutionCode = z
  .string()
  .max(11)
  .regex(SOLUTION_CODE, 'must match ^MP\\w{4}-\\w{4}$')
  .openapi({ description: "The `solution_code` of one of the merchant's nodes", example: 'MPFRGE-S1YP' });

/** Names a currency of the merchant's node. */
export const currencyCode = z
  .string()
  .length(3)
  .regex(ISO_4217, 'must be three capital letters of ISO 4217')
  .openapi({ description: 'ISO 4217; what it stands for is in `currencies` of the node', example: 'EUR' });

/** What the merchant calls a thing; unique by merchant. */
export const merchantId = label.openapi({ description: "The merchant's own id of it", example: '1234-azerty-56789' });

/** An amount in a request, in the currency's major unit. */
export const amount = decimalText.openapi({ format: 'float', example: 65 });
/** An amount in an answer, in the currency's major unit, digit for digit. */
export const amountAnswer = z.number().openapi({ format: 'float', example: 65 });

/** A 32-bit id in a body. */
export const number32 = wholeNumber(1, MAX_NUMBER).openapi({ format: 'int32', example: 123_456_789 });
/** A 32-bit id in an answer. */
export const number32Answer = z.int().openapi({ format: 'int32', example: 123_456_789 });

/** A 32-bit id in a path. */
export const pathNumber = z
  .string()
  .regex(/^[1-9]\d{0,9}$/, `must be a whole number from 1 to ${MAX_NUMBER}`)
  .transform(Number)
  .refine((number) => number <= MAX_NUMBER, `must be a whole number from 1 to ${MAX_NUMBER}`)
  .openapi({ type: 'integer', format: 'int32', minimum: 1, maximum: MAX_NUMBER, example: 123_456_789 });

/** The seller that a path is about. */
export const sellerParams = { sellerId: pathNumber };

/** A moment in UTC. */
export const executionDate = moment.openapi({
  description: 'ISO 8601',
  format: 'date-time',
  example: '2023-04-22T06:00:00.000Z',
});
/** A moment in an answer. */
export const momentAnswer = z.string().openapi({ format: 'date-time', example: '2023-04-22T06:00:00.000Z' });

/** A day. PostgreSQL has no year 0. */
export const day = z.iso
  .date('must be a date like 2017-07-21')
  .refine((text) => !text.startsWith('0000'), 'must not be in the year 0')
  .openapi({ format: 'date', example: '2017-07-21' });

/** What the receiver of money reads. */
export const reasonLabel = label.max(140).openapi({ example: 'payout for April 2023' });

const pageNumber = (largest: number) =>
  z
    .string()
    .regex(/^[1-9]\d{0,6}$/, `must be a whole number from 1 to ${largest}`)
    .refine((text) => Number(text) <= largest, `must be a whole number from 1 to ${largest}`);

/** `page` and `pageSize` as every list takes them: numbers in strings. */
export const pageQuery = {
  page: pageNumber(1_000_000).default('1').openapi({ description: 'Starts from 1', example: '1' }),
  pageSize: pageNumber(100).default('10').openapi({ description: '1 to 100', example: '10' }),
};

/** A page that was asked for. */
export type Page = { page: number; perPage: number };

/** Reads what {@link pageQuery} took. */
export function pageOf({ page, pageSize }: { page: string; pageSize: string }): Page {
  return { page: Number(page), perPage: Number(pageSize) };
}

/** How many pages a list has. */
export function pageCountOf(total: number, { perPage }: Page): number {
  return Math.ceil(total / perPage);
}

/** How many pages there are, beside each list. */
export const pageCountAnswer = z.int().openapi({ description: 'Of all pages', example: 1 });

/** An amount of a request in base units, more than nothing; what is wrong with it is added to `faults`. */
export function unitsOf(
  { text, pointer, zero = false }: { text: string; pointer: string; zero?: boolean },
  { decimals }: { decimals: number },
  faults: FieldFaults,
): bigint {
  try {
    const units = parseUnits(text, decimals);
    if (units === 0n && !zero) faults.add(pointer, 'must be greater than 0');
    if (units > MAX_AMOUNT) faults.add(pointer, 'is more than a deal can hold');
    return units;
  } catch (error) {
    if (!(error instanceof AmountError)) throw error;
    faults.add(pointer, error.message);
    return 0n;
  }
}

/** Base units as the dialect shows them: a JSON number in the major unit. */
export function majorOf(units: bigint, { decimals }: { decimals: number }): number {
  return jsonNumber(formatUnits(units, decimals));
}
