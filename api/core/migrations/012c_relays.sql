-- How many signed deposits of a node the operator sends a day at its own cost; 0: none, null: as the nearest node above states it.
alter table node add column relays_per_day integer check (relays_per_day >= 0);
