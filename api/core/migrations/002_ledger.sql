-- The ledger: what every movement of money did to whose account. Entries are only ever added.

create table ledger_account (
  node_id uuid not null references node,
  id uuid not null,
  -- escrow: held for one payment. payer: what one wallet has paid in, so at most zero. payee: what a wallet was paid.
  -- fee: what a fee recipient has earned.
  type text not null check (type in ('payer', 'escrow', 'payee', 'fee')),
  -- A wallet's address, or for escrow the payment's id.
  owner text not null,
  currency_id uuid not null references currency,
  primary key (node_id, id),
  unique (node_id, type, owner, currency_id)
);

create table ledger_entry (
  node_id uuid not null references node,
  id uuid not null,
  payment_id uuid not null,
  -- The leg whose deal moved.
  leg_id uuid not null,
  -- The event that moved the money; an event that vanished and came back is posted again as its next occurrence.
  source text not null,
  occurrence integer not null,
  name text not null,
  -- Set on an entry that takes back another one, whose event is on the chain no more.
  reverses uuid,
  effective_at timestamptz not null,
  recorded_at timestamptz not null default now(),
  primary key (node_id, id),
  unique (node_id, source, occurrence),
  unique (node_id, reverses)
);
create index ledger_entry_by_leg on ledger_entry (node_id, leg_id, id);

create table ledger_posting (
  node_id uuid not null,
  entry_id uuid not null,
  account_id uuid not null,
  currency_id uuid not null,
  amount_units numeric(78, 0) not null check (amount_units <> 0),
  primary key (node_id, entry_id, account_id),
  foreign key (node_id, entry_id) references ledger_entry (node_id, id),
  foreign key (node_id, account_id) references ledger_account (node_id, id)
);
create index ledger_posting_by_account on ledger_posting (node_id, account_id, entry_id);

create function ledger_is_immutable() returns trigger language plpgsql as $$
begin
  raise exception 'the ledger is never changed: correct it by a reversing entry';
end $$;
create trigger ledger_entry_is_immutable before update or delete or truncate on ledger_entry
  for each statement execute function ledger_is_immutable();
create trigger ledger_posting_is_immutable before update or delete or truncate on ledger_posting
  for each statement execute function ledger_is_immutable();

create function ledger_sums_to_zero() returns trigger language plpgsql as $$
begin
  if exists (
    select 1 from ledger_posting where node_id = new.node_id and entry_id = new.entry_id
    group by currency_id having sum(amount_units) <> 0
  ) then
    raise exception 'the postings of ledger entry % do not sum to zero', new.entry_id;
  end if;
  return null;
end $$;
create constraint trigger ledger_posting_sums_to_zero after insert on ledger_posting
  deferrable initially deferred for each row execute function ledger_sums_to_zero();
