import { describe, expect, test } from 'vitest';
import { paymentStatus, type StatusFacts } from '../../api/core/status.ts';

const unfunded: StatusFacts = {
  chainStatus: 'none',
  offerId: '0xaa',
  amountUnits: 100n,
  releasedUnits: 0n,
  refundedUnits: 0n,
  cancelRequestedAt: null,
  cancelledAt: null,
};
const asked = new Date(0);

describe('paymentStatus', () => {
  test.each<[string, Partial<StatusFacts>, string]>([
    ['the consumer has not frozen the terms', { offerId: null }, 'pending'],
    ['terms are frozen and nothing is on chain', {}, 'awaiting_deposit'],
    ['a deposit is not deep enough', { chainStatus: 'confirming' }, 'confirming'],
    ['a deposit is deep enough', { chainStatus: 'funded' }, 'funded'],
    ['a part was refunded and nothing released', { chainStatus: 'funded', refundedUnits: 40n }, 'funded'],
    ['a part was released', { chainStatus: 'funded', releasedUnits: 40n }, 'partially_released'],
    ['a dispute is open', { chainStatus: 'disputed', releasedUnits: 40n }, 'disputed'],
    ['the deposit deadline passed', { chainStatus: 'expired' }, 'expired'],
    ['all was released', { chainStatus: 'settled', releasedUnits: 100n }, 'released'],
    ['all was refunded', { chainStatus: 'settled', refundedUnits: 100n }, 'refunded'],
    ['both happened', { chainStatus: 'settled', releasedUnits: 60n, refundedUnits: 40n }, 'partially_refunded'],
    [
      'the payee returned a part',
      { chainStatus: 'settled', releasedUnits: 100n, refundedUnits: 1n },
      'partially_refunded',
    ],
    ['the payee returned all', { chainStatus: 'settled', releasedUnits: 100n, refundedUnits: 100n }, 'refunded'],
    ['the offer is closed on chain', { chainStatus: 'closed', cancelRequestedAt: asked }, 'cancelled'],
    ['nothing was handed out', { offerId: null, cancelledAt: asked }, 'cancelled'],
    ['a cancellation waits, unfunded', { cancelRequestedAt: asked }, 'cancel_requested'],
    ['a cancellation waits, funded', { chainStatus: 'funded', cancelRequestedAt: asked }, 'cancel_requested'],
    ['a cancellation waits, expired', { chainStatus: 'expired', cancelRequestedAt: asked }, 'cancel_requested'],
  ])('when %s', (_when, facts, status) => {
    expect(paymentStatus({ ...unfunded, ...facts })).toBe(status);
  });

  test.each<[string, Partial<StatusFacts>, string]>([
    ['a release that was first', { chainStatus: 'settled', releasedUnits: 100n }, 'released'],
    ['a refund', { chainStatus: 'settled', refundedUnits: 100n }, 'refunded'],
    ['a dispute', { chainStatus: 'disputed' }, 'disputed'],
  ])('the chain goes before a cancellation that waits: %s', (_what, facts, status) => {
    expect(paymentStatus({ ...unfunded, cancelRequestedAt: asked, ...facts })).toBe(status);
  });
});
