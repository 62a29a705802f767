-- Parties: persons and firms, what each surface calls them, and where they can be paid. What is personal is sealed by
-- api/core/vault.ts; what stands here in the clear says nothing of anybody by itself.

create table party (
  node_id uuid not null references node,
  id uuid not null,
  kind text not null check (kind in ('person', 'firm')),
  verification_level text not null default 'none' check (verification_level in ('none', 'basic', 'full')),
  -- Personal data as one sealed value; null when nothing is known.
  sealed bytea,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- From then on only the row is left, for the payments that refer to it.
  erased_at timestamptz,
  primary key (node_id, id),
  check (erased_at is null or sealed is null)
);
-- Single reads know only the party's id.
create unique index party_by_id on party (id);

create table party_external_id (
  node_id uuid not null,
  surface text not null check (surface in ('payments', 'milestones', 'trades', 'orders', 'items')),
  external_id text not null,
  party_id uuid not null,
  primary key (node_id, surface, external_id),
  unique (node_id, party_id, surface),
  -- Who finds a name free takes it first and adds the party after, so that of two at once one waits for the other.
  foreign key (node_id, party_id) references party deferrable initially deferred
);

create table payout_instrument (
  node_id uuid not null,
  party_id uuid not null,
  id uuid not null,
  type text not null check (type in ('wallet', 'iban', 'account')),
  redacted text not null,
  sealed bytea not null,
  created_at timestamptz not null default now(),
  primary key (node_id, party_id, id),
  foreign key (node_id, party_id) references party
);

create index payment_by_member on payment (node_id, member_id) where member_id is not null;
