// Owns the one function that derives a payment's status (design.md, "A payment's life"). Reads and writes nothing.
import type { DealRow, PaymentRow, PaymentStatus } from './schema.ts';

/** The flags of a payment and the confirmed chain facts of its deal that decide its status. */
export type StatusFacts = Pick<PaymentRow, 'cancelRequestedAt' | 'cancelledAt'> &
  Pick<DealRow, 'chainStatus' | 'offerId' | 'amountUnits' | 'releasedUnits' | 'refundedUnits'>;

/** Derives the status from money and flags; the chain's word goes before any flag. */
export function paymentStatus(facts: StatusFacts): PaymentStatus {
  const { chainStatus, releasedUnits, refundedUnits, amountUnits } = facts;
  if (chainStatus === 'settled') {
    if (refundedUnits === 0n) return 'released';
    return refundedUnits === amountUnits ? 'refunded' : 'partially_refunded';
  }
  if (chainStatus === 'disputed') return 'disputed';
  if (chainStatus === 'closed' || (facts.cancelledAt && chainStatus !== 'funded' && chainStatus !== 'confirming')) {
    return 'cancelled';
  }
  if (facts.cancelRequestedAt) return 'cancel_requested';
  switch (chainStatus) {
    case 'funded':
      return releasedUnits > 0n ? 'partially_released' : 'funded';
    case 'confirming':
      return 'confirming';
    case 'expired':
      return 'expired';
    case 'none':
      return facts.offerId ? 'awaiting_deposit' : 'pending';
  }
}
