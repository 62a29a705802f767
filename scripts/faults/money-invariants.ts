/** What must be true of money once everything is at rest: the chain's own logs are held against balance, deals, ledger and mirror. */
import { type Address, erc20Abi, type Hex, isAddressEqual } from 'viem';
import { dealId, feeAt, offerId } from '../../contracts/terms.ts';
import { type DealState, heldBy, type Recomputed } from './recomputation.ts';
import { CONFIRMATIONS } from './schedule.ts';
import type { Stage } from './stage.ts';
import type { Made } from './workload.ts';

/** One thing that is not as it must be. */
export type Violation = { invariant: string; what: string };

/** What is checked: the chain's logs, recomputed, and what the workload was promised. */
export type Evidence = { stage: Stage; truth: Recomputed; made: ReadonlyMap<string, Made> };

type Leg = {
  id: string;
  paymentId: string;
  paymentStatus: string;
  offerId: Hex | null;
  dealId: Hex | null;
  chainStatus: string;
  releasedUnits: bigint;
  refundedUnits: bigint;
  amountUnits: bigint;
  feeUnits: bigint;
  depositDeadline: bigint;
  isCancelled: boolean;
};

/** The diamond has what it holds and owes, to the last unit: nothing is missing, and there is no surplus. */
export async function checkSolvency({ stage, truth }: Evidence): Promise<Violation[]> {
  const { chain, token, diamond } = stage;
  const call = { address: token, abi: erc20Abi, functionName: 'balanceOf', args: [diamond] } as const;
  const balance = await chain.readContract({ ...call, blockNumber: truth.block });
  const ofToken = [...truth.deals.values()].filter(({ terms }) => isAddressEqual(terms.token, token));
  const held = ofToken.reduce((sum, deal) => sum + heldBy(deal), 0n);
  const owed = [...truth.credits].reduce(
    (sum, [key, units]) => (key.startsWith(token.toLowerCase()) ? sum + units : sum),
    0n,
  );
  if (balance === held + owed) return [];
  return [{ invariant: 'solvency', what: `the diamond has ${balance}, holds ${held} and owes ${owed}` }];
}

/** At most one deal funds a payment, it is of the terms that were handed out, and the payment's status is what its slot says. */
export async function checkDeals({ stage, truth, made }: Evidence): Promise<Violation[]> {
  const { chain, chainId, diamond } = stage;
  const violations: Violation[] = [];
  const { timestamp } = await chain.getBlock({ blockNumber: truth.block - BigInt(CONFIRMATIONS - 1) });
  const byOffer = Map.groupBy(truth.deals, ([, { terms }]) => offerId(terms, chainId, diamond));
  const strays = await readStrays(stage);
  for (const leg of await readLegs(stage)) {
    const wrong = (invariant: string, what: string) =>
      violations.push({ invariant, what: `payment ${leg.paymentId} (${made.get(leg.paymentId)?.story}): ${what}` });
    const deals = leg.offerId ? (byOffer.get(leg.offerId) ?? []) : [];
    const ours = deals.find(([id]) => id === leg.dealId)?.[1];
    if (leg.dealId && !ours) wrong('one deal', `its deal ${leg.dealId} is no deposit of its terms`);
    if (!leg.dealId && deals.length > 0) wrong('one deal', `deposit ${deals[0]?.[0]} of its terms funds nothing`);
    const offered = made.get(leg.paymentId)?.offer;
    if (offered && dealId(offered, chainId, diamond) !== leg.offerId) {
      wrong('one deal', 'the widget handed out other terms than those that are frozen');
    }
    for (const [id, other] of deals) {
      if (id === leg.dealId) continue;
      if (strays.get(id) !== 'duplicate') wrong('one deal', `the second deposit ${id} is not recorded`);
      if (other.status !== 'settled' || other.released > 0n)
        wrong('one deal', `the second deposit ${id} was not given back`);
    }
    const expected = expectedStatus(leg, ours, truth, timestamp);
    if (leg.paymentStatus !== expected) wrong('status', `it is ${leg.paymentStatus}, its slot says ${expected}`);
    if (ours && (leg.releasedUnits !== ours.released || leg.refundedUnits !== ours.refunded)) {
      wrong(
        'status',
        `its row has ${leg.releasedUnits} and ${leg.refundedUnits}, its slot ${ours.released} and ${ours.refunded}`,
      );
    }
  }
  return violations;
}

/** What a payment of one leg is by its slot alone, and by our cancellation where no slot was ever opened. */
function expectedStatus(leg: Leg, deal: DealState | undefined, truth: Recomputed, now: bigint): string {
  if (deal?.status === 'settled') {
    if (deal.refunded === 0n) return 'released';
    return deal.released === 0n ? 'refunded' : 'partially_refunded';
  }
  if (deal?.status === 'disputed') return 'disputed';
  if (deal) return deal.released > 0n ? 'partially_released' : 'funded';
  if (leg.isCancelled || (leg.offerId && truth.closed.has(leg.offerId))) return 'cancelled';
  return leg.depositDeadline < now ? 'expired' : 'awaiting_deposit';
}

