-- Cards and bank transfers. A provider holds the money; what we keep of it are attempts, each one charge or refund there, and memo
-- balances in the ledger.

create table rail_attempt (
  node_id uuid not null references node,
  -- Also what the provider knows the attempt by, so that asking it twice makes one charge.
  id uuid not null,
  payment_id uuid not null,
  execution text not null check (execution in ('charge', 'refund')),
  -- 1, 2, … of its payment and execution.
  number integer not null,
  provider text not null,
  -- The provider's own name for it; null until the provider has answered.
  provider_reference text,
  amount_units numeric(78, 0) not null,
  status text not null,
  -- Why it was declined, refused or bounced, in the provider's words.
  reason text,
  -- Of a charge: the provider's count of changes up to the one applied last. An older one is not applied any more.
  sequence bigint not null default 0,
  -- Of a charge: what came in (authorized, or arrived by transfer), what of it funds the payment, what of it is too much.
  received_units numeric(78, 0) not null default 0,
  funded_units numeric(78, 0) not null default 0,
  excess_units numeric(78, 0) not null default 0,
  -- Where the payer goes on, or where a transfer goes to.
  page_url text,
  transfer jsonb,
  -- Of a refund: the operation that it carries out, and whether it gives excess back instead of what a leg holds.
  operation_id uuid,
  leg_id uuid,
  of_excess boolean not null default false,
  charge_id uuid,
  -- How often in a row the provider was asked; when it is asked next. Null: never again.
  tries integer not null default 0,
  next_step_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (node_id, id),
  unique (node_id, payment_id, execution, number),
  unique (provider, execution, provider_reference)
);
create index rail_attempt_due on rail_attempt (next_step_at) where next_step_at is not null;
create index rail_attempt_by_operation on rail_attempt (node_id, operation_id) where operation_id is not null;
create index payment_on_rails on payment (status, expires_at) where payment_method <> 'web3';

-- `awaiting`: the provider waits for the payer. `failed`: it declined, or refused, the last attempt.
alter table deal drop constraint deal_chain_status_check;
alter table deal add constraint deal_chain_status_check check (
  chain_status in ('none', 'closed', 'expired', 'confirming', 'funded', 'disputed', 'settled', 'awaiting', 'failed'));

-- pending: authorized by a payer or arrived from one, funds nothing yet. excess: too much, to be given back. Both, and escrow and
-- payer of a payment on a rail, are held by its provider; null: by the escrow contract.
alter table ledger_account drop constraint ledger_account_type_check;
alter table ledger_account add constraint ledger_account_type_check check (
  type in ('payer', 'escrow', 'payee', 'fee', 'pending', 'excess'));
alter table ledger_account add column held_by text;
alter table ledger_account drop constraint ledger_account_node_id_type_owner_currency_id_key;
alter table ledger_account add constraint ledger_account_identity
  unique nulls not distinct (node_id, type, owner, currency_id, held_by);

-- How far the installation's time is ahead of the machine's; one row, moved by POST /test-clock alone.
create table test_clock (
  id boolean primary key default true check (id),
  offset_ms bigint not null default 0
);
insert into test_clock default values;
