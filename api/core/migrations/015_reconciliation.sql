-- What each comparison of chain, mirror and ledger found, one row a network and run.
create table reconciliation (
  id uuid primary key,
  network_id uuid not null references network,
  started_at timestamptz not null default now(),
  finished_at timestamptz not null default now(),
  -- Null with `failure`: nothing could be compared.
  block bigint,
  failure text,
  deals integer not null,
  differing integer not null,
  -- Sums by token, and the deals that differ (the first of them, when there are many).
  tokens jsonb not null,
  differences jsonb not null
);
create index reconciliation_newest on reconciliation (network_id, id desc);
