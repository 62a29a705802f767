-- Splits of what a leg holds that one party has signed for the other to see: the newest of each party. A signature is worth something
-- until its deadline, and as long as nothing of the deal moved since.
create table split_proposal (
  node_id uuid not null,
  leg_id uuid not null,
  signed_by text not null check (signed_by in ('payer', 'payee')),
  payment_id uuid not null,
  released_units numeric(78, 0) not null,
  refunded_units numeric(78, 0) not null,
  to_payee_units numeric(78, 0) not null,
  to_payer_units numeric(78, 0) not null,
  -- Unix seconds, the last in which it holds.
  deadline bigint not null,
  signature text not null,
  -- How many this party has made of the leg.
  made integer not null default 1,
  created_at timestamptz not null,
  primary key (node_id, leg_id, signed_by),
  foreign key (node_id, payment_id) references payment,
  foreign key (node_id, leg_id) references deal
);
create index split_proposal_by_payment on split_proposal (node_id, payment_id);
