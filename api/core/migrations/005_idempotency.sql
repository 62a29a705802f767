-- Answers to requests that carried an Idempotency-Key, written in the transaction that did what they asked for.
create table idempotent_request (
  integration_id uuid not null references integration,
  -- Method and path: the same key on another route is another request.
  route text not null,
  key text not null,
  body_hash bytea not null,
  -- The answer, sealed, without secrets: those are derived again.
  answer bytea,
  created_at timestamptz not null default now(),
  primary key (integration_id, route, key)
);
create index idempotent_request_by_age on idempotent_request (created_at);
