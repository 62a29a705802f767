// Owns the ledger: double entries of what each event on chain did with a deal's money. An entry is keyed by its event and
// never changed; one whose event is on the chain no more is taken back by a reversing entry. Withdrawals of fees belong to no deal.
import { v7 as uuidv7 } from 'uuid';
import { feeAt } from '../../contracts/terms.ts';
import { columns, type Sql, type Transaction } from './database/db.ts';

/**
 * escrow: held for one payment · payer: paid in by a wallet, at most zero · payee: paid to a wallet, less what it gave back · fee:
 * earned, less what was withdrawn · withdrawn: paid out to a fee recipient. Of rails alone: pending: authorized or arrived, and
 * funds nothing yet · excess: too much, to be given back.
 */
export type AccountType = 'payer' | 'escrow' | 'payee' | 'fee' | 'pending' | 'excess' | 'withdrawn';

/** Amounts of a deal on chain by account type, in base units; they sum to zero. */
export type Balances = Record<'payer' | 'escrow' | 'payee' | 'fee', bigint>;

/** A deal's money: what its terms say and what left it. */
export type DealMoney = { amountUnits: bigint; feeUnits: bigint; releasedUnits: bigint; refundedUnits: bigint };

/** Where a deal's money is, once deposited. Given back by the payee is what was refunded beyond what was held. */
export function balancesOf({ amountUnits, feeUnits, releasedUnits, refundedUnits }: DealMoney): Balances {
  const fee = feeAt({ fee: feeUnits, amount: amountUnits }, releasedUnits);
  const paidOut = releasedUnits + refundedUnits;
  const returned = paidOut > amountUnits ? paidOut - amountUnits : 0n;
  return {
    payer: refundedUnits - amountUnits,
    escrow: amountUnits - (paidOut - returned),
    payee: releasedUnits - fee - returned,
    fee,
  };
}

/** A confirmed event of a deal, with the state that it left behind. */
export type DealEvent = {
  /** Names the event and the block that holds it. */
  source: string;
  name: string;
  releasedUnits: bigint;
  refundedUnits: bigint;
  effectiveAt: Date;
};

/** Whose accounts a deal's money moves between. */
export type DealParties = {
  nodeId: string;
  paymentId: string;
  legId: string;
  currencyId: string;
  payer: string;
  payee: string;
  feeRecipient: string;
  /** The provider that holds the money; left out: the escrow contract. */
  heldBy?: string;
};

/** Whose fees in which currency; `owner` is a fee recipient's address. */
export type FeeAccount = { nodeId: string; owner: string; currencyId: string };

type EntryRow = { id: string; source: string };

/**
 * Brings a leg's entries to exactly these events, in the chain's order: from the first difference on, entries are
 * reversed and events posted. Doing it again changes nothing.
 */
export async function postDealEvents(
  tx: Transaction,
  parties: DealParties,
  terms: Pick<DealMoney, 'amountUnits' | 'feeUnits'>,
  events: readonly DealEvent[],
): Promise<void> {
  const { nodeId, legId } = parties;
  const standing = await tx<EntryRow[]>`
    select id, source from ledger_entry e where node_id = ${nodeId} and leg_id = ${legId} and reverses is null
      and not exists (select 1 from ledger_entry r where r.node_id = e.node_id and r.reverses = e.id)
    order by id`;
  const firstDifferent = standing.findIndex((entry, index) => entry.source !== events[index]?.source);
  const kept = firstDifferent === -1 ? standing.length : firstDifferent;
  for (const entry of standing.slice(kept).reverse()) await reverseEntry(tx, parties, entry);
  for (const [index, event] of events.entries()) {
    if (index < kept) continue;
    const previous = events[index - 1];
    const before = previous ? balancesOf({ ...terms, ...previous }) : NOTHING;
    await postEntry(tx, accountsOf(parties), event, difference(before, balancesOf({ ...terms, ...event })));
  }
}

const NOTHING: Balances = { payer: 0n, escrow: 0n, payee: 0n, fee: 0n };

/** What has to be posted to come from one state of a deal's money to another. */
export function difference(before: Balances, after: Balances): Balances {
  return {
    payer: after.payer - before.payer,
    escrow: after.escrow - before.escrow,
    payee: after.payee - before.payee,
    fee: after.fee - before.fee,
  };
}

/**
 * Posts what a provider did with money that it holds: a memo entry of `amounts`, which sum to zero. The same source again changes
 * nothing.
 */
