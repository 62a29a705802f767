-- A leg may say which party it pays, so that what is held for a seller does not depend on the address he is paid at.
alter table deal
  add column party_id uuid,
  add foreign key (node_id, party_id) references party;
create index deal_by_party on deal (node_id, party_id) where party_id is not null;
