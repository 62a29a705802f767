/**
 * Owns what may be done with a deal, by whom and when: the README's table of verbs as data, and what each verb would move. Pure:
 * a deal and a point in time go in. It knows no wallet and no words, and no deposits: these are the checkout's.
 */
import { type Address, isAddressEqual, zeroAddress } from 'viem';
import { feeAt, type StatusName, type Terms } from '../../contracts/terms.ts';

/** Who somebody is in a deal. The operator may act through delegates, which only the chain knows. */
export type Role = 'payer' | 'payee' | 'operator' | 'arbiter' | 'anyone';

/** What the contract can do with a deal once it is there. @see contracts/interfaces/IEscrow.sol */
export type Verb =
  | 'cancelDeal'
  | 'release'
  | 'releasePart'
  | 'refundPart'
  | 'claim'
  | 'reclaim'
  | 'openDispute'
  | 'withdrawDispute'
  | 'resolve'
  | 'settle'
  | 'returnPayment';

/** A deal as it stands on chain; amounts in base units. */
export type Standing = {
  terms: Terms;
  status: StatusName;
  released: bigint;
  refunded: bigint;
  /** Only while Disputed. */
  disputedBy: 'payer' | 'payee' | null;
};

/** Something that somebody may do; seconds are Unix seconds, both included, null: no limit. */
export type Option = { verb: Verb; by: Role; from: bigint | null; until: bigint | null };

type Rule = {
  verb: Verb;
  by: Role;
  in: readonly StatusName[];
  from?: (standing: Standing) => bigint;
  until?: (standing: Standing) => bigint;
  if?: (standing: Standing) => boolean;
};

const settlement = ({ terms }: Standing) => terms.settlementDeadline;
const resolution = ({ terms }: Standing) => terms.resolutionDeadline;
const hasArbiter = ({ terms }: Standing) => !isAddressEqual(terms.arbiter, zeroAddress);
const HELD = ['Funded', 'Disputed'] as const;

/** One row for each cell of the README's table that is not empty. */
const rules: readonly Rule[] = [
  { verb: 'cancelDeal', by: 'payee', in: ['None', ...HELD] },
  { verb: 'cancelDeal', by: 'operator', in: ['None'] },
  { verb: 'cancelDeal', by: 'operator', in: ['Funded'], until: settlement },
  { verb: 'release', by: 'payer', in: HELD },
  { verb: 'release', by: 'operator', in: ['Funded'], until: settlement },
  { verb: 'releasePart', by: 'payer', in: HELD },
  { verb: 'releasePart', by: 'operator', in: ['Funded'], until: settlement },
  { verb: 'refundPart', by: 'payee', in: HELD },
  { verb: 'refundPart', by: 'operator', in: ['Funded'], until: settlement },
  { verb: 'claim', by: 'anyone', in: HELD, from: undecidedFrom, if: ({ terms }) => terms.defaultOutcome === 1 },
  { verb: 'reclaim', by: 'anyone', in: HELD, from: undecidedFrom, if: ({ terms }) => terms.defaultOutcome === 0 },
  { verb: 'openDispute', by: 'payer', in: ['Funded'], until: settlement, if: hasArbiter },
  { verb: 'openDispute', by: 'payee', in: ['Funded'], until: settlement, if: hasArbiter },
  { verb: 'withdrawDispute', by: 'payer', in: ['Disputed'], if: ({ disputedBy }) => disputedBy === 'payer' },
  { verb: 'withdrawDispute', by: 'payee', in: ['Disputed'], if: ({ disputedBy }) => disputedBy === 'payee' },
  { verb: 'resolve', by: 'arbiter', in: ['Disputed'], until: resolution, if: hasArbiter },
  { verb: 'settle', by: 'payer', in: HELD },
  { verb: 'settle', by: 'payee', in: HELD },
  { verb: 'returnPayment', by: 'payee', in: ['Settled'], if: (standing) => returnableUnits(standing) > 0n },
];

/** When the default outcome is anybody's, in Unix seconds: a deadline is the last second of what came before. */
export function undecidedFrom({ terms, status }: Standing): bigint {
  return (status === 'Disputed' ? terms.resolutionDeadline : terms.settlementDeadline) + 1n;
}

/** Everything that somebody may do with the deal as it stands, now or later. */
export function optionsOf(standing: Standing): Option[] {
  return rules
    .filter((rule) => rule.in.includes(standing.status) && (rule.if?.(standing) ?? true))
    .map(({ verb, by, from, until }) => ({
      verb,
      by,
      from: from?.(standing) ?? null,
      until: until?.(standing) ?? null,
    }));
}

/** Whether it may be done in a block of this time (Unix seconds). */
export function isOpen({ from, until }: Option, now: bigint): boolean {
  return (from === null || now >= from) && (until === null || now <= until);
}

/** Whether it was possible once and never will be again, as the deal stands. */
export function isOver({ until }: Option, now: bigint): boolean {
  return until !== null && now > until;
}

/** Who an account is in a deal: always anyone, and perhaps more. */
export function rolesOf({ operator, payee, payer, arbiter }: Terms, account: Address | null): Role[] {
  const named = { payer, payee, operator, arbiter } as const;
  const roles = Object.entries(named).flatMap(([role, address]) =>
    account && isAddressEqual(address, account) ? [role as Role] : [],
  );
  return [...roles, 'anyone'];
}

/** What is held, in base units. */
export function heldUnits({ terms, status, released, refunded }: Standing): bigint {
  return status === 'Funded' || status === 'Disputed' ? terms.amount - released - refunded : 0n;
}

/** What the payee may still give back out of its own pocket, in base units; only once nothing is held any more. */
export function returnableUnits({ terms, status, refunded }: Standing): bigint {
  return status === 'Settled' ? terms.amount - refunded : 0n;
}

/** Where the money goes, in base units; the fee comes out of what leaves towards the payee. */
export type Movement = {
  toPayee: bigint;
  fee: bigint;
  toPayer: bigint;
  /** Held afterwards. */
  left: bigint;
};

/**
 * What the verb would move. `units` is the part that is released, refunded or given back, or for a split the payee's share, fee
 * included. @throws RangeError when the amount is not possible
 */
export function movementOf(verb: Verb, standing: Standing, units: bigint | null = null): Movement {
  const held = heldUnits(standing);
  const part = (least: bigint, most: bigint): bigint => {
    if (units === null || units < least || units > most) throw new RangeError(`not ${least} to ${most}: ${units}`);
    return units;
  };
  const split = (gross: bigint, toPayer: bigint): Movement => {
    const fee = feeAt(standing.terms, standing.released + gross) - feeAt(standing.terms, standing.released);
    return { toPayee: gross - fee, fee, toPayer, left: held - gross - toPayer };
  };
  switch (verb) {
    case 'release':
    case 'claim':
      return split(held, 0n);
    case 'releasePart':
      return split(part(1n, held), 0n);
    case 'cancelDeal':
    case 'reclaim':
      return split(0n, held);
    case 'refundPart':
      return split(0n, part(1n, held));
    case 'settle':
    case 'resolve': {
      const gross = part(0n, held);
      return split(gross, held - gross);
    }
    case 'returnPayment':
      return { toPayee: 0n, fee: 0n, toPayer: part(1n, returnableUnits(standing)), left: 0n };
    case 'openDispute':
    case 'withdrawDispute':
      return { toPayee: 0n, fee: 0n, toPayer: 0n, left: held };
  }
}
