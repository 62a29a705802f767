-- What receivers answer, up to 4 kB each, grows fastest: a partition for each month of deliveries, so that old ones go in a moment.
alter table webhook_attempt rename to webhook_attempt_before;
alter index webhook_attempt_pkey rename to webhook_attempt_before_pkey;
create table webhook_attempt (like webhook_attempt_before including all) partition by range (delivery_id);

-- The least UUIDv7 of a moment: it begins with the time in milliseconds.
create function first_uuidv7(moment timestamptz) returns uuid language sql stable
  return (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;

-- Makes the partitions of the twelve months to come, where they are not there yet; any number of processes may call it.
create function add_webhook_attempt_partitions() returns void language plpgsql as $$
declare
  month timestamptz;
  name text;
begin
  perform pg_advisory_xact_lock(hashtextextended('webhook_attempt partitions', 0));
  for ahead in 1..12 loop
    month := date_add(date_trunc('month', now(), 'UTC'), make_interval(months => ahead), 'UTC');
    name := 'webhook_attempt_' || to_char(month at time zone 'UTC', 'YYYY_MM');
    if to_regclass(name) is null then
      execute format('create table %I partition of webhook_attempt for values from (%L) to (%L)',
        name, first_uuidv7(month), first_uuidv7(date_add(month, '1 month', 'UTC')));
    end if;
  end loop;
end $$;

-- What is there already, and the rest of this month, stays together.
do $$ begin
  execute format('alter table webhook_attempt attach partition webhook_attempt_before for values from (minvalue) to (%L)',
    first_uuidv7(date_add(date_trunc('month', now(), 'UTC'), '1 month', 'UTC')));
end $$;
select add_webhook_attempt_partitions();
