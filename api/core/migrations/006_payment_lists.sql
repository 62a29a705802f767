-- Lists of payments: found by what people filter by, counted without counting.

create index payment_by_status on payment (node_id, status, created_at desc, id desc);
create index payment_by_wallet on payment (node_id, wallet_id, created_at desc, id desc) where wallet_id is not null;
-- Also tells whether a network was ever used, as the index before it did.
create index payment_by_network_and_node on payment (network_id, node_id, created_at desc, id desc);
drop index payment_by_network;

-- How many payments a node has, spread over rows so that writers at the same time do not wait for each other.
create table payment_count (
  node_id uuid not null references node,
  shard smallint not null,
  payments bigint not null,
  primary key (node_id, shard)
) with (fillfactor = 50);

create function count_payments() returns trigger language plpgsql as $$
begin
  insert into payment_count (node_id, shard, payments)
  select node_id, pg_backend_pid() % 64, count(*) from added group by node_id order by node_id
  on conflict (node_id, shard) do update set payments = payment_count.payments + excluded.payments;
  return null;
end $$;
create trigger payment_is_counted after insert on payment
  referencing new table as added for each statement execute function count_payments();

insert into payment_count (node_id, shard, payments) select node_id, 0, count(*) from payment group by node_id;
