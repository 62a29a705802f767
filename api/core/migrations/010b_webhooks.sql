-- Events are the rows of payments' logs, each with a place in one list; webhook endpoints, their keys, and what was sent them.

-- The order in which rows were written: of one payment, under its lock, the order of what happened.
alter table payment_log add column seq bigint generated always as identity;
-- The place in the list of events, allotted after the row's commit, so that nothing ever appears below a place that was read.
alter table payment_log add column position bigint;
-- The payment's status after it; null where it is no change of status.
alter table payment_log add column status text;
alter table payment_log add column finality text not null default 'final' check (finality in ('unsafe', 'safe', 'final'));
-- The event that this one takes back, because a reorganisation took back what it rested on.
alter table payment_log add column reverts uuid;
create index payment_log_unplaced on payment_log (seq) where position is null;
create index payment_log_by_position on payment_log (node_id, position);

-- One row: the last place that was given. Whoever gives places holds its lock.
create table event_list (
  only_row boolean primary key default true check (only_row),
  last_position bigint not null
);
insert into event_list (last_position) values (0);

-- The transaction of the fact last applied: when the mirror no longer has it, the status that rested on it was taken back.
alter table deal add column fact_transaction text;

create table webhook_endpoint (
  node_id uuid not null references node,
  id uuid not null,
  -- notify: stands for all notify_urls of one origin among the node's payments; made when the first one is notified.
  kind text not null check (kind in ('endpoint', 'notify')),
  -- notify: the origin.
  url text not null,
  description text not null default '',
  -- Types, or `prefix.*`; empty: all.
  events text[] not null,
  signature text not null check (signature in ('hmac', 'ed25519')),
  created_at timestamptz not null default now(),
  archived_at timestamptz,
  disabled_at timestamptz,
  -- gone: it answered 410.
  disabled_reason text check (disabled_reason in ('request', 'gone')),
  -- The breaker: failures in a row; open until then, after which one request probes. Null: closed.
  failures integer not null default 0,
  open_until timestamptz,
  primary key (node_id, id),
  check ((disabled_at is null) = (disabled_reason is null))
);
create unique index webhook_endpoint_by_id on webhook_endpoint (id);
create unique index webhook_endpoint_notify on webhook_endpoint (node_id, url) where kind = 'notify';

create table webhook_key (
  node_id uuid not null references node,
  id uuid not null,
  -- Null: the node's own key, for its payments' notify_urls.
  endpoint_id uuid,
  version integer not null,
  signature text not null check (signature in ('hmac', 'ed25519')),
  public_key text,
  sealed bytea not null,
  created_at timestamptz not null default now(),
  -- Set by a rotation; null: the current one.
  valid_until timestamptz,
  primary key (node_id, id),
  unique nulls not distinct (node_id, endpoint_id, version)
);
create unique index webhook_key_current on webhook_key (node_id, endpoint_id) nulls not distinct where valid_until is null;

-- One event on its way to one endpoint.
create table webhook_delivery (
  node_id uuid not null,
  id uuid not null,
  endpoint_id uuid not null,
  -- A payment's notify_url; null: the endpoint's.
  url text,
  cause text not null check (cause in ('event', 'resend', 'replay', 'test')),
  event_id uuid not null,
  event_type text not null,
  -- The event's node is the endpoint's or one below it. Null for a test, which is in no log.
  event_node_id uuid,
  payment_id uuid,
  position bigint,
  status text not null check (status in ('waiting', 'delivered', 'failed', 'cancelled')),
  attempts integer not null default 0,
  created_at timestamptz not null default now(),
  first_attempt_at timestamptz,
  next_attempt_at timestamptz not null,
  finished_at timestamptz,
  primary key (node_id, id)
);
create unique index webhook_delivery_by_id on webhook_delivery (id);
-- An event reaches an endpoint once of itself, again only when somebody asks.
create unique index webhook_delivery_once on webhook_delivery (endpoint_id, event_id) where cause = 'event';
create index webhook_delivery_due on webhook_delivery (endpoint_id, next_attempt_at) where status = 'waiting';
create index webhook_delivery_in_order on webhook_delivery (endpoint_id, payment_id, position, id) where status = 'waiting';
create index webhook_delivery_by_endpoint on webhook_delivery (endpoint_id, id);
create index webhook_delivery_by_payment on webhook_delivery (payment_id, id);

create table webhook_attempt (
  node_id uuid not null,
  delivery_id uuid not null,
  number integer not null,
  started_at timestamptz not null,
  latency_ms integer not null,
  -- Null: no answer; `error` says why.
  status_code integer,
  error text,
  -- The first 4 kB of the answer.
  answer text,
  primary key (node_id, delivery_id, number)
);
