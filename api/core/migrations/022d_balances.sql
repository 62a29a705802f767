-- Balances look at what holds or awaits money, or moved since the moment that is asked for, however much was settled before.

create index deal_unsettled on deal (node_id) where chain_status in ('none', 'awaiting', 'confirming', 'funded', 'disputed');
create index ledger_entry_by_time on ledger_entry (node_id, effective_at);
create index ledger_entry_by_number on ledger_entry (node_id, number);
