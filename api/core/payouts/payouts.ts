// Owns payouts: what a party, or the node itself, is to be paid of what is held for it, by an amount that arrives to the unit. A payout
// promises no more than there is beside all other payouts; what becomes of it is read from its operations and the ledger.
import { v7 as uuidv7 } from 'uuid';
import { columns, insertRows, type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import type { Actor } from '../log.ts';
import { formatUnits } from '../money.ts';
import { findCurrency } from '../platform/platform.ts';
import type { CurrencyRow } from '../schema.ts';
import { readPayable } from './payable.ts';

/** What is asked for; `pointer` names the request's field. */
export type PayoutItem = {
  pointer: string;
  /** What is to arrive, fees left out, in base units. */
  netUnits: bigint;
  /** Of these legs alone; null: of any, the oldest first, and of a node's own payout then of its fees. */
  legIds: readonly string[] | null;
};

export type PayoutRequest = {
  nodeId: string;
  /** Null: the node itself. */
  partyId: string | null;
  currencyId: string;
  label: string | null;
  executeAt: Date;
  items: readonly PayoutItem[];
};

/** A payout and, for each of its items, what is then still there of where it comes from, in base units. */
export type CreatedPayout = { id: string; leftUnits: bigint[] };

type Part = { legId: string | null; recipient: string | null; netUnits: bigint };

/**
 * Promises a payout; at its time the worker asks the chain, or the provider, for what it is made of.
 * @throws conflict when an item is more than there is
 */
export async function createPayout(
  sql: Sql | Transaction,
  { items, ...request }: PayoutRequest,
  actor: Actor,
): Promise<CreatedPayout> {
  return await transact(sql, async (tx) => {
    const { nodeId, partyId, currencyId } = request;
    // Two at once for the same money wait for each other; each then sees what the other one took.
    await tx`select pg_advisory_xact_lock(hashtextextended(${`payouts ${nodeId} ${partyId} ${currencyId}`}, 0))`;
    const currency = await findCurrency(tx, currencyId);
    const sources = await readPayable(tx, { nodeId, partyId, currency });
    const parts: Part[] = [];
    const leftUnits: bigint[] = [];
    for (const { pointer, netUnits, legIds } of items) {
      const from = legIds === null ? sources : sources.filter(({ legId }) => legId !== null && legIds.includes(legId));
      const available = from.reduce((sum, { availableUnits }) => sum + availableUnits, 0n);
      if (netUnits > available) throw aboveAvailable({ pointer, netUnits, available, currency });
      let missing = netUnits;
      for (const source of from) {
        const taken = lesser(source.availableUnits, missing);
        if (taken === 0n) continue;
        source.availableUnits -= taken;
        missing -= taken;
        parts.push({ legId: source.legId, recipient: source.recipient, netUnits: taken });
      }
      leftUnits.push(available - netUnits);
    }
    const id = uuidv7();
    const amountUnits = parts.reduce((sum, part) => sum + part.netUnits, 0n);
    await tx`insert into payout ${tx(columns({ ...request, id, amountUnits, actorId: actor.id ?? null }))}`;
    const merged = mergeParts(parts);
    await insertRows(
      tx,
      'payout_part',
      merged.map((part, position) => ({ ...part, nodeId, payoutId: id, position })),
    );
    return { id, leftUnits };
  });
}

function lesser(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function aboveAvailable({
  pointer,
  netUnits,
  available,
  currency: { decimals, code },
}: {
  pointer: string;
  netUnits: bigint;
  available: bigint;
  currency: CurrencyRow;
}): CoreError {
  const [asked, most] = [netUnits, available].map((units) => `${formatUnits(units, decimals)} ${code}`);
  const message = `is ${asked}, but only ${most} can be paid out now`;
  return new CoreError('conflict', `Only ${most} can be paid out now, and ${asked} were asked for.`, [
    { pointer, message },
  ]);
}

/** Two items may take of the same leg; one call pays both. */
function mergeParts(parts: readonly Part[]): Part[] {
  const merged = new Map<string, Part>();
  for (const part of parts) {
    const key = part.legId ?? part.recipient ?? '';
    merged.set(key, { ...part, netUnits: part.netUnits + (merged.get(key)?.netUnits ?? 0n) });
  }
  return [...merged.values()];
}

/** `pending`: not decided yet. `executed`: at least a part of it was paid and confirmed. `rejected`: nothing was or will be. */
export type PayoutStatus = 'pending' | 'executed' | 'rejected';

/** Where a payout's money comes from, and what has become of it. */
export type PayoutPart = {
  payoutId: string;
  position: number;
  legId: string | null;
  paymentId: string | null;
  /** A fee recipient, whose whole credit is withdrawn. */
  recipient: string | null;
  netUnits: bigint;
  state: PayoutStatus;
  operationId: string | null;
  /** What arrived, once confirmed. */
  paidUnits: bigint | null;
  /** Why nothing will. */
  failure: string | null;
};

export type Payout = {
  nodeId: string;
  id: string;
  partyId: string | null;
  currencyId: string;
  amountUnits: bigint;
  label: string | null;
  executeAt: Date;
  createdAt: Date;
  status: PayoutStatus;
  parts: PayoutPart[];
};

/** Payouts of a node by id, in the order of the ids; those that were taken back are left out. */
export async function findPayouts(
  sql: Sql | Transaction,
  { nodeId, ids }: { nodeId: string; ids: readonly string[] },
): Promise<Payout[]> {
  if (ids.length === 0) return [];
  const rows = await sql<Omit<Payout, 'status' | 'parts'>[]>`
    select * from payout where node_id = ${nodeId} and id in ${sql([...ids])} and deleted_at is null`;
  const parts = await sql<PayoutPart[]>`
    ${selectParts(sql)} where pp.node_id = ${nodeId} and pp.payout_id in ${sql([...ids])} order by pp.position`;
  return ids.flatMap((id) => {
    const row = rows.find((candidate) => candidate.id === id);
    if (!row) return [];
    const own = parts.filter(({ payoutId }) => payoutId === id);
    return { ...row, parts: own, status: statusOf(own) };
  });
}

function statusOf(parts: readonly PayoutPart[]): PayoutStatus {
  if (parts.some(({ state }) => state === 'pending')) return 'pending';
  return parts.some(({ state }) => state === 'executed') ? 'executed' : 'rejected';
}

/**
 * Parts with what became of them. A part is executed when its operation is done and the ledger has what that did; a fee
 * recipient's also when somebody else withdrew first, since whoever calls it, the recipient is paid.
 */
export function selectParts(sql: Sql | Transaction) {
  return sql`
    select pp.payout_id, pp.position, pp.leg_id, pp.recipient, pp.net_units, pp.operation_id, d.payment_id,
      paid.units as paid_units,
      case when paid.units is not null then 'executed' when coalesce(pp.failure, o.error ->> 'message') is not null then 'rejected'
        else 'pending' end as state,
      case when paid.units is null then coalesce(pp.failure, o.error ->> 'message') end as failure
    from payout_part pp
    join payout po on po.node_id = pp.node_id and po.id = pp.payout_id
    left join deal d on d.node_id = pp.node_id and d.id = pp.leg_id
    left join operation o on o.node_id = pp.node_id and o.id = pp.operation_id
    left join lateral (
      select sum(g.amount_units) as units
      from ledger_entry e
      join ledger_posting g on g.node_id = e.node_id and g.entry_id = e.id
      join ledger_account a on a.node_id = g.node_id and a.id = g.account_id and a.type = 'payee'
      where pp.leg_id is not null and o.status = 'done' and e.node_id = pp.node_id and e.leg_id = pp.leg_id
        and (e.source = 'operation:' || o.id or split_part(e.source, ':', 3) = o.transaction_hash)
        and not exists (select 1 from ledger_entry r where r.node_id = e.node_id and r.reverses = e.id)
      union all
      select sum(g.amount_units)
      from ledger_entry e
      join ledger_posting g on g.node_id = e.node_id and g.entry_id = e.id
      join ledger_account a on a.node_id = g.node_id and a.id = g.account_id and a.type = 'withdrawn'
      where pp.recipient is not null and o.status in ('done', 'failed') and e.node_id = pp.node_id and e.leg_id is null
        and a.owner = pp.recipient and a.currency_id = po.currency_id
        and case o.status when 'done' then split_part(e.source, ':', 3) = o.transaction_hash
          else o.error ->> 'name' = 'NothingToWithdraw' and e.recorded_at >= po.created_at end
        and not exists (select 1 from ledger_entry r where r.node_id = e.node_id and r.reverses = e.id)
    ) paid on paid.units is not null`;
}

/**
 * Takes a payout back.
 * @throws not_found · illegal_transition once anything of it was asked of the chain
 */
export async function deletePayout(
  sql: Sql | Transaction,
  { nodeId, payoutId }: { nodeId: string; payoutId: string },
): Promise<void> {
  await transact(sql, async (tx) => {
    const [row] = await tx`
      select 1 from payout where node_id = ${nodeId} and id = ${payoutId} and deleted_at is null for update`;
    const [payout] = row ? await findPayouts(tx, { nodeId, ids: [payoutId] }) : [];
    if (!payout) throw new CoreError('not_found', 'The payout does not exist.');
    if (payout.status !== 'pending') {
      throw new CoreError('illegal_transition', `A payout that is ${payout.status} cannot be deleted.`);
    }
    if (payout.parts.some(({ operationId }) => operationId !== null)) {
      throw new CoreError('illegal_transition', 'The payout is under way and cannot be deleted any more.');
    }
    await tx`update payout set deleted_at = now() where node_id = ${nodeId} and id = ${payoutId}`;
    await tx`
      update payout_part set failure = 'Deleted.' where node_id = ${nodeId} and payout_id = ${payoutId} and failure is null`;
  });
}
