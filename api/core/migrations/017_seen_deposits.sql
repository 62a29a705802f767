-- The deposit that a receipt shows while the mirror has nothing of the leg: it shows the leg confirming, and moves nothing.
alter table deal add column seen_transaction text;

-- When a reported transaction is looked up next; null: no more, since the mirror has its deposit or it never came.
alter table reported_transaction add column next_look_at timestamptz default now();
create index reported_transaction_to_look_at on reported_transaction (next_look_at) where next_look_at is not null;
