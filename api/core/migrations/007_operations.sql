-- Operations that a party signs, what else a verb takes, and errors in parts.

alter table operation drop constraint operation_verb_check;
alter table operation add constraint operation_verb_check check (verb in (
  'cancelDeal', 'release', 'releasePart', 'refundPart', 'openDispute', 'withdrawDispute', 'resolve', 'settle', 'returnPayment'
));
alter table operation drop constraint operation_status_check;
alter table operation add constraint operation_status_check
  check (status in ('queued', 'submitted', 'awaiting_signature', 'done', 'failed'));

-- Name, arguments and a sentence, where there was a sentence.
alter table operation alter column error type jsonb
  using case when error is not null then jsonb_build_object('name', null, 'arguments', '{}'::jsonb, 'message', error) end;

alter table operation
  -- Whose signature it needs: a party's, or the arbiter's. Null: the network's operator.
  add column signer text,
  -- Unix seconds; the last in which the call can succeed. Null: no such second.
  add column sign_by bigint,
  -- What the verb takes beyond terms and amount.
  add column arguments jsonb,
  -- The block of the newest chain fact known when it was asked for: only what came later answers a call that others sign.
  add column since_block bigint,
  -- Of what was sent for it last, or of the event that answered it.
  add column transaction_hash text,
  -- Null: a stray whose number no payment has.
  alter column payment_id drop not null;

update operation o set transaction_hash = (
  select t.hash from chain_transaction t
  where t.node_id = o.node_id and t.operation_id = o.id order by t.nonce desc limit 1
);

-- Single reads know only the operation's id.
create unique index operation_by_id on operation (id);
create index operation_awaiting_signature on operation (network_id, sign_by) where status = 'awaiting_signature';
-- A node's quota counts them: each costs the operator gas and earns nothing.
create index operation_unfunded_cancel on operation (node_id, created_at)
  where verb = 'cancelDeal' and terms ->> 'payer' = '0x0000000000000000000000000000000000000000';
