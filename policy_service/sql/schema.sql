-- The shared truth about quotas: one row a key, and the one statement that changes it. Safe to apply again.
--
-- Time is this server's clock in nanoseconds, read after the rows are locked, so that it never goes back for a row.
-- The arithmetic is that of policy_service/gcra.py and memory.py; a test holds the two against each other.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'quota_user') THEN
    CREATE ROLE quota_user NOLOGIN;
  END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS quota;

-- tat: theoretical arrival time. held, held_before: permits leased in this generation and in the one before it that
-- nobody has accounted for. A row whose tat is past and that holds nothing says the same as no row.
-- No index but the key's, and room in the page: every change is then a HOT update.
CREATE TABLE IF NOT EXISTS quota.bucket (
  key text COLLATE "C" PRIMARY KEY,
  tat bigint NOT NULL DEFAULT 0,
  generation bigint NOT NULL DEFAULT 0,
  held integer NOT NULL DEFAULT 0,
  held_before integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- lag: the lag (below) of which tat is reckoned.
ALTER TABLE quota.bucket ADD COLUMN IF NOT EXISTS lag bigint NOT NULL DEFAULT 0;

-- That nothing held is negative is seen to where it is written. A constraint is parsed by every statement that updates a
-- row, for a tenth of what quota.charge takes.
ALTER TABLE quota.bucket
  DROP CONSTRAINT IF EXISTS bucket_held_check,
  DROP CONSTRAINT IF EXISTS bucket_held_before_check;

-- Processes that share the quotas, and until when each lends its share of the rate. A process that ended has no row, and
-- lends; one that was not heard of for a day does not use its share any more (loan.py: ABANDONED), and lends again.
CREATE TABLE IF NOT EXISTS quota.process (
  name text COLLATE "C" PRIMARY KEY,
  lent_until bigint NOT NULL
);

-- How far the time of shared limits was behind at a time: one row.
CREATE TABLE IF NOT EXISTS quota.lag (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  lag bigint NOT NULL DEFAULT 0,
  at bigint NOT NULL DEFAULT 0
);
INSERT INTO quota.lag DEFAULT VALUES ON CONFLICT DO NOTHING;

-- The lag at a time: all the time that shares were not lent, by their part of the rate; half of it is the shares'.
-- In PL/pgSQL, which keeps its plan: a function in SQL would be planned anew by every statement that asks. It names all
-- that it looks at by its schema: to set and reset a search path takes time, too.
CREATE OR REPLACE FUNCTION quota.lag_at(moment bigint, processes integer) RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_variable
BEGIN
  RETURN (
    SELECT l.lag + (gaps.total + 2 * processes - 1) / (2 * processes)
      FROM quota.lag l,
           LATERAL (
             SELECT coalesce(sum(greatest(
                      least(moment, p.lent_until + 86400000000000) - greatest(l.at, p.lent_until), 0)), 0)::bigint AS total
               FROM quota.process p
           ) gaps
  );
END
$$;

-- A process lends its share for the length of a loan, unless its word comes too late.
CREATE OR REPLACE FUNCTION quota.beat(
  process text, processes integer, loan bigint, not_after bigint, at bigint DEFAULT NULL,
  OUT now bigint, OUT lent boolean
)
LANGUAGE plpgsql
SET search_path = quota, pg_catalog
AS $$
#variable_conflict use_variable
BEGIN
  PERFORM FROM quota.lag FOR UPDATE;
  now := coalesce(at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000);
  lent := now <= not_after;
  IF lent THEN
    UPDATE quota.lag AS l SET lag = quota.lag_at(now, processes), at = greatest(l.at, now);
    INSERT INTO quota.process AS p (name, lent_until) VALUES (process, now + loan)
      ON CONFLICT (name) DO UPDATE SET lent_until = greatest(p.lent_until, excluded.lent_until);
  END IF;
END
$$;

-- A process ends, and lends its share until it comes back.
CREATE OR REPLACE FUNCTION quota.leave(process text, processes integer, at bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = quota, pg_catalog
AS $$
#variable_conflict use_variable
DECLARE
  now bigint;
BEGIN
  PERFORM FROM quota.lag FOR UPDATE;
  now := coalesce(at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000);
  UPDATE quota.lag AS l SET lag = quota.lag_at(now, processes), at = greatest(l.at, now);
  DELETE FROM quota.process WHERE name = process;
END
$$;

-- keys must be sorted by their bytes and distinct: all processes lock in one order, so none waits for another in a ring.
-- report_* are parallel lists; charge_* too, a message's charges standing together. Indexes count from 1.
-- at stands in for the clock where a test needs to set it.
CREATE OR REPLACE FUNCTION quota.exchange(
  keys text[], intervals bigint[], bursts bigint[], generation_lengths bigint[], shared boolean[],
  leases integer[], reserves integer[], divisor integer, processes integer,
  report_keys integer[], report_generations bigint[], report_spent integer[], report_returned integer[],
  charge_messages integer[], charge_keys integer[], charge_units integer[],
  at bigint DEFAULT NULL,
  OUT now bigint, OUT backlog bigint[], OUT leased integer[], OUT reserved integer[], OUT generation bigint[],
  OUT expires bigint[], OUT refused_by integer[], OUT wait bigint[]
)
LANGUAGE plpgsql
SET search_path = quota, pg_catalog
AS $$
#variable_conflict use_variable
DECLARE
  count_of_keys integer := cardinality(keys);
  count_of_charges integer := cardinality(charge_messages);
  found text[];
  tat bigint[];
  held integer[];
  held_before integer[];
  lag bigint[];
  lag_now bigint;
  current_generation bigint;
  expired integer;
  available integer;
  message integer;
  first integer;
  beyond integer;
  needed bigint;
  worst integer;
  longest bigint;
  k integer;
BEGIN
  -- Nearly always every key has its row. Looked at without a lock: one taken before rows are made would be out of order.
  IF (SELECT count(*) FROM quota.bucket b WHERE b.key = ANY (keys)) < count_of_keys THEN
    INSERT INTO quota.bucket (key) SELECT unnest(keys) ON CONFLICT DO NOTHING;
  END IF;
  SELECT array_agg(r.key), array_agg(r.tat), array_agg(r.generation), array_agg(r.held), array_agg(r.held_before),
         array_agg(r.lag)
    INTO found, tat, generation, held, held_before, lag
    FROM (SELECT b.* FROM quota.bucket b WHERE b.key = ANY (keys) ORDER BY b.key FOR UPDATE) r;
  IF coalesce(found, '{}') <> keys THEN
    -- A sweep removed an idle row in between; the caller tries again.
    RAISE EXCEPTION 'keys are not sorted and distinct, or a row went away' USING ERRCODE = 'serialization_failure';
  END IF;
  now := coalesce(at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000);

  lag_now := quota.lag_at(now, processes);

  FOR i IN 1 .. count_of_keys LOOP
    IF shared[i] THEN
      tat[i] := tat[i] + lag_now - lag[i];
    END IF;
    current_generation := now / generation_lengths[i];
    IF current_generation > generation[i] THEN
      IF current_generation = generation[i] + 1 THEN
        expired := held_before[i];
        held_before[i] := held[i];
      ELSE
        expired := held_before[i] + held[i];
        held_before[i] := 0;
      END IF;
      held[i] := 0;
      generation[i] := current_generation;
      -- A lease that ran out was spent, for all that is known, at its very end: charge it as if just now.
      IF expired > 0 THEN
        tat[i] := greatest(tat[i], now) + expired * intervals[i];
      END IF;
    END IF;
  END LOOP;

  FOR i IN 1 .. cardinality(report_keys) LOOP
    k := report_keys[i];
    IF report_generations[i] = generation[k] THEN
      held[k] := greatest(held[k] - report_spent[i] - report_returned[i], 0);
    ELSIF report_generations[i] = generation[k] - 1 THEN
      held_before[k] := greatest(held_before[k] - report_spent[i] - report_returned[i], 0);
    ELSE
      CONTINUE;  -- that generation ran out and was charged whole
    END IF;
    IF report_spent[i] > 0 THEN
      tat[k] := greatest(tat[k], now) + report_spent[i] * intervals[k];
    END IF;
  END LOOP;

  -- A message is charged to all its keys or to none.
  refused_by := '{}';
  wait := '{}';
  first := 1;
  WHILE first <= count_of_charges LOOP
    message := charge_messages[first];
    beyond := first;
    worst := 0;
    longest := 0;
    WHILE beyond <= count_of_charges AND charge_messages[beyond] = message LOOP
      k := charge_keys[beyond];
      needed := greatest(tat[k] - now, 0) + (held[k] + held_before[k] + charge_units[beyond] - bursts[k]) * intervals[k];
      IF needed > longest THEN
        worst := k;
        longest := needed;
      END IF;
      beyond := beyond + 1;
    END LOOP;
    IF worst = 0 THEN
      FOR i IN first .. beyond - 1 LOOP
        k := charge_keys[i];
        tat[k] := greatest(tat[k], now) + charge_units[i] * intervals[k];
      END LOOP;
    END IF;
    refused_by[message] := worst;
    wait[message] := longest;
    first := beyond;
  END LOOP;

  FOR i IN 1 .. count_of_keys LOOP
    available := greatest(
      (bursts[i] * intervals[i] - greatest(tat[i] - now, 0)) / intervals[i] - held[i] - held_before[i], 0);
    reserved[i] := least(reserves[i], available / 4);
    IF reserved[i] > 0 THEN
      tat[i] := greatest(tat[i], now) + reserved[i] * intervals[i];
      available := greatest(
        (bursts[i] * intervals[i] - greatest(tat[i] - now, 0)) / intervals[i] - held[i] - held_before[i], 0);
    END IF;
    leased[i] := least(leases[i], available / divisor);
    held[i] := held[i] + leased[i];
    backlog[i] := greatest(tat[i] - now, 0) + (held[i] + held_before[i]) * intervals[i];
    expires[i] := (generation[i] + 2) * generation_lengths[i] - now;
  END LOOP;

  UPDATE quota.bucket b
     SET tat = u.tat, generation = u.generation, held = u.held, held_before = u.held_before, lag = lag_now
    FROM unnest(keys, tat, generation, held, held_before) AS u (key, tat, generation, held, held_before)
   WHERE b.key = u.key;
END
$$;

-- The units of many messages, added up by key: all of them are charged, or none (SC001), where some message has to be
-- refused, a row is missing, or a lease ran out. Then the same messages go through quota.exchange, one after the other.
-- keys as there; shapes are indexes into the lists after it, from 1. Returns how full each key is now.
-- The clock is read before the rows are locked: who had to wait for one is charged as if it had come before.
-- Its callers' sessions join by nested loops alone (database.py: SESSION), so that rows are looked up, and so locked, in
-- the order of the keys, and what is returned has that order. Settings of its own would cost it more than a row.
CREATE OR REPLACE FUNCTION quota.charge(
  keys text[], shapes bigint[], units bigint[],
  intervals bigint[], bursts bigint[], generation_lengths bigint[], shared boolean[], processes integer,
  at bigint DEFAULT NULL
) RETURNS bigint[]
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
  now bigint := coalesce(at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000);
  lag_now bigint := quota.lag_at(now, processes);
  backlog bigint[];
BEGIN
  WITH charged AS (
    UPDATE quota.bucket b
       SET tat = greatest(b.tat + CASE WHEN shared[u.shape] THEN lag_now - b.lag ELSE 0 END, now)
                 + u.units * intervals[u.shape],
           lag = lag_now
      FROM unnest(keys, shapes, units) AS u (key, shape, units)
     WHERE b.key = u.key
       AND (b.held + b.held_before = 0 OR now / generation_lengths[u.shape] <= b.generation)
       AND greatest(b.tat + CASE WHEN shared[u.shape] THEN lag_now - b.lag ELSE 0 END - now, 0)
           + (b.held + b.held_before + u.units - bursts[u.shape]) * intervals[u.shape] <= 0
    RETURNING b.tat - now + (b.held + b.held_before) * intervals[u.shape] AS backlog
  )
  SELECT array_agg(c.backlog) INTO backlog FROM charged c;
  IF coalesce(cardinality(backlog), 0) < cardinality(keys) THEN
    RAISE EXCEPTION 'not everything fits' USING ERRCODE = 'SC001';
  END IF;
  RETURN backlog;
END
$$;

-- Recipients that nothing is sent to: the keyed hash of each address, never the address. A row stays when mail is allowed
-- again, so that the hosts hear of it; changed is the transaction that did it, by which they ask for what is new.
CREATE TABLE IF NOT EXISTS quota.suppression (
  recipient bytea PRIMARY KEY,
  suppressed boolean NOT NULL DEFAULT true,
  changed xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX IF NOT EXISTS suppression_changed ON quota.suppression (changed);

-- What the hashes are keyed with: one row, made here and nowhere else.
CREATE TABLE IF NOT EXISTS quota.suppression_secret (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  secret bytea NOT NULL DEFAULT sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea)
);
INSERT INTO quota.suppression_secret DEFAULT VALUES ON CONFLICT DO NOTHING;

-- The hash of an address, without case; standing.py computes the same.
CREATE OR REPLACE FUNCTION quota.recipient_hash(address text) RETURNS bytea
LANGUAGE sql STABLE
SET search_path = quota, pg_catalog
AS $$ SELECT substr(sha256(s.secret || convert_to(lower(address), 'UTF8')), 1, 16) FROM quota.suppression_secret s $$;

-- Suppress these addresses, or allow them again. The hosts know it within seconds. Returns how many changed.
CREATE OR REPLACE FUNCTION quota.suppress(addresses text[], suppressed boolean DEFAULT true) RETURNS bigint
LANGUAGE sql
SET search_path = quota, pg_catalog
AS $$
  WITH done AS (
    INSERT INTO quota.suppression AS s (recipient, suppressed)
    SELECT DISTINCT quota.recipient_hash(a), suppress.suppressed FROM unnest(addresses) a ORDER BY 1
    ON CONFLICT (recipient) DO UPDATE SET suppressed = excluded.suppressed, changed = pg_current_xact_id()
      WHERE s.suppressed <> excluded.suppressed
    RETURNING 1
  ) SELECT count(*) FROM done
$$;

-- Credentials whose mail waits in the hold queue, until when, and why.
CREATE TABLE IF NOT EXISTS quota.held (
  credential text COLLATE "C" PRIMARY KEY,
  until timestamptz NOT NULL,
  reason text NOT NULL,
  since timestamptz NOT NULL DEFAULT now()
);

REVOKE ALL ON SCHEMA quota FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA quota FROM PUBLIC;
GRANT USAGE ON SCHEMA quota TO quota_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON quota.bucket, quota.process TO quota_user;
GRANT SELECT, UPDATE ON quota.lag TO quota_user;
GRANT SELECT ON quota.suppression, quota.suppression_secret TO quota_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON quota.held TO quota_user;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA quota TO quota_user;
REVOKE EXECUTE ON FUNCTION quota.suppress FROM quota_user;
