// Owns the shape over HTTP of a split that one party has signed, in every read of its payment.
import { z } from '@hono/zod-openapi';
import type { PaymentRecord } from '../core/payments/payments.ts';
import { isCurrent } from '../core/payments/splitProposals.ts';
import type { DealRow, SplitProposalRow } from '../core/schema.ts';
import { units } from '../resource.ts';

/** A split that one party has signed. */
export const splitProposalResponse = z
  .object({
    signed_by: z.enum(['payer', 'payee']),
    to_payee_units: units.openapi({ description: 'Fee included' }),
    to_payer_units: units,
    released_units: units.openapi({ description: 'What was released when it was signed' }),
    refunded_units: units.openapi({ description: 'What was refunded when it was signed' }),
    deadline: z.iso.datetime().openapi({ description: 'The last second in which it holds; Unix seconds are signed' }),
    signature: z.string().openapi({
      description:
        'EIP-712, `settlementTypes` of contracts/typed-data.ts; worth something together with the other party',
      example: `0x${'5b'.repeat(64)}1b`,
    }),
    created_at: z.string(),
  })
  .openapi('SplitProposal', {
    description:
      'The other party agrees by calling `settle`, or by signing the same, which `POST /payments/{id}/settle` relays.',
  });

/** Renders a split. */
export function renderProposal(row: SplitProposalRow): z.input<typeof splitProposalResponse> {
  return {
    signed_by: row.signedBy,
    to_payee_units: row.toPayeeUnits.toString(),
    to_payer_units: row.toPayerUnits.toString(),
    released_units: row.releasedUnits.toString(),
    refunded_units: row.refundedUnits.toString(),
    deadline: new Date(Number(row.deadline) * 1_000).toISOString(),
    signature: row.signature,
    created_at: row.createdAt.toISOString(),
  };
}

/** The splits of a leg that can still be carried out. */
export function currentProposals({ proposals }: Pick<PaymentRecord, 'proposals'>, deal: DealRow) {
  return proposals.filter((row) => row.legId === deal.id && isCurrent(row, deal)).map(renderProposal);
}
