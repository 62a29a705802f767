-- How many unfunded deals a node may have closed a day at the operator's cost; null: as the nearest node above states it.
alter table node add column unfunded_cancels_per_day integer check (unfunded_cancels_per_day >= 0);

-- A cancellation of terms that were handed out in several forms lists them, the offer first.
drop index operation_unfunded_cancel;
create index operation_unfunded_cancel on operation (node_id, created_at)
  where verb = 'cancelDeal' and coalesce(terms -> 0, terms) ->> 'payer' = '0x0000000000000000000000000000000000000000';
