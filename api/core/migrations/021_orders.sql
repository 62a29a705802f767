-- Marketplaces with many sellers: what the orders surface knows of an order that core does not, and the names by which its dialect
-- finds a node and its money.

-- The product code by which a merchant's requests name this node.
alter table node add column solution_code text;
create index node_by_solution_code on node (solution_code) where solution_code is not null;
-- ISO 4217 code → { currencyId, networkId }: what the node means by it; the nearest node up the tree counts.
alter table node add column currencies jsonb not null default '{}';

-- 32-bit ids for dialects whose clients keep no longer ones; unique in a tree of nodes and by noun.
create table surface_number (
  -- The root of the node's tree.
  root_id uuid not null references node,
  noun text not null,
  number integer not null check (number > 0),
  node_id uuid not null references node,
  id uuid not null,
  primary key (root_id, noun, number)
);
create unique index surface_number_of on surface_number (node_id, noun, id);

create table orders_order (
  node_id uuid not null references node,
  id uuid not null,
  merchant_order_id text not null,
  solution_code text not null,
  amount_units numeric(78, 0) not null,
  -- As the request says it, and what the node meant by it then.
  currency_code text not null,
  currency_id uuid not null references currency,
  network_id uuid not null references network,
  order_type text not null check (order_type in ('PURCHASE', 'REFUND')),
  merchant_buyer_id text not null,
  items jsonb,
  -- The payment that counts: of the PAYMENT transaction registered last, unless that was deleted.
  payment_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  primary key (node_id, id),
  unique (node_id, merchant_order_id)
);

-- What one seller gets of an order: one leg of its payment, in the order of `position`.
create table orders_split (
  node_id uuid not null,
  order_id uuid not null,
  position integer not null,
  party_id uuid not null,
  amount_units numeric(78, 0) not null,
  fee_units numeric(78, 0) not null,
  model text not null check (model in ('1P', '3P')),
  primary key (node_id, order_id, position),
  unique (node_id, order_id, party_id),
  foreign key (node_id, order_id) references orders_order,
  foreign key (node_id, party_id) references party
);
create index orders_split_by_party on orders_split (node_id, party_id, order_id);

create table orders_transaction (
  node_id uuid not null,
  id uuid not null,
  order_id uuid not null,
  merchant_transaction_id text not null,
  type text not null check (type in ('PAYMENT', 'REFUND')),
  execution_date timestamptz not null,
  amount_units numeric(78, 0) not null,
  payment_method_name text not null,
  due_date date,
  -- Of a PAYMENT: the one that it made. Of a REFUND: the one that it gives back from, and the operations that do.
  payment_id uuid not null,
  operation_ids uuid[] not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  primary key (node_id, id),
  unique (node_id, merchant_transaction_id),
  foreign key (node_id, order_id) references orders_order
);
create index orders_transaction_by_order on orders_transaction (node_id, order_id, id);
