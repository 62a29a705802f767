-- A buyer may pay while an order or its transaction is being deleted; the chain decides who was first. What money has reached is not
-- deleted: both come back.
create index orders_transaction_by_payment on orders_transaction (node_id, payment_id);
create or replace function touch_order() returns trigger language plpgsql as $$
begin
  if new.status in ('confirming', 'funded', 'partially_released', 'disputed') then
    with back as (
      update orders_transaction set deleted_at = null, updated_at = now()
      where node_id = new.node_id and payment_id = new.id and type = 'PAYMENT' and deleted_at is not null
      returning order_id)
    update orders_order o set deleted_at = null, payment_id = coalesce(o.payment_id, new.id)
    from back where o.node_id = new.node_id and o.id = back.order_id;
  end if;
  update orders_order set updated_at = now() where node_id = new.node_id and payment_id = new.id;
  return null;
end $$;
