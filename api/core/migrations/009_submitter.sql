-- Transactions of signers: one row a nonce, the operations that it carries, and every form of it that was ever signed.

-- Every signed form of a nonce, stored before it was sent; whichever is mined decides.
create table signed_transaction (
  network_id uuid not null,
  signer text not null,
  nonce bigint not null,
  -- 0, 1, …: each bids a higher fee than the one before.
  attempt integer not null,
  hash text not null unique,
  raw text not null,
  created_at timestamptz not null default now(),
  -- The last time that it was given to a node which took it, or which did not answer.
  sent_at timestamptz,
  primary key (network_id, signer, nonce, attempt),
  foreign key (network_id, signer, nonce) references chain_transaction
);
insert into signed_transaction (network_id, signer, nonce, attempt, hash, raw, created_at, sent_at)
  select network_id, signer, nonce, 0, hash, raw, created_at, sent_at from chain_transaction;

-- What a transaction carries. One that only fills a gap of nonces carries nothing.
create table transaction_operation (
  network_id uuid not null,
  signer text not null,
  nonce bigint not null,
  position integer not null,
  node_id uuid not null,
  operation_id uuid not null,
  -- False once the transaction can no longer carry it and it waits to be sent anew.
  live boolean not null default true,
  -- For parts, what the deal had settled when they were signed: sent anew only while that still stands.
  released_units numeric(78, 0),
  refunded_units numeric(78, 0),
  primary key (network_id, signer, nonce, position),
  foreign key (network_id, signer, nonce) references chain_transaction
);
-- An operation is in one transaction at a time, whatever any worker believes.
create unique index transaction_of_operation on transaction_operation (node_id, operation_id) where live;
create index transaction_operation_by_operation on transaction_operation (node_id, operation_id);
insert into transaction_operation (network_id, signer, nonce, position, node_id, operation_id)
  select network_id, signer, nonce, 0, node_id, operation_id from chain_transaction;

alter table chain_transaction drop constraint chain_transaction_status_check;
update chain_transaction set status = 'open' where status = 'stored';
-- open: signed, in no block that we know. taken: a transaction that is not ours has the nonce.
alter table chain_transaction add check (status in ('open', 'mined', 'reverted', 'taken'));
-- Two networks of one chain are two diamonds; a key's nonces are the chain's. (No foreign keys to chain and network here:
-- making one waits for whoever is writing a payment, and may deadlock with it.)
alter table chain_transaction add column chain_id uuid;
update chain_transaction t set chain_id = n.chain_id from network n where n.id = t.network_id;
alter table chain_transaction alter column chain_id set not null;
create unique index chain_transaction_nonce on chain_transaction (chain_id, signer, nonce);
alter table chain_transaction
  drop column node_id,
  drop column operation_id,
  drop column hash,
  drop column raw,
  drop column sent_at,
  add column mined_hash text,
  add column block_hash text,
  -- Since when its nonce is used and none of its forms has a receipt.
  add column missing_since timestamptz,
  -- Set when it is as deep as its network asks and what it decided is written; until then it is followed.
  add column final_at timestamptz;
update chain_transaction set final_at = now() where status <> 'open';
create index chain_transaction_followed on chain_transaction (network_id, signer, nonce) where final_at is null;
create index operation_waiting on operation (network_id, id) where status = 'queued';

-- How each signer stands on each network, for people and alerts to read.
create table signer_standing (
  network_id uuid not null,
  signer text not null,
  -- low: it goes on, but should be topped up. paused: it sends nothing until the cause is gone.
  state text not null check (state in ('ok', 'low', 'paused')),
  detail text,
  balance_wei numeric(78, 0) not null,
  changed_at timestamptz not null default now(),
  checked_at timestamptz not null default now(),
  primary key (network_id, signer)
);
