import { describe, expect, test } from 'vitest';
import type { PaymentStatus } from '../../api/core/schema.ts';
import { type LegFacts, legStatus, paymentStatus } from '../../api/core/status.ts';

const unfunded: LegFacts = {
  chainStatus: 'none',
  offerId: '0xaa',
  amountUnits: 100n,
  releasedUnits: 0n,
  refundedUnits: 0n,
  seenTransaction: null,
  cancelRequestedAt: null,
  cancelledAt: null,
};
const asked = new Date(0);

describe('legStatus', () => {
  test.each<[string, Partial<LegFacts>, string]>([
    ['the consumer has not frozen the terms', { offerId: null }, 'pending'],
    ['terms are frozen and nothing is on chain', {}, 'awaiting_deposit'],
    ['a deposit is not deep enough', { chainStatus: 'confirming' }, 'confirming'],
    ['only a receipt shows a deposit', { seenTransaction: '0xbb' }, 'confirming'],
    [
      'a receipt showed a deposit and the deadline passed',
      { chainStatus: 'expired', seenTransaction: '0xbb' },
      'expired',
    ],
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
    expect(legStatus({ ...unfunded, ...facts })).toBe(status);
  });

  test.each<[string, Partial<LegFacts>, string]>([
    ['a release that was first', { chainStatus: 'settled', releasedUnits: 100n }, 'released'],
    ['a refund', { chainStatus: 'settled', refundedUnits: 100n }, 'refunded'],
    ['a dispute', { chainStatus: 'disputed' }, 'disputed'],
  ])('the chain goes before a cancellation that waits: %s', (_what, facts, status) => {
    expect(legStatus({ ...unfunded, cancelRequestedAt: asked, ...facts })).toBe(status);
  });
});

// Every pair of legs, the upper half of the table; the order of legs never counts.
const NAMES: Record<string, PaymentStatus> = {
  P: 'pending',
  A: 'awaiting_deposit',
  C: 'confirming',
  F: 'funded',
  H: 'partially_released',
  D: 'disputed',
  Q: 'cancel_requested',
  E: 'expired',
  R: 'released',
  B: 'refunded',
  S: 'partially_refunded',
  X: 'cancelled',
};
const PAIRS = `
     P A C F H D Q E R B S X
  P  P C C C C D Q P C C C P
  A    A C C C D Q A C C C A
  C      C C C D Q C C C C C
  F        F H D Q F H F H F
  H          H D Q H H H H H
  D            D D D D D D D
  Q              Q Q Q Q Q Q
  E                E R B S E
  R                  R S S R
  B                    B S B
  S                      S S
  X                        X
`;

describe('paymentStatus', () => {
  const [heads = [], ...rows] = PAIRS.trim()
    .split('\n')
    .map((line) => line.trim().split(/ +/));
  const cases = rows.flatMap(([row = '', ...cells], index) =>
    cells.map((cell, offset) => [row, heads[index + offset] ?? '', cell] as const),
  );

  test('the table has every pair', () => expect(cases).toHaveLength((12 * 13) / 2));

  test.each(cases)('legs %s and %s: %s', (a, b, expected) => {
    const [first, second, status] = [a, b, expected].map((letter) => NAMES[letter] as PaymentStatus);
    if (!first || !second) throw new Error('The table is torn.');
    expect(paymentStatus([first, second])).toBe(status);
    expect(paymentStatus([second, first])).toBe(status);
    expect(paymentStatus([first, second, first])).toBe(status);
  });

  test.each(Object.values(NAMES))('a single leg decides alone: %s', (status) => {
    expect(paymentStatus([status])).toBe(status);
  });
});