export async function postMemo(
  tx: Transaction,
  parties: DealParties & { heldBy: string },
  event: Pick<DealEvent, 'source' | 'name' | 'effectiveAt'>,
  amounts: Partial<Record<AccountType, bigint>>,
): Promise<void> {
  if (Object.values(amounts).every((amount) => amount === 0n)) return;
  const [known] = await tx`
    select 1 from ledger_entry where node_id = ${parties.nodeId} and source = ${event.source}`;
  if (!known) await postEntry(tx, accountsOf(parties), event, amounts);
}

/** A confirmed withdrawal of a fee recipient's whole credit, which may hold the fees of several nodes. */
export type WithdrawalEvent = { source: string; effectiveAt: Date };

/**
 * Brings the withdrawals from a node's fee account to exactly these events, in the chain's order: each took what of the node's
 * fees was there, which `feesBefore` knows (all fees ever earned before the event, in base units) and is asked for what is not
 * posted yet, with `verify` for every one. Doing it again changes nothing.
 */
export async function postWithdrawals<Event extends WithdrawalEvent>(
  tx: Transaction,
  account: FeeAccount,
  events: readonly Event[],
  feesBefore: (event: Event, is: { posted: boolean }) => Promise<bigint>,
  { verify = false } = {},
): Promise<void> {
  const { nodeId, owner, currencyId } = account;
  await tx`select pg_advisory_xact_lock(hashtextextended(${`withdrawals ${nodeId} ${owner} ${currencyId}`}, 0))`;
  const standing = await tx<(EntryRow & { amountUnits: bigint })[]>`
    select e.id, e.source, -p.amount_units as amount_units
    from ledger_account a
    join ledger_posting p on p.node_id = a.node_id and p.account_id = a.id
    join ledger_entry e on e.node_id = p.node_id and e.id = p.entry_id
    where a.node_id = ${nodeId} and a.type = 'fee' and a.owner = ${owner} and a.currency_id = ${currencyId}
      and a.held_by is null and e.leg_id is null and e.reverses is null
      and not exists (select 1 from ledger_entry r where r.node_id = e.node_id and r.reverses = e.id)
    order by e.id`;
  let withdrawn = 0n;
  for (const event of events) {
    const [known] = standing;
    const posted = known?.source === event.source;
    if (posted && !verify) {
      standing.shift();
      withdrawn += known.amountUnits;
      continue;
    }
    const amountUnits = (await feesBefore(event, { posted })) - withdrawn;
    withdrawn += amountUnits;
    if (posted && known.amountUnits === amountUnits) {
      standing.shift();
      continue;
    }
    // A recipient of several nodes may withdraw when this one has earned nothing.
    if (amountUnits === 0n) continue;
    for (const entry of standing.splice(0).reverse()) await reverseEntry(tx, account, entry);
    const accounts = { ...account, paymentId: null, legId: null, owners: { fee: owner, withdrawn: owner } };
    await postEntry(tx, accounts, { ...event, name: 'Withdrawn' }, { fee: -amountUnits, withdrawn: amountUnits });
  }
  for (const entry of standing.reverse()) await reverseEntry(tx, account, entry);
}

/** Between whose accounts an entry moves money, and what it is about; a withdrawal is about no leg. */
type EntryAccounts = {
  nodeId: string;
  paymentId: string | null;
  legId: string | null;
  currencyId: string;
  heldBy?: string;
  owners: Partial<Record<AccountType, string>>;
};

async function postEntry(
  tx: Transaction,
  accounts: EntryAccounts,
  event: Pick<DealEvent, 'source' | 'name' | 'effectiveAt'>,
  amounts: Partial<Record<AccountType, bigint>>,
): Promise<void> {
  const { nodeId, paymentId, legId, currencyId } = accounts;
  const entryId = uuidv7();
  const { source, name, effectiveAt } = event;
  await tx`
    insert into ledger_entry (node_id, id, payment_id, leg_id, source, occurrence, name, effective_at)
    select ${nodeId}, ${entryId}, ${paymentId}, ${legId}, ${source}, count(*) + 1, ${name}, ${effectiveAt}
    from ledger_entry where node_id = ${nodeId} and source = ${source}`;
  for (const type of ['payer', 'pending', 'excess', 'escrow', 'payee', 'fee', 'withdrawn'] as const) {
    const amountUnits = amounts[type] ?? 0n;
    if (amountUnits === 0n) continue;
    const accountId = await openAccount(tx, accounts, type);
    await tx`insert into ledger_posting ${tx(columns({ nodeId, entryId, accountId, currencyId, amountUnits }))}`;
  }
}

