// Owns how a payment on a rail is shown: how it stands with its provider, and its attempts.
import { z } from '@hono/zod-openapi';
import { systemClock } from '../core/clock.ts';
import { formatUnits, jsonNumber } from '../core/money.ts';
import type { PaymentRecord } from '../core/payments/payments.ts';
import { mayRetry, standingOf } from '../core/rails/attempts.ts';
import type { AttemptRow } from '../core/schema.ts';
import { units } from '../resource.ts';

const decimal = z.number().openapi({ example: 25.5 });

const transferDetails = z
  .object({
    iban: z.string(),
    bic: z.string(),
    holder: z.string(),
    reference: z.string().openapi({ example: 'DK-4F1A' }),
  })
  .openapi('TransferDetails', { description: 'Where a bank transfer goes; its reference must be in it' });

/** One charge or refund at a provider. */
export const attempt = z
  .object({
    id: z.uuid(),
    execution: z.enum(['charge', 'refund']),
    number: z.int().openapi({ description: '1, 2, … of its payment and execution' }),
    provider: z.string().openapi({ example: 'sandbox' }),
    provider_reference: z.string().nullable().openapi({ example: 'ch_4f1a' }),
    status: z
      .enum([
        ...(['creating', 'open', 'held', 'authorized', 'captured', 'declined', 'refused', 'bounced'] as const),
        ...(['voiding', 'voided', 'requested', 'done'] as const),
      ])
      .openapi({ example: 'captured' }),
    reason: z.string().nullable().openapi({ example: 'The card was declined.' }),
    amount_units: units,
    received_units: units.openapi({ description: 'Of a charge: authorized, or arrived by transfer' }),
    excess_units: units.openapi({ description: 'Of a charge: what of it was too much' }),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .openapi('Attempt');

/** How a payment on a rail stands with its provider. */
export const railResponse = z
  .object({
    provider: z.string().openapi({ example: 'sandbox' }),
    attempt: z.int().openapi({ description: 'The number of the newest attempt' }),
    status: attempt.shape.status,
    reason: z.string().nullable().openapi({ example: 'The card was declined.' }),
    page_url: z
      .string()
      .nullable()
      .openapi({ description: "The provider's page, while it waits for the payer; card data is typed there alone" }),
    transfer: transferDetails.nullable(),
    returns: z.boolean().openapi({ description: "Whether the page leads back to the payment's return_url" }),
    can_retry: z.boolean().openapi({ description: 'Whether its payer may open the next attempt' }),
    received: decimal,
    received_units: units,
    missing: decimal.openapi({ description: 'Underpaid by so much' }),
    missing_units: units,
    excess: decimal.openapi({ description: 'Overpaid by so much, less what is being given back' }),
    excess_units: units,
    excess_refunded: decimal.openapi({ description: 'Of what was too much: given back' }),
    excess_refunded_units: units,
  })
  .openapi('Rail', { description: 'Of a card or transfer payment' });

/** Renders {@link railResponse}; null for a payment on chain. */
export function renderRail({
  payment,
  attempts,
  currency,
}: Pick<PaymentRecord, 'payment' | 'attempts' | 'currency'>): z.input<typeof railResponse> | null {
  const standing = standingOf(attempts);
  if (!standing) return null;
  const { charge, missingUnits, excessUnits, returnedUnits } = standing;
  const charges = attempts.filter(({ execution }) => execution === 'charge');
  const waits = charge.status === 'open';
  const decimalOf = (amountUnits: bigint) => jsonNumber(formatUnits(amountUnits, currency.decimals));
  return {
    provider: charge.provider,
    attempt: charge.number,
    status: charge.status,
    reason: charge.reason,
    page_url: waits ? charge.pageUrl : null,
    transfer: waits ? charge.transfer : null,
    returns: payment.returnUrl !== null,
    can_retry: mayRetry(payment, charges, systemClock.now(), { byPayer: true }),
    received: decimalOf(charge.receivedUnits),
    received_units: charge.receivedUnits.toString(),
    missing: decimalOf(missingUnits),
    missing_units: missingUnits.toString(),
    excess: decimalOf(excessUnits),
    excess_units: excessUnits.toString(),
    excess_refunded: decimalOf(returnedUnits),
    excess_refunded_units: returnedUnits.toString(),
  };
}

/** Renders {@link attempt}. */
export function renderAttempt(row: AttemptRow): z.input<typeof attempt> {
  return {
    id: row.id,
    execution: row.execution,
    number: row.number,
    provider: row.provider,
    provider_reference: row.providerReference,
    status: row.status,
    reason: row.reason,
    amount_units: row.amountUnits.toString(),
    received_units: row.receivedUnits.toString(),
    excess_units: row.excessUnits.toString(),
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}
