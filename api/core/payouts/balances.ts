// Owns what is held for whom, read from the ledger as of any moment: balances of a party, of the node itself and of everybody else, and
// the lines that they come from. Keeps nothing. The fee on what is held is not the payee's any more and not the recipient's yet.
import type { Sql, Transaction } from '../database/db.ts';

/** Whose legs of a node: a party's, the node's `own` (they pay one of its wallets), or the `others`, all that are not its own. */
export type Holder = { partyId: string } | 'own' | 'others';

/** What legs of one currency come to, in base units. */
export type Held = {
  currencyId: string;
  /** Held for the payees, the fee on it left out. */
  netUnits: bigint;
  /** That fee: earned with the release of what is held, gone with its refund. */
  reservedUnits: bigint;
  /** What deals that wait for their deposit would add to both. */
  awaitedNetUnits: bigint;
  awaitedFeeUnits: bigint;
};

/** One reason why a balance changed: `payment` came in, `fee` was set aside or given back, `payout` and `refund` went out. */
export type Line = {
  /** Names the line among all of the node's. */
  number: bigint;
  kind: LineKind;
  /** In base units; below zero: a debit. */
  amountUnits: bigint;
  /** The ledger's name for the event. */
  name: string;
  /** Null: a withdrawal, which is of no payment. */
  paymentId: string | null;
  effectiveAt: Date;
};

const LINE_KINDS = ['payment', 'fee', 'payout', 'refund', 'earned', 'withdrawal', 'reserved'] as const;
export type LineKind = (typeof LINE_KINDS)[number];

// An entry has at most one line of each kind.
const lineNumber = (entry: bigint, kind: LineKind) => entry * 8n + BigInt(LINE_KINDS.indexOf(kind));

/** The legs of a holder, as a condition on `d` (deal). */
export function legsOfHolder(sql: Sql | Transaction, nodeId: string, holder: Holder) {
  if (typeof holder === 'object') return sql`d.node_id = ${nodeId} and d.party_id = ${holder.partyId}`;
  // A payment on a rail may have no address to be paid at.
  const own = sql`(d.party_id is null and coalesce(d.payee, '') in (select w.address from wallet w where w.node_id = ${nodeId}))`;
  return holder === 'own' ? sql`d.node_id = ${nodeId} and ${own}` : sql`d.node_id = ${nodeId} and not ${own}`;
}

/**
 * The legs of a holder that held or awaited money at a moment: those that still do, and those that something moved since. What is
 * settled holds nothing, so that a history of any length is left out.
 */
function legsAt(sql: Sql | Transaction, nodeId: string, holder: Holder, asOf: Date | undefined) {
  return sql`
    ${legsOfHolder(sql, nodeId, holder)} and d.id in (
      select id from deal
      where node_id = ${nodeId} and chain_status in ('none', 'awaiting', 'confirming', 'funded', 'disputed')
      ${asOf ? sql`union select leg_id from ledger_entry where node_id = ${nodeId} and effective_at > ${asOf}` : sql``})`;
}

/** What each entry did to the legs that `where` says. */
function legEntries(sql: Sql | Transaction, where: ReturnType<typeof legsAt>, asOf: Date | undefined) {
  return sql`
    select e.*, p.currency_id, d.fee_units, d.amount_units
    from deal d join payment p on p.node_id = d.node_id and p.id = d.payment_id
    join lateral (
      select e.number, e.leg_id, e.payment_id, e.name, e.effective_at, e.reverses is not null as reverses,
        coalesce(sum(o.amount_units) filter (where a.type = 'escrow'), 0) as escrow,
        coalesce(sum(o.amount_units) filter (where a.type = 'payee'), 0) as payee,
        coalesce(sum(o.amount_units) filter (where a.type = 'fee'), 0) as fee
      from ledger_entry e
      join ledger_posting o on o.node_id = e.node_id and o.entry_id = e.id
      join ledger_account a on a.node_id = o.node_id and a.id = o.account_id
      where e.node_id = d.node_id and e.leg_id = d.id ${asOf ? sql`and e.effective_at <= ${asOf}` : sql``}
      group by e.node_id, e.id
    ) e on true
    where ${where}`;
}