async function readLegs({ sql }: Stage): Promise<Leg[]> {
  return await sql<Leg[]>`
    select d.id, d.payment_id, p.status as payment_status, d.offer_id, d.deal_id, d.chain_status, d.released_units, d.refunded_units,
      d.amount_units, d.fee_units, d.deposit_deadline, d.cancelled_at is not null as is_cancelled
    from deal d join payment p on p.node_id = d.node_id and p.id = d.payment_id`;
}

async function readStrays({ sql }: Stage): Promise<Map<string, string>> {
  const rows = await sql<{ dealId: string; kind: string }[]>`select deal_id, kind from stray_deal`;
  return new Map(rows.map(({ dealId, kind }) => [dealId, kind]));
}

/** Nothing that counts rests on fewer blocks than the network asks for. */
export async function checkConfirmations({ stage }: Evidence): Promise<Violation[]> {
  const rows = await stage.sql<{ paymentId: string; eventType: string; confirmations: string }[]>`
    select payment_id, event_type, chain_fact->>'confirmations' as confirmations from payment_log
    where chain_fact is not null and finality <> 'unsafe' and (chain_fact->>'confirmations')::int < ${CONFIRMATIONS}`;
  return rows.map(({ paymentId, eventType, confirmations }) => ({
    invariant: 'confirmations',
    what: `payment ${paymentId}: ${eventType} counted at ${confirmations} of ${CONFIRMATIONS} confirmations`,
  }));
}

/** Every entry sums to zero, and each leg's accounts are where the chain has its money. */
export async function checkLedger({ stage, truth }: Evidence): Promise<Violation[]> {
  const unbalanced = await stage.sql<{ entryId: string }[]>`
    select entry_id from ledger_posting group by entry_id, currency_id having sum(amount_units) <> 0`;
  const violations = unbalanced.map(({ entryId }) => ({
    invariant: 'ledger',
    what: `entry ${entryId} does not sum to zero`,
  }));
  const sums = await stage.sql<{ legId: string; type: string; units: bigint }[]>`
    select e.leg_id, a.type, sum(p.amount_units) as units
    from ledger_posting p join ledger_entry e on e.node_id = p.node_id and e.id = p.entry_id
    join ledger_account a on a.node_id = p.node_id and a.id = p.account_id group by 1, 2`;
  const byLeg = Map.groupBy(sums, ({ legId }) => legId);
  for (const leg of await readLegs(stage)) {
    const deal = leg.dealId ? truth.deals.get(leg.dealId) : undefined;
    const booked = Object.fromEntries((byLeg.get(leg.id) ?? []).map(({ type, units }) => [type, units]));
    for (const [type, units] of Object.entries(deal ? accountsOf(deal) : NO_MONEY)) {
      if ((booked[type] ?? 0n) === units) continue;
      const what = `payment ${leg.paymentId}: its ${type} account has ${booked[type] ?? 0n}, the chain ${units}`;
      violations.push({ invariant: 'ledger', what });
    }
  }
  return violations;
}

const NO_MONEY = { payer: 0n, escrow: 0n, payee: 0n, fee: 0n };

function accountsOf(deal: DealState): typeof NO_MONEY {
  const { terms, released, refunded } = deal;
  const fee = feeAt(terms, released);
  return { payer: refunded - terms.amount, escrow: heldBy(deal), payee: released - fee, fee };
}

type MirroredDeal = { id: Hex; released: bigint; refunded: bigint; status: string; events: number };

/** The mirror is what the logs say, recomputed: deals, how many events each has, and credits. */
export async function checkMirror({ stage, truth }: Evidence): Promise<Violation[]> {
  const { sql } = stage;
  const deals = await sql<MirroredDeal[]>`
    select d.id, d.released, d.refunded, d.status,
      (select count(*)::int from chain.deal_event e where e.deal_id = d.id) as events
    from chain.deal d`;
  const credits = await sql<{ token: Address; account: Address; amount: bigint }[]>`
    select token, account, amount from chain.credit where amount <> 0`;
  const mirrored = new Map<string, string>();
  for (const { id, ...state } of deals) mirrored.set(`deal ${id}`, stateOf(state));
  for (const { token, account, amount } of credits) mirrored.set(`credit ${token} ${account}`, String(amount));
  const expected = new Map<string, string>();
  for (const [id, state] of truth.deals) expected.set(`deal ${id}`, stateOf(state));
  for (const [key, amount] of truth.credits) if (amount !== 0n) expected.set(`credit ${key}`, String(amount));
  return [...new Set([...mirrored.keys(), ...expected.keys()])].flatMap((key) => {
    const [shown, true_] = [mirrored.get(key) ?? 'nothing', expected.get(key) ?? 'nothing'];
    return shown === true_ ? [] : [{ invariant: 'mirror', what: `${key}: the mirror has ${shown}, the logs ${true_}` }];
  });
}

function stateOf({ status, released, refunded, events }: Omit<MirroredDeal, 'id'>): string {
  return `${status}, ${released} released, ${refunded} refunded, ${events} events`;
}
