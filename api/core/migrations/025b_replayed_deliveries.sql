-- Replays gave their deliveries random ids: listed anywhere, and with attempts that have no month, so that no partition takes them.

-- A UUIDv7 of a moment: PostgreSQL makes its own from version 18 on.
create function uuidv7_of(moment timestamptz) returns uuid language sql volatile
  return encode(set_bit(set_bit(overlay(
    uuid_send(gen_random_uuid()) placing substring(int8send((extract(epoch from moment) * 1000)::bigint) from 3) from 1 for 6
  ), 52, 1), 53, 1), 'hex')::uuid;

create temporary table renamed_delivery on commit drop as
  select node_id, id, uuidv7_of(created_at) as new_id from webhook_delivery where substr(id::text, 15, 1) <> '7';
update webhook_attempt a set delivery_id = r.new_id from renamed_delivery r
  where a.node_id = r.node_id and a.delivery_id = r.id;
update webhook_delivery d set id = r.new_id from renamed_delivery r where d.node_id = r.node_id and d.id = r.id;
