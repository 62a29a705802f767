-- Where a node may have requests sent, and where a payment's own notifications go.

-- A local node may be led to private addresses and by plain http; so may all below it.
alter table node add column local boolean not null default false;
alter table payment add column notify_url text;
