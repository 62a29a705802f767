-- Withdrawals of fees in the ledger, and payouts: what a party or the node itself is to be paid of what is held for it.

-- withdrawn: what the escrow paid out to a fee recipient, whose fee account is then what still waits there.
alter table ledger_account drop constraint ledger_account_type_check;
alter table ledger_account add constraint ledger_account_type_check check (
  type in ('payer', 'escrow', 'payee', 'fee', 'pending', 'excess', 'withdrawn'));
create index ledger_account_of_fees on ledger_account (owner, currency_id) where type = 'fee';

-- A withdrawal belongs to no payment.
alter table ledger_entry alter column payment_id drop not null, alter column leg_id drop not null;
alter table ledger_entry add check ((payment_id is null) = (leg_id is null));
-- Names an entry where a surface needs an integer.
alter table ledger_entry add column number bigint generated always as identity;
create index ledger_entry_of_withdrawals on ledger_entry (node_id, recorded_at) where leg_id is null;

create table payout (
  node_id uuid not null references node,
  id uuid not null,
  -- Null: the node itself, of its own legs and its fees.
  party_id uuid,
  currency_id uuid not null references currency,
  -- What arrives, fees left out.
  amount_units numeric(78, 0) not null check (amount_units > 0),
  label text,
  execute_at timestamptz not null,
  actor_id uuid,
  created_at timestamptz not null default now(),
  -- Taken back before anything of it was asked of the chain.
  deleted_at timestamptz,
  primary key (node_id, id),
  foreign key (node_id, party_id) references party
);
create index payout_by_party on payout (node_id, party_id, currency_id, id);

-- Where a payout's money comes from: of a leg, or of a fee recipient's credit in the escrow.
create table payout_part (
  node_id uuid not null,
  payout_id uuid not null,
  position integer not null,
  leg_id uuid,
  recipient text,
  -- What arrives, fees left out.
  net_units numeric(78, 0) not null check (net_units > 0),
  -- What was asked of the chain or the provider for it; null: not yet.
  operation_id uuid,
  -- Why nothing will ever be asked for it.
  failure text,
  primary key (node_id, payout_id, position),
  foreign key (node_id, payout_id) references payout,
  check ((leg_id is null) <> (recipient is null))
);
create index payout_part_by_leg on payout_part (node_id, leg_id) where leg_id is not null;
create index payout_part_waiting on payout_part (node_id, payout_id) where operation_id is null and failure is null;
