-- A currency is a token of a network, or money of a state, which no network knows.
alter table currency add column type text not null default 'token' check (type in ('token', 'fiat'));
alter table currency alter column network_id drop not null;
alter table currency alter column token_address drop not null;
alter table currency add check (num_nonnulls(network_id, token_address) = case type when 'token' then 2 else 0 end);
create unique index currency_fiat_code on currency (code) where type = 'fiat';
