-- Networks whose RPC URLs may lead to private addresses: those that the installation itself or a local node has added.
alter table network add column local boolean not null default false;
update network set local = true;
-- The block in which the diamond was created; null: the indexer looks for it.
alter table network add column start_block bigint check (start_block >= 0);

-- One row a diamond that the indexer follows: which of its schemas readers see, and how it does.
create table indexer (
  eip155_id bigint not null,
  diamond text not null,
  -- Null: nothing of it was ever indexed to the end.
  schema text,
  -- The one that is built beside it.
  next_schema text,
  -- waiting: its network cannot be read. catching_up: not at the head. following: at it.
  state text not null default 'waiting' check (state in ('waiting', 'catching_up', 'following')),
  head_block bigint,
  indexed_block bigint,
  restarts integer not null default 0,
  -- Why it was last started again, or what it waits for.
  reason text,
  updated_at timestamptz not null default now(),
  primary key (eip155_id, diamond)
);
