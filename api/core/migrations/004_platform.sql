-- Platform as a resource: policies inherited field by field, archiving, scopes, modes, rotation of secrets, failed logins.

-- Names are a merchant's own affair: unique among siblings, so that nobody learns of another tree's.
alter table node drop constraint node_name_key;
alter table node add constraint node_name_taken unique nulls not distinct (parent_id, name);
-- Only what the node itself states; what it leaves open comes from its ancestors.
alter table node add column policy jsonb not null default '{}';
alter table node add column archived_at timestamptz;
create index node_by_path on node using gin (path);

update node set policy = jsonb_build_object(
  'feeBps', p.fee_bps,
  'feeFixed', p.fee_fixed,
  'feeMinimum', p.fee_minimum,
  'feeMaximum', p.fee_maximum,
  'feeBearer', p.fee_bearer,
  'feeRecipient', p.fee_recipient,
  'arbiter', p.arbiter,
  'settlementPeriodSeconds', p.settlement_period_seconds,
  'resolutionPeriodSeconds', p.resolution_period_seconds,
  'defaultOutcome', p.default_outcome
) from deal_policy p where p.node_id = node.id;
drop table deal_policy;

alter table network add column mode text not null default 'test' check (mode in ('test', 'live'));
alter table network add column archived_at timestamptz;
alter table currency add column archived_at timestamptz;
alter table wallet add column archived_at timestamptz;
-- Single reads know only the wallet's id.
create unique index wallet_by_id on wallet (id);
-- Whether a currency or network was ever used is asked before its record may change.
create index payment_by_currency on payment (currency_id);
create index payment_by_network on payment (network_id);

-- Null: every scope there is, also those to come; only the installation itself gives that.
alter table integration add column scopes text[];
alter table integration add column mode text not null default 'test' check (mode in ('test', 'live'));
-- Addresses and CIDR ranges that it may call from; empty: any.
alter table integration add column allowed_ips text[] not null default '{}';
alter table integration add column secret_version integer not null default 1;
-- The secret before the last rotation, while both are valid.
alter table integration add column previous_secret_hash bytea;
alter table integration add column previous_secret_until timestamptz;
alter table integration add check ((previous_secret_hash is null) = (previous_secret_until is null));

-- Failed logins of one subject within a window that starts with the first.
create table login_failure (
  subject text primary key,
  failures integer not null,
  window_ends_at timestamptz not null
);
create index login_failure_by_end on login_failure (window_ends_at);
