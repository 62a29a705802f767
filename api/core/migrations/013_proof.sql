-- Where on chain a leg's state comes from, whole, so that anybody can look it up; with fact_block and fact_transaction.
alter table deal add column fact_log_index integer;

-- How far each network was seen at the last settle step: its head, and the block up to which the mirror is complete.
create table network_head (
  network_id uuid primary key references network,
  head bigint not null,
  mirrored bigint not null,
  seen_at timestamptz not null default now()
);

-- A log row's chain fact names chain, diamond and deal by itself. Until now a payment's facts did not say which leg they were of:
-- of several, the first.
update payment_log l set chain_fact = l.chain_fact || jsonb_build_object(
  'chainId', c.eip155_id::text, 'diamond', n.diamond_address, 'dealId', coalesce(d.deal_id, d.offer_id)
)
from deal d, network n, chain c
where l.chain_fact is not null and d.node_id = l.node_id and d.payment_id = l.payment_id and d.leg = 0
  and n.id = d.network_id and c.id = n.chain_id;
