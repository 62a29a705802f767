-- A currency says by itself which network it is of; on a rail there is none.
alter table orders_order drop column network_id;
-- What a node means by codes of ISO 4217 is a currency, no more.
update node set currencies = (
  select jsonb_object_agg(code, stated -> 'currencyId') from jsonb_each(currencies) as one(code, stated))
where currencies <> '{}';

-- An order is updated when its payment is, so that a list by day of last update reads one index.
create index orders_order_by_update on orders_order (node_id, updated_at);
create index orders_order_by_payment on orders_order (node_id, payment_id) where payment_id is not null;
create function touch_order() returns trigger language plpgsql as $$
begin
  update orders_order set updated_at = now() where node_id = new.node_id and payment_id = new.id;
  return null;
end $$;
create trigger payment_touches_order after update on payment
  for each row when (old.status is distinct from new.status) execute function touch_order();
