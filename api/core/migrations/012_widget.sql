-- What a currency's token can do with a signature, found by trial on its chain; refreshed from time to time.
create table token_signature (
  currency_id uuid primary key references currency,
  found jsonb not null,
  found_at timestamptz not null default now()
);

-- The terms of a leg that were handed out with their payer fixed: a cancellation has to close each of these slots too.
create table handed_out_form (
  node_id uuid not null,
  leg_id uuid not null,
  payer text not null,
  handed_out_at timestamptz not null default now(),
  primary key (node_id, leg_id, payer)
);

-- A buyer's signature that an operation carries to the chain. Which verbs there are says OperationVerb in schema.ts.
alter table operation drop constraint if exists operation_verb_check;
alter table operation add column relay jsonb;
create index operation_relay_by_payer on operation (network_id, (relay ->> 'payer'), created_at) where relay is not null;
create index operation_relay_by_node on operation (node_id, created_at) where relay is not null;

-- The deposit that a buyer's wallet says it has sent, so that other devices know of it before the chain does. A hint, no more.
create table reported_transaction (
  node_id uuid not null,
  payment_id uuid not null,
  transaction_hash text not null,
  reported_at timestamptz not null default now(),
  primary key (node_id, payment_id)
);
