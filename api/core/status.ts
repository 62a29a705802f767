// Owns the one place that derives a payment's status (design.md, "A payment's life"): first each leg's, then the payment's
// from its legs'. Reads and writes nothing.
import type { DealRow, PaymentStatus } from './schema.ts';

/** The flags and the confirmed chain facts of one leg that decide its status. */
export type LegFacts = Pick<
  DealRow,
  | 'cancelRequestedAt'
  | 'cancelledAt'
  | 'chainStatus'
  | 'offerId'
  | 'amountUnits'
  | 'releasedUnits'
  | 'refundedUnits'
  | 'seenTransaction'
>;

/** Derives a leg's status from money and flags; the chain's word goes before any flag. */
export function legStatus(leg: LegFacts): PaymentStatus {
  const { chainStatus, releasedUnits, refundedUnits, amountUnits } = leg;
  if (chainStatus === 'settled') {
    if (refundedUnits === 0n) return 'released';
    return refundedUnits === amountUnits ? 'refunded' : 'partially_refunded';
  }
  if (chainStatus === 'disputed') return 'disputed';
  if (chainStatus === 'closed' || (leg.cancelledAt && chainStatus !== 'funded' && chainStatus !== 'confirming')) {
    return 'cancelled';
  }
  if (leg.cancelRequestedAt) return 'cancel_requested';
  switch (chainStatus) {
    case 'awaiting':
      return 'awaiting_deposit';
    case 'failed':
      return 'failed';
    case 'funded':
      return releasedUnits > 0n ? 'partially_released' : 'funded';
    case 'confirming':
      return 'confirming';
    case 'expired':
      return 'expired';
    case 'none':
      if (leg.seenTransaction) return 'confirming';
      return leg.offerId ? 'awaiting_deposit' : 'pending';
  }
}

const HOLDING: readonly PaymentStatus[] = ['funded', 'partially_released'];

/**
 * Derives a payment's status from its legs' (at least one). What needs somebody goes first; a leg that was closed or ran out
 * leaves the others to decide; a payment is funded once no leg waits for its deposit.
 */
export function paymentStatus(legs: readonly PaymentStatus[]): PaymentStatus {
  for (const urgent of ['disputed', 'cancel_requested'] as const) if (legs.includes(urgent)) return urgent;
  const uncancelled = legs.filter((status) => status !== 'cancelled');
  const live = uncancelled.filter((status) => status !== 'expired');
  if (live.length === 0) return uncancelled.length === 0 ? 'cancelled' : 'expired';
  const [first] = live;
  if (first !== undefined && live.every((status) => status === first)) return first;
  if (live.some((status) => ['pending', 'awaiting_deposit', 'confirming'].includes(status))) return 'confirming';
  if (!live.some((status) => HOLDING.includes(status))) return 'partially_refunded';
  const untouched = live.every((status) => status === 'funded' || status === 'refunded');
  return untouched ? 'funded' : 'partially_released';
}
