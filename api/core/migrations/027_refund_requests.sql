-- What buyers ask back of a leg that is held. It moves no money: the integration answers by a refund, or declines.
create table refund_request (
  node_id uuid not null,
  id uuid not null,
  payment_id uuid not null,
  leg_id uuid not null,
  amount_units numeric(78, 0) not null check (amount_units > 0),
  -- What of the leg had gone back when it was made: what goes back from then on answers it.
  refunded_before_units numeric(78, 0) not null,
  reason text,
  created_at timestamptz not null default now(),
  withdrawn_at timestamptz,
  declined_at timestamptz,
  decline_reason text,
  actor_id uuid,
  primary key (node_id, id),
  foreign key (node_id, payment_id) references payment,
  foreign key (node_id, leg_id) references deal,
  check (withdrawn_at is null or declined_at is null),
  check ((declined_at is null) = (decline_reason is null))
);
create index refund_request_by_leg on refund_request (node_id, leg_id, created_at);
create index refund_request_by_payment on refund_request (node_id, payment_id, created_at);
create unique index refund_request_by_id on refund_request (id);

-- How each request stands, read from its leg: what a reorganisation takes back opens it again by itself. granted: as much as was asked
-- for has gone back. over: nothing is held any more, and less has gone back.
create view refund_request_standing as
select r.*, d.leg, p.external_id, c.code as currency, c.decimals, case
  when r.withdrawn_at is not null then 'withdrawn'
  when r.declined_at is not null then 'declined'
  when d.refunded_units - r.refunded_before_units >= r.amount_units then 'granted'
  when d.chain_status in ('funded', 'disputed', 'confirming') then 'open'
  else 'over'
end as status
from refund_request r
join deal d on d.node_id = r.node_id and d.id = r.leg_id
join payment p on p.node_id = r.node_id and p.id = r.payment_id
join currency c on c.id = p.currency_id;
