-- How many requests a caller has made in its present minute, in the columns that rate-limiter-flexible expects. Unlogged: after
-- a crash everybody starts anew, which costs less than logging each count.
create unlogged table request_count (
  key text primary key,
  points integer not null,
  expire bigint
);
