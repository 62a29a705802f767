// Owns a refund request's shape over HTTP, for integrations and for the widget.
import { z } from '@hono/zod-openapi';
import { formatUnits, jsonNumber } from '../core/money.ts';
import type { RefundRequestRow } from '../core/schema.ts';
import { units } from '../resource.ts';

/** How a request stands. */
export const refundRequestStatus = z.enum(['open', 'withdrawn', 'declined', 'granted', 'over']).openapi({
  description: 'granted: as much has gone back since. over: nothing is held any more, and less has gone back',
});

/** What a buyer asked back. */
export const refundRequestResponse = z
  .object({
    id: z.uuid(),
    node_id: z.uuid(),
    payment_id: z.uuid(),
    external_id: z.string().openapi({ description: 'Of the payment' }),
    leg: z.int(),
    status: refundRequestStatus,
    amount: z.number().openapi({ example: 25.5 }),
    amount_units: units,
    currency: z.string(),
    reason: z.string().nullable().openapi({ example: 'It arrived broken.', description: "In the buyer's words" }),
    decline_reason: z
      .string()
      .nullable()
      .openapi({ example: null, description: 'What the buyer reads where it was declined' }),
    created_at: z.string(),
    withdrawn_at: z.string().nullable(),
    declined_at: z.string().nullable(),
  })
  .openapi('RefundRequest', { description: 'It moves no money by itself; `POST /payments/{id}/refund` answers it.' });

/** Renders a request. */
export function renderRefundRequest(row: RefundRequestRow): z.input<typeof refundRequestResponse> {
  return {
    id: row.id,
    node_id: row.nodeId,
    payment_id: row.paymentId,
    external_id: row.externalId,
    leg: row.leg,
    status: row.status,
    amount: jsonNumber(formatUnits(row.amountUnits, row.decimals)),
    amount_units: row.amountUnits.toString(),
    currency: row.currency,
    reason: row.reason,
    decline_reason: row.declineReason,
    created_at: row.createdAt.toISOString(),
    withdrawn_at: row.withdrawnAt?.toISOString() ?? null,
    declined_at: row.declinedAt?.toISOString() ?? null,
  };
}
