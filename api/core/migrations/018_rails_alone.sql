-- Card and transfer payments stand on no chain: they need neither a network nor an address of their payee.
alter table payment alter column network_id drop not null;
alter table payment alter column payment_address drop not null;
alter table payment add constraint payment_on_chain check (
  payment_method <> 'web3' or (network_id is not null and payment_address is not null));
alter table deal alter column network_id drop not null;
alter table operation alter column network_id drop not null;
alter table operation add constraint operation_on_chain check (terms is null or network_id is not null);

-- Where the provider's page leads its payer back to.
alter table payment add column return_url text;

-- Of payment.underpaid, payment.overpaid and payment.excess_refunded: how what came differs from what was asked for.
alter table payment_log add column difference jsonb;
