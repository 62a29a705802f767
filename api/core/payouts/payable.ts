// Owns what can be paid out now, and of which legs: what they hold less their fee, less what other payouts were promised and what is
// on its way out already. Reads; promises nothing.
import type { Sql, Transaction } from '../database/db.ts';
import { balancesOf, type DealMoney } from '../ledger.ts';
import type { CurrencyRow, DealRow } from '../schema.ts';
import { legStatus } from '../status.ts';
import { type Holder, legsOfHolder, readFeeCredits } from './balances.ts';

/** A leg, or a fee recipient's credit, and what of it can still be promised, in base units, fees left out. */
export type Payable = { legId: string | null; recipient: string | null; availableUnits: bigint };

/** What would arrive of a release of `grossUnits` more, in base units. */
export function netOf(money: DealMoney, grossUnits: bigint): bigint {
  const after = { ...money, releasedUnits: money.releasedUnits + grossUnits };
  return balancesOf(after).payee - balancesOf(money).payee;
}

/**
 * The least release of which exactly `netUnits` arrive. There is one for each amount up to the net of all that is held: a unit more
 * of release is at most a unit more for the payee.
 */
export function grossFor(money: DealMoney, netUnits: bigint): bigint {
  let low = netUnits;
  let high = balancesOf(money).escrow;
  while (low < high) {
    const middle = (low + high) / 2n;
    if (netOf(money, middle) < netUnits) low = middle + 1n;
    else high = middle;
  }
  return low;
}

type StandingLeg = DealRow & { promisedUnits: bigint; leavingUnits: bigint };

/**
 * What a party, or with null the node itself, can be paid out in a currency: its legs, the oldest first, then a node's fees. A
 * credit is withdrawn whole, so one of which anything is promised is none.
 */
export async function readPayable(
  sql: Sql | Transaction,
  { nodeId, partyId, currency }: { nodeId: string; partyId: string | null; currency: CurrencyRow },
): Promise<Payable[]> {
  const holder: Holder = partyId === null ? 'own' : { partyId };
  const legs = await readStandingLegs(sql, nodeId, holder, currency.id);
  const sources = legs.map((leg) => ({ legId: leg.id, recipient: null, availableUnits: availableOf(leg) }));
  // Of fiat money its provider pays fees out, without being asked.
  if (partyId !== null || currency.type === 'fiat') return sources;
  return [...sources, ...(await readCredits(sql, nodeId, currency.id))];
}

function availableOf(leg: StandingLeg): bigint {
  const status = legStatus(leg);
  if (status !== 'funded' && status !== 'partially_released') return 0n;
  const held = balancesOf(leg).escrow - leg.leavingUnits;
  const available = held > 0n ? netOf(leg, held) - leg.promisedUnits : 0n;
  return available > 0n ? available : 0n;
}

/**
 * Legs that hold anything, with what payouts were promised of them and what operations beside those take: of verbs without an
 * amount, everything. What the ledger has already is not on its way any more.
 */
async function readStandingLegs(
  sql: Sql | Transaction,
  nodeId: string,
  holder: Holder,
  currencyId: string,
): Promise<StandingLeg[]> {
  return await sql<StandingLeg[]>`
    select d.*,
      coalesce((
        select sum(pp.net_units) from payout_part pp
        where pp.node_id = d.node_id and pp.leg_id = d.id and pp.failure is null
          and (pp.operation_id is null or exists (select 1 from (${unsettled(sql)}) o where o.id = pp.operation_id))
      ), 0) as promised_units,
      coalesce((
        select sum(coalesce(o.amount_units, d.amount_units)) from (${unsettled(sql)}) o
        where o.verb in ('release', 'releasePart', 'refundPart', 'cancelDeal', 'resolve', 'settle')
          and not exists (select 1 from payout_part pp where pp.node_id = o.node_id and pp.operation_id = o.id)
      ), 0) as leaving_units
    from deal d join payment p on p.node_id = d.node_id and p.id = d.payment_id
    where ${legsOfHolder(sql, nodeId, holder)} and p.currency_id = ${currencyId}
      and d.chain_status = 'funded' and d.released_units + d.refunded_units < d.amount_units
    order by p.created_at, d.leg`;
}

/** Operations on the deal of the leg `d` whose effect the ledger does not have yet. */
export function unsettled(sql: Sql | Transaction) {
  return sql`
    select o.* from operation o
    where o.node_id = d.node_id and o.payment_id = d.payment_id and o.leg_id = d.id
      and o.deal_id is not distinct from d.deal_id and (
      o.status in ('queued', 'submitted')
      or o.status = 'done' and o.transaction_hash is not null and not exists (
        select 1 from ledger_entry e
        where e.node_id = o.node_id and e.leg_id = o.leg_id and split_part(e.source, ':', 3) = o.transaction_hash))`;
}

async function readCredits(sql: Sql | Transaction, nodeId: string, currencyId: string): Promise<Payable[]> {
  const credits = await readFeeCredits(sql, { nodeId });
  const promised = await sql<{ recipient: string }[]>`
    select pp.recipient
    from payout_part pp join payout po on po.node_id = pp.node_id and po.id = pp.payout_id
    left join operation o on o.node_id = pp.node_id and o.id = pp.operation_id
    where pp.node_id = ${nodeId} and po.currency_id = ${currencyId} and pp.recipient is not null and pp.failure is null
      and (o.id is null or o.status in ('queued', 'submitted') or o.status = 'done' and not exists (
        select 1 from ledger_entry e
        where e.node_id = o.node_id and e.leg_id is null and split_part(e.source, ':', 3) = o.transaction_hash))`;
  return credits
    .filter((credit) => credit.currencyId === currencyId)
    .map(({ recipient, balanceUnits }) => {
      const isPromised = promised.some((part) => part.recipient === recipient);
      return { legId: null, recipient, availableUnits: isPromised || balanceUnits < 0n ? 0n : balanceUnits };
    });
}
