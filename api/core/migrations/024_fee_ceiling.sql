-- The most that a transaction of a network's signers may bid for a unit of gas; null: what sender.ts holds for sane at that moment.
alter table network add column max_fee_wei numeric(78, 0) check (max_fee_wei > 0);

-- dear: it sends nothing while the network asks for more than that.
alter table signer_standing drop constraint signer_standing_state_check;
alter table signer_standing add check (state in ('ok', 'low', 'paused', 'dear'));