// While anything is held, released = payee + fee, so this is the fee on all that was or would be released, less what was taken.
const FEE_TO_COME = (sql: Sql | Transaction) =>
  sql`case when escrow > 0 then div(fee_units * (escrow + payee + fee), amount_units) - fee else 0 end`;

/** The currencies in which money of a node has ever moved. */
export async function movedCurrencies(sql: Sql | Transaction, nodeId: string): Promise<string[]> {
  const rows = await sql<{ currencyId: string }[]>`
    select distinct currency_id from ledger_account where node_id = ${nodeId} and type in ('payer', 'payee', 'fee')`;
  return rows.map(({ currencyId }) => currencyId);
}

/** What is held for a holder by currency, those without any left out, of what took effect by `asOf` (default: everything that is known). */
export async function readHeld(
  sql: Sql | Transaction,
  { nodeId, holder, asOf }: { nodeId: string; holder: Holder; asOf?: Date | undefined },
): Promise<Held[]> {
  const legs = legsAt(sql, nodeId, holder, asOf);
  return await sql<Held[]>`
    with leg as (
      select currency_id, leg_id, fee_units, amount_units,
        sum(escrow) as escrow, sum(payee) as payee, sum(fee) as fee
      from (${legEntries(sql, legs, asOf)}) entry group by currency_id, leg_id, fee_units, amount_units
    ), held as (
      select currency_id, sum(escrow - ${FEE_TO_COME(sql)}) as net, sum(${FEE_TO_COME(sql)}) as reserved
      from leg group by currency_id
    ), awaited as (
      select p.currency_id, sum(d.amount_units - d.fee_units) as net, sum(d.fee_units) as fee
      from deal d join payment p on p.node_id = d.node_id and p.id = d.payment_id
      where ${legs}
        and d.cancelled_at is null and d.chain_status not in ('closed', 'expired', 'failed')
        ${
          asOf
            ? sql`and p.created_at <= ${asOf} and to_timestamp(d.deposit_deadline) >= ${asOf}
                and (d.cancel_requested_at is null or d.cancel_requested_at > ${asOf})`
            : sql`and d.cancel_requested_at is null`
        }
        and not exists (
          select 1 from ledger_entry e
          where e.node_id = d.node_id and e.leg_id = d.id ${asOf ? sql`and e.effective_at <= ${asOf}` : sql``})
      group by p.currency_id
    )
    select currency_id, coalesce(h.net, 0) as net_units, coalesce(h.reserved, 0) as reserved_units,
      coalesce(w.net, 0) as awaited_net_units, coalesce(w.fee, 0) as awaited_fee_units
    from held h full join awaited w using (currency_id)`;
}

type MoveRow = {
  number: bigint;
  paymentId: string | null;
  name: string;
  effectiveAt: Date;
  reverses: boolean;
  escrow: bigint;
  payee: bigint;
  fee: bigint;
  /** The fee to come after the entry, and what the entry changed of it. */
  reservedChange: bigint;
};

/** Which lines to read: of one currency, what took effect by `asOf`, the newest `limit` entries. */
export type LinesOf = { nodeId: string; currencyId: string; asOf?: Date | undefined; limit: number };

/** The newest lines of what is held for a holder, newest first; all of them sum to its {@link Held.netUnits}. */
export async function readHeldLines(sql: Sql | Transaction, holder: Holder, lines: LinesOf): Promise<Line[]> {
  return (await readMoves(sql, holder, lines)).flatMap(linesOf);
}

/** The newest changes of the fee on what is held; all of them sum to its {@link Held.reservedUnits}. */
export async function readReservedLines(sql: Sql | Transaction, holder: Holder, lines: LinesOf): Promise<Line[]> {
  const moves = await readMoves(sql, holder, lines);
  return moves.flatMap((move) => lineOf(move, 'reserved', move.reservedChange));
}

