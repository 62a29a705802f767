// Owns how a payment on a rail is shown: how it stands with its provider, and its attempts.
import { z } from '@hono/zod-openapi';
import type { PaymentRecord } from '../core/payments/payments.ts';
import { OVER, owedUnits } from '../core/rails/attempts.ts';
import type { AttemptRow } from '../core/schema.ts';

const units = z.string().regex(/^\d+$/).openapi({ description: 'Base units, exact', example: '25500000' });

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
    received_units: units,
    missing_units: units.openapi({ description: 'Underpaid by so much' }),
    excess_units: units.openapi({ description: 'Overpaid by so much, less what is being given back' }),
  })
  .openapi('Rail', { description: 'Of a card or transfer payment' });

/** Renders {@link railResponse}; null for a payment on chain. */
export function renderRail({ attempts }: Pick<PaymentRecord, 'attempts'>): z.input<typeof railResponse> | null {
  const charges = attempts.filter(({ execution }) => execution === 'charge');
  const last = charges.at(-1);
  if (!last) return null;
  const refunds = attempts.filter(({ execution }) => execution === 'refund');
  const owed = charges.reduce((sum, charge) => sum + owedUnits(charge, refunds), 0n);
  const missing = last.receivedUnits > 0n && last.fundedUnits === 0n && !OVER.includes(last.status);
  const waits = last.status === 'open';
  return {
    provider: last.provider,
    attempt: last.number,
    status: last.status,
    reason: last.reason,
    page_url: waits ? last.pageUrl : null,
    transfer: waits ? last.transfer : null,
    received_units: last.receivedUnits.toString(),
    missing_units: (missing && last.receivedUnits < last.amountUnits
      ? last.amountUnits - last.receivedUnits
      : 0n
    ).toString(),
    excess_units: owed.toString(),
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
