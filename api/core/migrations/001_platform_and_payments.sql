-- Platform: who asks for money, on which chains, in which tokens.

create table node (
  id uuid primary key,
  parent_id uuid references node,
  -- Ancestors from the root down to the node itself: an integration's rights reach down the tree.
  path uuid[] not null,
  name text not null unique,
  created_at timestamptz not null default now()
);

-- What a payment's request leaves open; the nearest policy up the tree counts.
create table deal_policy (
  node_id uuid primary key references node,
  fee_bps integer not null check (fee_bps between 0 and 10000),
  -- Decimal text in the currency's major unit.
  fee_fixed text not null,
  fee_minimum text,
  fee_maximum text,
  fee_bearer text not null check (fee_bearer in ('payer', 'payee')),
  fee_recipient text,
  arbiter text,
  settlement_period_seconds integer not null,
  resolution_period_seconds integer not null,
  default_outcome text not null check (default_outcome in ('refund', 'release'))
);

create table chain (
  id uuid primary key,
  eip155_id bigint not null unique,
  name text not null
);

create table network (
  id uuid primary key,
  chain_id uuid not null references chain,
  name text not null unique,
  rpc_urls text[] not null,
  diamond_address text not null,
  operator_address text not null,
  confirmations integer not null check (confirmations >= 1),
  next_deal_number bigint not null default 1
);

create table currency (
  id uuid primary key,
  network_id uuid not null references network,
  code text not null,
  name text not null,
  decimals integer not null check (decimals between 0 and 36),
  token_address text not null,
  unique (network_id, token_address)
);

create table wallet (
  node_id uuid not null references node,
  id uuid not null,
  network_id uuid not null references network,
  address text not null,
  label text not null,
  primary key (node_id, id),
  unique (node_id, network_id, address)
);

create table integration (
  id uuid primary key,
  node_id uuid not null references node,
  name text not null,
  client_id text not null unique,
  secret_hash bytea not null,
  disabled_at timestamptz,
  created_at timestamptz not null default now(),
  unique (node_id, name)
);

-- Payments and the deal that funds each.

create table payment (
  node_id uuid not null references node,
  id uuid not null,
  external_id text not null,
  network_id uuid not null references network,
  wallet_id uuid,
  member_id uuid,
  currency_id uuid not null references currency,
  price_units numeric(78, 0) not null,
  paid_price_units numeric(78, 0) not null,
  payment_method text not null,
  payment_group text not null,
  payment_address text not null,
  items jsonb,
  metadata text,
  expires_at timestamptz not null,
  retry boolean not null,
  retry_count integer not null,
  client_ip text,
  status text not null,
  access_token_version integer not null default 1,
  transaction_hash text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (node_id, id),
  unique (node_id, external_id)
);
create index payment_newest on payment (node_id, created_at desc, id desc);
-- Widget and single reads know only the payment's id.
create unique index payment_by_id on payment (id);

-- One leg of a payment: what one payee gets. Most payments have one.
create table deal (
  node_id uuid not null,
  id uuid not null,
  payment_id uuid not null,
  leg integer not null,
  external_id text,
  network_id uuid not null references network,
  operator text not null,
  payee text not null,
  token text not null,
  amount_units numeric(78, 0) not null,
  fee_units numeric(78, 0) not null,
  fee_recipient text not null,
  arbiter text not null,
  deposit_deadline bigint not null,
  settlement_deadline bigint not null,
  resolution_deadline bigint not null,
  default_outcome smallint not null,
  -- Set once by the create-payment consumer; from then on the terms are frozen.
  number bigint,
  ref numeric(78, 0),
  offer_id text,
  handed_out_at timestamptz,
  cancel_requested_at timestamptz,
  -- Cancelled before anybody held call data: no chain fact will ever say so.
  cancelled_at timestamptz,
  -- What the chain says, as far as it is confirmed; the payment's status is derived from this and its flags.
  chain_status text not null default 'none'
    check (chain_status in ('none', 'closed', 'expired', 'confirming', 'funded', 'disputed', 'settled')),
  -- The block of the fact last applied; a mirror that has not come back to it yet is not believed.
  fact_block bigint,
  deal_id text,
  payer text,
  released_units numeric(78, 0) not null default 0,
  refunded_units numeric(78, 0) not null default 0,
  primary key (node_id, id),
  unique (node_id, payment_id, leg),
  unique (network_id, offer_id),
  unique (network_id, number)
);

-- One request to change a deal on chain.
create table operation (
  node_id uuid not null,
  id uuid not null,
  payment_id uuid not null,
  -- The leg it is for; null for a stray.
  leg_id uuid,
  network_id uuid not null references network,
  verb text not null check (verb in ('cancelDeal', 'release', 'releasePart', 'refundPart')),
  -- The slot it acts on: the offer's, or the funded deal's. Null: nothing was handed out, so there is nothing to send.
  deal_id text,
  terms jsonb,
  -- Of the parts; the others move everything that is held.
  amount_units numeric(78, 0),
  -- A stray is a deal that funds no payment: a duplicate or an unmatched one, sent back to its payer.
  stray boolean not null default false,
  status text not null check (status in ('queued', 'submitted', 'done', 'failed')),
  error text,
  actor_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (node_id, id)
);
create unique index operation_in_flight on operation (node_id, leg_id)
  where status in ('queued', 'submitted') and not stray;
create index operation_by_payment on operation (node_id, payment_id, id);
create index operation_by_deal on operation (network_id, deal_id);

-- What was signed, stored before it was sent. Shared by all nodes of a network.
create table chain_transaction (
  network_id uuid not null references network,
  signer text not null,
  nonce bigint not null,
  node_id uuid not null,
  operation_id uuid not null,
  hash text not null unique,
  raw text not null,
  status text not null check (status in ('stored', 'mined', 'reverted')),
  created_at timestamptz not null default now(),
  sent_at timestamptz,
  block_number bigint,
  primary key (network_id, signer, nonce)
);
create index chain_transaction_by_operation on chain_transaction (node_id, operation_id);

-- Deals on chain that bear our number or operator but fund no payment of ours.
create table stray_deal (
  network_id uuid not null references network,
  deal_id text not null,
  kind text not null check (kind in ('unmatched', 'duplicate')),
  node_id uuid,
  payment_id uuid,
  recorded_at timestamptz not null default now(),
  primary key (network_id, deal_id)
);

create table payment_log (
  node_id uuid not null,
  payment_id uuid not null,
  id uuid not null,
  event_type text not null,
  message text not null,
  actor_type text not null,
  actor_id uuid,
  chain_fact jsonb,
  created_at timestamptz not null default now(),
  primary key (node_id, payment_id, id)
);

-- Workers that are alive hold an advisory lock on their key; the jobs of one that no longer does are taken over.
create table worker_process (
  lock_key bigint primary key,
  worker_ids text[] not null
);