async function readMoves(
  sql: Sql | Transaction,
  holder: Holder,
  { nodeId, currencyId, asOf, limit }: LinesOf,
): Promise<MoveRow[]> {
  // The fee to come changes with all that went before on a leg, so that whole legs are read: those that moved last.
  const legs = sql`
    ${legsOfHolder(sql, nodeId, holder)} and p.currency_id = ${currencyId} and d.id in (
      select e.leg_id from ledger_entry e
      join deal d on d.node_id = e.node_id and d.id = e.leg_id
      join payment p on p.node_id = d.node_id and p.id = d.payment_id
      where e.node_id = ${nodeId} and ${legsOfHolder(sql, nodeId, holder)} and p.currency_id = ${currencyId}
        ${asOf ? sql`and e.effective_at <= ${asOf}` : sql``}
      order by e.number desc limit ${limit})`;
  return await sql<MoveRow[]>`
    with entry as (${legEntries(sql, legs, asOf)}), standing as (
      select number, leg_id, fee_units, amount_units,
        sum(escrow) over legs as escrow, sum(payee) over legs as payee, sum(fee) over legs as fee
      from entry window legs as (partition by leg_id order by number)
    ), reserved as (
      select number, leg_id, ${FEE_TO_COME(sql)} as units from standing
    ), change as (
      select number, units - coalesce(lag(units) over (partition by leg_id order by number), 0) as reserved_change from reserved
    )
    select e.number, e.payment_id, e.name, e.effective_at, e.reverses, e.escrow, e.payee, e.fee, c.reserved_change
    from entry e join change c using (number) order by e.number desc limit ${limit}`;
}

function linesOf(move: MoveRow): Line[] {
  // What a payee gives back of its own pocket touches nothing that is held.
  if (move.escrow === 0n) return [];
  const back = move.reverses ? -1n : 1n;
  const [escrow, payee, fee] = [move.escrow * back, move.payee * back, move.fee * back];
  const payment = escrow > 0n ? escrow : 0n;
  const refund = escrow > 0n ? 0n : -escrow - payee - fee;
  return [
    ...lineOf(move, 'payment', payment * back),
    ...lineOf(move, 'fee', -(move.reservedChange + move.fee)),
    ...lineOf(move, 'payout', -payee * back),
    ...lineOf(move, 'refund', -refund * back),
  ];
}

function lineOf(
  { number, name, paymentId, effectiveAt }: Pick<MoveRow, 'number' | 'name' | 'paymentId' | 'effectiveAt'>,
  kind: LineKind,
  amountUnits: bigint,
): Line[] {
  if (amountUnits === 0n) return [];
  return [{ number: lineNumber(number, kind), kind, amountUnits, name, paymentId, effectiveAt }];
}

/** Fees that the escrow, or of fiat money a provider, keeps for a node's fee recipients until they are paid out. */
export type FeeCredit = { currencyId: string; recipient: string; balanceUnits: bigint };

/** What of a node's fees was earned and not withdrawn by `asOf` (default: everything that is known), oldest account first. */
export async function readFeeCredits(
  sql: Sql | Transaction,
  { nodeId, asOf }: { nodeId: string; asOf?: Date | undefined },
): Promise<FeeCredit[]> {
  return await sql<FeeCredit[]>`
    select a.currency_id, a.owner as recipient, sum(o.amount_units) as balance_units
    from ledger_account a
    join ledger_posting o on o.node_id = a.node_id and o.account_id = a.id
    join ledger_entry e on e.node_id = o.node_id and e.id = o.entry_id ${asOf ? sql`and e.effective_at <= ${asOf}` : sql``}
    where a.node_id = ${nodeId} and a.type = 'fee' 
    group by a.currency_id, a.owner order by min(a.id::text)`;
}

/** The newest lines of a node's fee credits, newest first; all of them sum to what {@link readFeeCredits} says. */
export async function readFeeLines(
  sql: Sql | Transaction,
  { nodeId, currencyId, asOf, limit }: LinesOf,
): Promise<Line[]> {
  const rows = await sql<(Pick<MoveRow, 'number' | 'name' | 'paymentId' | 'effectiveAt'> & { units: bigint })[]>`
    select e.number, e.name, e.payment_id, e.effective_at, sum(o.amount_units) as units
    from ledger_account a
    join ledger_posting o on o.node_id = a.node_id and o.account_id = a.id
    join ledger_entry e on e.node_id = o.node_id and e.id = o.entry_id ${asOf ? sql`and e.effective_at <= ${asOf}` : sql``}
    where a.node_id = ${nodeId} and a.type = 'fee' and a.currency_id = ${currencyId}
    group by e.node_id, e.id order by e.number desc limit ${limit}`;
  return rows.flatMap(({ units, ...row }) => lineOf(row, row.paymentId === null ? 'withdrawal' : 'earned', units));
}
