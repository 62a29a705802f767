-- What the orders surface knows of transfers and payouts that the core does not: the merchant's names for them, and what they are of.

create table orders_transfer (
  node_id uuid not null references node,
  id uuid not null,
  merchant_transfer_id text not null,
  solution_code text not null,
  -- The seller who pays, or is paid.
  party_id uuid not null,
  accounting_entry text not null check (accounting_entry in ('TRANSFER_TO_MARKETPLACE', 'TRANSFER_TO_SELLER')),
  reason_code text not null,
  reason_label text not null,
  execution_date timestamptz not null,
  amount_units numeric(78, 0) not null,
  currency_code text not null,
  currency_id uuid not null references currency,
  -- The payment that its debtor signs.
  payment_id uuid not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  primary key (node_id, id),
  unique (node_id, merchant_transfer_id),
  foreign key (node_id, party_id) references party
);

-- A payout of the core, under its id.
create table orders_payout (
  node_id uuid not null references node,
  id uuid not null,
  noun text not null check (noun in ('payout_seller', 'payout_seller_amount', 'payout_merchant')),
  merchant_payout_id text not null,
  solution_code text not null,
  currency_code text not null,
  -- The seller; null: the merchant.
  party_id uuid,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  primary key (node_id, id),
  unique (node_id, noun, merchant_payout_id),
  foreign key (node_id, id) references payout
);
create index orders_payout_by_party on orders_payout (node_id, noun, party_id, id);

-- What was asked: of an order, of a transfer, or of neither: an amount of whatever there is.
create table orders_payout_item (
  node_id uuid not null,
  payout_id uuid not null,
  position integer not null,
  order_id uuid,
  transfer_id uuid,
  -- Of the order or transfer; null: of neither.
  payment_id uuid,
  requested_units numeric(78, 0) not null,
  -- What was then still there of where it comes from.
  left_units numeric(78, 0) not null,
  primary key (node_id, payout_id, position),
  foreign key (node_id, payout_id) references orders_payout,
  foreign key (node_id, order_id) references orders_order,
  foreign key (node_id, transfer_id) references orders_transfer
);
create index orders_payout_item_by_order on orders_payout_item (node_id, order_id) where order_id is not null;