/** A deal's accounts by type. */
function accountsOf({ payer, payee, feeRecipient, ...deal }: DealParties): EntryAccounts {
  const { paymentId } = deal;
  return {
    ...deal,
    owners: { payer, payee, fee: feeRecipient, escrow: paymentId, pending: paymentId, excess: paymentId },
  };
}

async function reverseEntry(tx: Transaction, { nodeId }: { nodeId: string }, entry: EntryRow): Promise<void> {
  const id = uuidv7();
  await tx`
    insert into ledger_entry (node_id, id, payment_id, leg_id, source, occurrence, name, reverses, effective_at)
    select node_id, ${id}, payment_id, leg_id, ${`reversal of ${entry.id}`}, 1, name, id, effective_at
    from ledger_entry where node_id = ${nodeId} and id = ${entry.id}`;
  await tx`
    insert into ledger_posting (node_id, entry_id, account_id, currency_id, amount_units)
    select node_id, ${id}, account_id, currency_id, -amount_units
    from ledger_posting where node_id = ${nodeId} and entry_id = ${entry.id}`;
}

async function openAccount(tx: Transaction, accounts: EntryAccounts, type: AccountType): Promise<string> {
  const { nodeId, currencyId, heldBy = null, owners } = accounts;
  const owner = owners[type];
  if (owner === undefined) throw new Error(`Nobody owns the ${type} account of this entry.`);
  const [account] = await tx<{ id: string }[]>`
    insert into ledger_account ${tx({ nodeId, id: uuidv7(), type, owner, currencyId, heldBy })}
    on conflict (node_id, type, owner, currency_id, held_by) do update set owner = excluded.owner returning id`;
  if (!account) throw new Error('The account was not opened.');
  return account.id;
}

/** An account and its balance in base units. */
export type AccountRow = {
  nodeId: string;
  id: string;
  type: AccountType;
  owner: string;
  currencyId: string;
  /** The provider that holds it; null: the escrow contract. */
  heldBy: string | null;
  balanceUnits: bigint;
};

/** A node's accounts with their balances, of what took effect by `asOf` (default: everything), oldest first. */
export async function listAccounts(
  sql: Sql | Transaction,
  filter: { nodeId: string; type?: AccountType | undefined; owner?: string | undefined; asOf?: Date | undefined },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: AccountRow[]; total: number }> {
  const where = sql`
    a.node_id = ${filter.nodeId}
    ${filter.type ? sql`and a.type = ${filter.type}` : sql``}
    ${filter.owner ? sql`and a.owner = ${filter.owner}` : sql``}`;
  const rows = await sql<AccountRow[]>`
    select a.*, (
      select coalesce(sum(p.amount_units), 0)
      from ledger_posting p join ledger_entry e on e.node_id = p.node_id and e.id = p.entry_id
      where p.node_id = a.node_id and p.account_id = a.id
        ${filter.asOf ? sql`and e.effective_at <= ${filter.asOf}` : sql``}
    ) as balance_units
    from ledger_account a where ${where} order by a.id limit ${perPage} offset ${(page - 1) * perPage}`;
  const [count] = await sql<{ total: number }[]>`select count(*)::int as total from ledger_account a where ${where}`;
  return { rows, total: count?.total ?? 0 };
}

/** The node that an account belongs to, if there is such an account. */
export async function accountNode(sql: Sql, accountId: string): Promise<string | undefined> {
  const [row] = await sql<{ nodeId: string }[]>`select node_id from ledger_account where id = ${accountId}`;
  return row?.nodeId;
}

/** One posting as an account's statement shows it. */
export type StatementLine = {
  entryId: string;
  /** Null: a withdrawal. */
  paymentId: string | null;
  name: string;
  source: string;
  reverses: string | null;
  amountUnits: bigint;
  effectiveAt: Date;
  recordedAt: Date;
};

/** A page of an account's postings, newest first. */
export async function listStatement(
  sql: Sql | Transaction,
  { nodeId, accountId }: { nodeId: string; accountId: string },
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: StatementLine[]; total: number }> {
  const rows = await sql<StatementLine[]>`
    select e.id as entry_id, e.payment_id, e.name, e.source, e.reverses, p.amount_units, e.effective_at, e.recorded_at
    from ledger_posting p join ledger_entry e on e.node_id = p.node_id and e.id = p.entry_id
    where p.node_id = ${nodeId} and p.account_id = ${accountId}
    order by p.entry_id desc limit ${perPage} offset ${(page - 1) * perPage}`;
  const [count] = await sql<{ total: number }[]>`
    select count(*)::int as total from ledger_posting where node_id = ${nodeId} and account_id = ${accountId}`;
  return { rows, total: count?.total ?? 0 };
}
