// Owns the shapes that the platform's resources share over HTTP.
import { z } from '@hono/zod-openapi';
import { type Address, isAddress } from 'viem';
import { pageQuery } from './http.ts';

/** An EVM address, read into lowercase. */
export const address = z
  .string()
  .refine((text) => isAddress(text), 'must be an EVM address with a valid checksum')
  .transform((text) => text.toLowerCase() as Address)
  .openapi({ type: 'string', pattern: '^0x[0-9a-fA-F]{40}$' });

/** What people call a thing. PostgreSQL keeps no NUL in text. */
export const label = z
  .string()
  .min(1)
  .max(255)
  .refine((text) => !text.includes('\0'), 'must not contain a NUL character')
  .refine((text) => text.isWellFormed(), 'must not contain half a surrogate pair');

/** A moment in a request, as it was written. PostgreSQL has no year 0, and nothing of ours is older than 1970. */
export const moment = z.iso
  .datetime({ offset: true, message: 'must be an RFC 3339 date-time' })
  .refine((text) => !(Date.parse(text) < 0), 'must not be before 1970');

/** Where a payer is led back to. */
export const returnUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .max(2_048)
  .openapi({ example: 'https://shop.example.com/orders/1001' });

/** The id in a resource's path. */
export const idParams = z.object({ id: z.uuid() });

/** A flag in a query, `true` or `false`; left out: false. */
export const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform((text) => text === 'true');

/** Base units as text. */
export const units = z.string().regex(/^\d+$/).openapi({ description: 'Base units, exact', example: '25500000' });

/** A JSON answer. */
export const json = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});

/** A JSON body that must be there. */
export const body = <Schema extends z.ZodType>(schema: Schema) => ({
  required: true,
  content: { 'application/json': { schema } },
});

/** A page of a list. */
export const paged = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), page: z.int(), per_page: z.int(), total: z.int() });

/** What every list takes; `archived=true` shows archived ones too. */
export const listQuery = { archived: flag, ...pageQuery };
