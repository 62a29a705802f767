-- Origins (https://shop.example) that the hosted checkout of a node and of all below may send the buyer back to.
alter table node add column return_origins text[] not null default '{}';

-- Single-use codes that open a payment's hosted checkout, on a phone for instance. Only their hash is kept.
create table handoff (
  code_hash bytea primary key,
  node_id uuid not null,
  payment_id uuid not null,
  access_token_version integer not null,
  return_url text,
  expires_at timestamptz not null,
  redeemed_at timestamptz
);
create index handoff_by_payment on handoff (node_id, payment_id, expires_at);
create index handoff_by_expiry on handoff (expires_at);
