-- What a settle pass looks at besides the mirror's newest rows: legs whose fact may yet be taken back, and deadlines that pass.
create index deal_by_fact on deal (network_id, fact_block) where fact_block is not null;
create index deal_by_deadline on deal (network_id, deposit_deadline) where chain_status = 'none' and offer_id is not null;
