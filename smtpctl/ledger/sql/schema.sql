-- The ledger: what became of every message, one row for each fact.
--
-- For a new database, applied as the superuser in one transaction. An existing one is brought here by `migrations/`, and
-- both then get everything below the line "Routines", which is replaced as a whole whenever it changed: functions,
-- views and rights are changed here only, tables here and by a migration. A test holds the two ways against each other.
--
-- Four group roles, all NOLOGIN. ledger_owner owns everything and is nobody's login. ledger_writer is granted to the
-- hosts' own roles: it adds rows and moves its position, and reads nothing that names a person. ledger_reader is
-- granted to people: everything but addresses. ledger_operator may also read sealed addresses, which takes a key, and
-- erase.

DO $$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['ledger_owner', 'ledger_writer', 'ledger_reader', 'ledger_operator'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
END
$$;

CREATE SCHEMA IF NOT EXISTS ledger AUTHORIZATION ledger_owner;
SET ROLE ledger_owner;
SET search_path = ledger, pg_catalog;
SET client_min_messages = warning;

-- Subjects ------------------------------------------------------------------------------------------------------------
-- An address stands here and nowhere else; every other table names it by its number. In a private ledger it is sealed:
-- `lookup` is its hash under the key numbered `lookup_key`, `sealed` a capsule under the key `seal_key` that no host can
-- open. Else it stands in `address`. The domain is in clear either way, for statistics.

CREATE TABLE IF NOT EXISTS seal_keys (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  bucket      smallint NOT NULL,
  public      bytea NOT NULL,
  made_at     timestamptz NOT NULL DEFAULT now(),
  retired_at  timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS seal_keys_bucket ON seal_keys (bucket) WHERE retired_at IS NULL;
COMMENT ON TABLE seal_keys IS 'Public keys that hosts seal new addresses under, one a bucket. Private halves are never in a database.';

CREATE TABLE IF NOT EXISTS subjects (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  address     text UNIQUE,
  domain      text NOT NULL,
  lookup      bytea UNIQUE,
  lookup_key  smallint,
  first_seen  timestamptz NOT NULL DEFAULT now(),
  sealed      bytea,
  seal_key    integer REFERENCES seal_keys,
  erased_at   timestamptz,
  CONSTRAINT subjects_known CHECK (address IS NOT NULL OR lookup IS NOT NULL AND lookup_key IS NOT NULL)
);
CREATE INDEX IF NOT EXISTS subjects_domain ON subjects (domain);
CREATE INDEX IF NOT EXISTS subjects_first_seen ON subjects USING brin (first_seen);
CREATE INDEX IF NOT EXISTS subjects_seal_key ON subjects (seal_key) WHERE seal_key IS NOT NULL;
COMMENT ON TABLE subjects IS 'Every address once: recipients, senders, report addresses. Lower case.';
COMMENT ON COLUMN subjects.address IS 'In clear; null in a private ledger.';
COMMENT ON COLUMN subjects.lookup IS 'Keyed hash of the address; what remains of one that was erased.';
COMMENT ON COLUMN subjects.sealed IS 'The address under a key of its own; null when it was erased.';

-- Sources: how far each host's mail log has been read -----------------------------------------------------------------

CREATE TABLE IF NOT EXISTS sources (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  host        text NOT NULL,
  log         text NOT NULL,
  generation  bigint NOT NULL DEFAULT 0,
  position    bigint NOT NULL DEFAULT 0,
  marks       jsonb NOT NULL DEFAULT '{}',
  next_row    bigint NOT NULL DEFAULT 1,
  lines       bigint NOT NULL DEFAULT 0,
  last_at     timestamptz,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  UNIQUE (host, log)
);
COMMENT ON TABLE sources IS 'One row a followed log. Changed in the transaction that stores the rows of what was read.';
COMMENT ON COLUMN sources.generation IS 'Counts the files that bore this name, one after another.';
COMMENT ON COLUMN sources.position IS 'Bytes of the current file that are in the ledger; always just after a newline.';
COMMENT ON COLUMN sources.marks IS 'Fingerprints by which the file is known again, whatever its name or inode.';
COMMENT ON COLUMN sources.created_at IS 'When the host first followed the log, by its own clock.';
COMMENT ON COLUMN sources.next_row IS 'Numbers rows of this source; a row''s id is (source id << 40) + number.';

-- Messages: one row for each queue entry on one instance ---------------------------------------------------------------

CREATE TABLE IF NOT EXISTS messages (
  id               bigint NOT NULL,
  started_at       timestamptz NOT NULL,
  ended_at         timestamptz,
  source           integer NOT NULL,
  host             text NOT NULL,
  instance         text NOT NULL,
  queue_id         text NOT NULL,
  origin           text,
  role             text,
  pool             text,
  stream           text,
  credential       text,
  client_name      text,
  client_address   inet,
  message_id       text,
  sender           bigint,
  sender_domain    text,
  size             bigint,
  recipients       integer,
  activations      integer NOT NULL DEFAULT 0,
  first_active_at  timestamptz,
  parent           bigint,
  parent_kind      text,
  end_kind         text,
  PRIMARY KEY (id, started_at)
) PARTITION BY RANGE (started_at);
-- Ids are asked for whole: a hash finds them as well as a b-tree would, and takes in a row for half.
CREATE INDEX IF NOT EXISTS messages_queue_id ON messages USING hash (queue_id);
CREATE INDEX IF NOT EXISTS messages_message_id ON messages USING hash (message_id);
CREATE INDEX IF NOT EXISTS messages_sender ON messages (sender) WHERE sender IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_parent ON messages (parent) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_open ON messages (source) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS messages_ended_at ON messages USING brin (ended_at);
COMMENT ON TABLE messages IS 'A queue entry of one Postfix instance: the same mail has one on each instance it passes.';
COMMENT ON COLUMN messages.origin IS 'smtp, local (sendmail), internal (a notification or a forwarded copy), or null: began before the log did.';
COMMENT ON COLUMN messages.parent IS 'The message on the same host that this one came from; parent_kind says how.';
COMMENT ON COLUMN messages.parent_kind IS 'bounce, delay, success, postmaster, forward, requeue, filter.';
COMMENT ON COLUMN messages.end_kind IS 'removed (all recipients done), canceled, discarded, deleted, expired, requeued, replaced.';

-- Deliveries: one row for each attempt to hand one recipient on ---------------------------------------------------------

CREATE TABLE IF NOT EXISTS deliveries (
  id                  bigint NOT NULL,
  at                  timestamptz NOT NULL,
  message             bigint NOT NULL,
  source              integer NOT NULL,
  host                text NOT NULL,
  instance            text NOT NULL,
  role                text,
  pool                text,
  stream              text,
  recipient           bigint NOT NULL,
  original_recipient  bigint,
  domain              text NOT NULL,
  provider            text,
  transport           text NOT NULL,
  source_address      inet,
  relay_name          text,
  relay_address       inet,
  relay_port          integer,
  connection_use      integer,
  delay               real,
  delay_queue         real,
  delay_manager       real,
  delay_connect       real,
  delay_transfer      real,
  tls                 text,
  status              text NOT NULL,
  dsn                 text,
  reply_code          smallint,
  reply               text,
  queued_as           text,
  hardness            text,
  category            text
) PARTITION BY RANGE (at);
-- A row is found by its message or recipient. Its number only orders rows as they came (a BRIN index is enough for that),
-- and is given once: no b-tree has to prove it for every row. Hosts write between each other, so a block has numbers of
-- several sources: hence minmax_multi.
CREATE INDEX IF NOT EXISTS deliveries_order ON deliveries USING brin (id int8_minmax_multi_ops, at);
CREATE INDEX IF NOT EXISTS deliveries_message ON deliveries (message);
CREATE INDEX IF NOT EXISTS deliveries_recipient ON deliveries (recipient, at);
CREATE INDEX IF NOT EXISTS deliveries_original ON deliveries (original_recipient, at) WHERE original_recipient IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_queued_as ON deliveries (queued_as) WHERE queued_as IS NOT NULL;
COMMENT ON TABLE deliveries IS 'One attempt to hand one recipient on, as the log line says it.';
COMMENT ON COLUMN deliveries.status IS 'sent, deferred, bounced, expired, …: Postfix''s word. deliverable and undeliverable are probes, not mail.';
COMMENT ON COLUMN deliveries.queued_as IS 'The queue id that the next hop gave in its reply.';
COMMENT ON COLUMN deliveries.delay IS 'Seconds since the message arrived; then before the queue manager, in it, connecting, transferring.';
COMMENT ON COLUMN deliveries.hardness IS 'hard, soft or undetermined; null when the attempt succeeded.';

-- Events: what else happened --------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS events (
  id         bigint NOT NULL,
  at         timestamptz NOT NULL,
  source     integer NOT NULL,
  host       text NOT NULL,
  instance   text NOT NULL,
  kind       text NOT NULL,
  message    bigint,
  sender     bigint,
  recipient  bigint,
  detail     jsonb NOT NULL DEFAULT '{}'
) PARTITION BY RANGE (at);
CREATE INDEX IF NOT EXISTS events_order ON events USING brin (id int8_minmax_multi_ops, at);
CREATE INDEX IF NOT EXISTS events_message ON events (message) WHERE message IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_recipient ON events (recipient, at) WHERE recipient IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_sender ON events (sender, at) WHERE sender IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_kind ON events (kind, at);
COMMENT ON TABLE events IS 'Decisions (reject, hold, filter, policy), signatures, changes by hand, starts and stops, gaps in a log.';

-- Lines that were not understood: how many of each shape, and one of them ------------------------------------------------

CREATE TABLE IF NOT EXISTS unknown_lines (
  source    integer NOT NULL,
  shape     text NOT NULL,
  count     bigint NOT NULL,
  sample    text NOT NULL,
  first_at  timestamptz NOT NULL,
  last_at   timestamptz NOT NULL,
  PRIMARY KEY (source, shape)
);

-- Bounces and complaints, as the feedback processor receives them ---------------------------------------------------------
-- Not partitioned: they are few, and `dedupe` has to be unique over all of them.

CREATE TABLE IF NOT EXISTS bounces (
  id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  received_at          timestamptz NOT NULL,
  dedupe               bytea NOT NULL UNIQUE,
  host                 text NOT NULL,
  kind                 text NOT NULL DEFAULT 'dsn',
  recipient            bigint,
  recipient_domain     text,
  provider             text,
  envelope_to          text NOT NULL,
  reporting_mta        text,
  remote_mta           text,
  action               text NOT NULL,
  status               text,
  diagnostic           text,
  hardness             text NOT NULL,
  category             text NOT NULL,
  original_message_id  text,
  original_queue_id    text,
  report_message_id    text,
  arrival_at           timestamptz,
  last_attempt_at      timestamptz
);
CREATE INDEX IF NOT EXISTS bounces_received ON bounces (received_at);
CREATE INDEX IF NOT EXISTS bounces_recipient ON bounces (recipient);
CREATE INDEX IF NOT EXISTS bounces_original_message ON bounces (original_message_id);
COMMENT ON TABLE bounces IS 'Failures and delays that arrived by mail, one row for each recipient that a report names.';
COMMENT ON COLUMN bounces.dedupe IS 'Hash of what makes the report unique, so that a repeated LMTP transaction adds no row.';
COMMENT ON COLUMN bounces.recipient IS 'The original recipient; null when the report names none.';
COMMENT ON COLUMN bounces.envelope_to IS 'Our own address that the report came to.';
COMMENT ON COLUMN bounces.action IS 'failed, delayed, delivered, relayed or expanded (RFC 3464 §2.3.3).';
COMMENT ON COLUMN bounces.status IS 'Enhanced status code (RFC 3463).';

CREATE TABLE IF NOT EXISTS complaints (
  id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  received_at          timestamptz NOT NULL,
  dedupe               bytea NOT NULL UNIQUE,
  host                 text NOT NULL,
  feedback_type        text NOT NULL,
  recipient            bigint,
  recipient_domain     text,
  provider             text,
  envelope_to          text NOT NULL,
  source_address       inet,
  original_message_id  text,
  user_agent           text
);
CREATE INDEX IF NOT EXISTS complaints_received ON complaints (received_at);
CREATE INDEX IF NOT EXISTS complaints_recipient ON complaints (recipient);
COMMENT ON TABLE complaints IS 'Feedback-loop reports (RFC 5965).';

CREATE TABLE IF NOT EXISTS unclassified_mails (
  id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  received_at        timestamptz NOT NULL,
  dedupe             bytea NOT NULL UNIQUE,
  host               text NOT NULL,
  kind               text NOT NULL,
  envelope_to        text NOT NULL,
  report_message_id  text,
  size               bigint NOT NULL,
  content            bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS unclassified_mails_received ON unclassified_mails (received_at);
COMMENT ON TABLE unclassified_mails IS 'What came to a bounce or feedback address and is not a delivery report.';
COMMENT ON COLUMN unclassified_mails.kind IS 'complaint, auto_reply or other: what it looks like.';
COMMENT ON COLUMN unclassified_mails.content IS 'Its first 64 KiB, as they came; size is that of the whole.';

CREATE TABLE IF NOT EXISTS suppressions (
  recipient  bigint NOT NULL,
  stream     text NOT NULL DEFAULT '',
  reason     text NOT NULL,
  since      timestamptz NOT NULL DEFAULT now(),
  until      timestamptz,
  PRIMARY KEY (recipient, stream)
);
COMMENT ON TABLE suppressions IS 'Addresses that we no longer send to; an empty stream means every stream.';

CREATE TABLE IF NOT EXISTS retention (
  class    text PRIMARY KEY,
  kept     interval NOT NULL,
  ran_at   timestamptz NOT NULL,
  removed  bigint NOT NULL
);
COMMENT ON TABLE retention IS 'When what was last removed by age, one row a class; removed counts partitions or rows.';

CREATE TABLE IF NOT EXISTS acknowledgements (
  kind     text NOT NULL,
  subject  text NOT NULL,
  at       timestamptz NOT NULL DEFAULT now(),
  who      text NOT NULL,
  why      text NOT NULL,
  PRIMARY KEY (kind, subject, at)
);
COMMENT ON TABLE acknowledgements IS 'Who has seen an incident; it is open again when it happens after that.';

-- Sums: what closed hours come to, so that a question about months reads thousands of rows and not millions -------------
-- Kept by `sum_up`; each attempt is in them once, or in what the views add for the hours that are not closed yet.

CREATE TABLE IF NOT EXISTS summed (
  source   integer NOT NULL,
  next_id  bigint NOT NULL,
  kind     text NOT NULL,
  PRIMARY KEY (source, kind)
);
COMMENT ON TABLE summed IS 'Attempts of a source whose id is below next_id are in the sums of that kind: traffic or routes.';

CREATE TABLE IF NOT EXISTS summed_before (
  before  timestamptz NOT NULL,
  kind    text PRIMARY KEY
);
COMMENT ON TABLE summed_before IS 'Views look for attempts that are in no sum of that kind from this moment on.';

CREATE TABLE IF NOT EXISTS traffic_sums (
  hour        timestamptz NOT NULL,
  stream      text,
  pool        text,
  provider    text,
  credential  text,
  status      text NOT NULL,
  attempts    bigint NOT NULL,
  CONSTRAINT traffic_sums_key UNIQUE NULLS NOT DISTINCT (hour, stream, pool, provider, credential, status)
);
COMMENT ON TABLE traffic_sums IS 'Attempts by hour, for the view hourly.';

CREATE TABLE IF NOT EXISTS domain_sums (
  day        timestamptz NOT NULL,
  stream     text,
  pool       text,
  provider   text,
  domain     text NOT NULL,
  delivered  bigint NOT NULL,
  deferred   bigint NOT NULL,
  bounced    bigint NOT NULL,
  hard       bigint NOT NULL,
  CONSTRAINT domain_sums_key UNIQUE NULLS NOT DISTINCT (day, domain, stream, pool, provider)
);
COMMENT ON TABLE domain_sums IS 'Attempts by day (UTC) and domain, for the view bounce_rates.';

CREATE TABLE IF NOT EXISTS failure_sums (
  hour        timestamptz NOT NULL,
  stream      text,
  pool        text,
  provider    text,
  status      text NOT NULL,
  hardness    text,
  category    text,
  dsn         text,
  reply       text NOT NULL,
  attempts    bigint NOT NULL,
  CONSTRAINT failure_sums_key
    UNIQUE NULLS NOT DISTINCT (hour, stream, pool, provider, status, hardness, category, dsn, reply)
);
COMMENT ON TABLE failure_sums IS 'Failed attempts by hour and reply, for the views failures and replies.';

CREATE TABLE IF NOT EXISTS delay_sums (
  hour       timestamptz NOT NULL,
  stream     text,
  provider   text,
  bucket     smallint NOT NULL,
  delivered  bigint NOT NULL,
  CONSTRAINT delay_sums_key UNIQUE NULLS NOT DISTINCT (hour, stream, provider, bucket)
);
COMMENT ON TABLE delay_sums IS 'Deliveries by hour and rounded delay, for the views delays and latencies.';

CREATE TABLE IF NOT EXISTS route_sums (
  hour            timestamptz NOT NULL,
  host            text NOT NULL,
  role            text,
  pool            text,
  stream          text,
  provider        text,
  transport       text NOT NULL,
  source_address  inet,
  tls             text,
  status          text NOT NULL,
  category        text,
  attempts        bigint NOT NULL,
  CONSTRAINT route_sums_key
    UNIQUE NULLS NOT DISTINCT (hour, host, role, pool, stream, provider, transport, source_address, tls, status, category)
);
COMMENT ON TABLE route_sums IS 'Attempts by hour and by the way they took, for the view routes; of those inside the fleet too.';

CREATE TABLE IF NOT EXISTS relay_sums (
  day           timestamptz NOT NULL,
  provider      text,
  relay_name    text,
  delivered     bigint NOT NULL,
  deferred      bigint NOT NULL,
  bounced       bigint NOT NULL,
  connecting    float8 NOT NULL,
  transferring  float8 NOT NULL,
  CONSTRAINT relay_sums_key UNIQUE NULLS NOT DISTINCT (day, relay_name, provider)
);
COMMENT ON TABLE relay_sums IS 'Attempts by day (UTC) and next hop, and seconds spent with it, for the view relays.';

CREATE TABLE IF NOT EXISTS domain_failure_sums (
  day       timestamptz NOT NULL,
  domain    text NOT NULL,
  status    text NOT NULL,
  category  text,
  dsn       text,
  attempts  bigint NOT NULL,
  CONSTRAINT domain_failure_sums_key UNIQUE NULLS NOT DISTINCT (domain, day, status, category, dsn)
);
COMMENT ON TABLE domain_failure_sums IS 'Failed attempts by day (UTC) and domain, for the view domain_failures.';

CREATE TABLE IF NOT EXISTS leaving (
  subject  bigint PRIMARY KEY
);
COMMENT ON TABLE leaving IS 'Subjects whom a row named that retention removed; perhaps nothing names them any more.';

CREATE TABLE IF NOT EXISTS migrations (
  name        text PRIMARY KEY,
  applied_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE migrations IS 'Which changes of tables this database has.';
INSERT INTO migrations (name) VALUES ('0001_tables_pre.sql'), ('0002_sealed_subjects_pre.sql'),
  ('0003_acknowledged_incidents_pre.sql'), ('0004_sums_pre.sql'), ('0005_hashed_names_pre.sql'),
  ('0006_route_sums_pre.sql') ON CONFLICT DO NOTHING;

-- Routines: everything from here on is replaced as a whole ---------------------------------------------------------------

SET ROLE ledger_owner;
SET search_path = ledger, pg_catalog;
SET client_min_messages = warning;


CREATE OR REPLACE FUNCTION domain_of(address text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN position('@' IN address) > 0 THEN split_part(address, '@', -1) ELSE '' END;

-- What a subject is called: its address, or the token that stands for it (see tokens.py).
CREATE OR REPLACE VIEW names AS
SELECT id, domain, erased_at,
       coalesce(address, '{' || lookup_key || ':' || encode(lookup, 'hex') || '@' || domain || '}') AS name
FROM subjects;
COMMENT ON VIEW names IS 'Subjects as operators see them: the address, or in a private ledger its token.';

-- Numbers of subjects in a private ledger, by their hashes and in their order; null for those that it does not know.
CREATE OR REPLACE FUNCTION find_subjects(hashes bytea[]) RETURNS bigint[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
  SELECT array_agg(subjects.id ORDER BY ordinal)
  FROM unnest(hashes) WITH ORDINALITY AS list (item, ordinal) LEFT JOIN ledger.subjects ON subjects.lookup = item;
$$;

-- The same, made where they are new. Refused when a key was retired meanwhile: what is sealed under it nobody could open.
-- One that was erased is found by its hash and stays erased.
CREATE OR REPLACE FUNCTION add_subjects(hash_key smallint, hashes bytea[], domains text[], keys integer[], capsules bytea[])
RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtext('ledger.seal_keys'));
  IF EXISTS (SELECT FROM seal_keys WHERE id = ANY (keys) AND retired_at IS NOT NULL) THEN
    RAISE EXCEPTION 'a key to seal addresses with was retired';
  END IF;
  INSERT INTO subjects (lookup, lookup_key, domain, seal_key, sealed)
    SELECT hashed, hash_key, domain, key, capsule
    FROM unnest(hashes, domains, keys, capsules) AS item (hashed, domain, key, capsule)
    ORDER BY hashed
    ON CONFLICT (lookup) DO NOTHING;
  RETURN find_subjects(hashes);
END
$$;

-- Erase whoever has one of these hashes: first forget the address, then let no new one be sealed under the buckets' old
-- keys. The controller destroys those keys next (see erasure.py). A subject that the ledger has not met yet is entered as
-- erased, so that lines still to come find it so. Return its number and the keys that are to be destroyed.
CREATE OR REPLACE FUNCTION erase_subject(hash_key smallint, hashes bytea[], domain text, buckets smallint[], publics bytea[])
RETURNS TABLE (subject bigint, retired integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
#variable_conflict use_column
DECLARE
  number bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ledger.seal_keys'));
  INSERT INTO subjects (lookup, lookup_key, domain, erased_at)
    SELECT hashes[1], hash_key, erase_subject.domain, now()
    WHERE NOT EXISTS (SELECT FROM subjects WHERE lookup = ANY (hashes));
  UPDATE subjects SET sealed = NULL, seal_key = NULL, erased_at = coalesce(erased_at, now()) WHERE lookup = ANY (hashes);
  SELECT max(id) INTO number FROM subjects WHERE lookup = ANY (hashes);
  UPDATE seal_keys SET retired_at = now() WHERE bucket = ANY (buckets) AND retired_at IS NULL;
  INSERT INTO seal_keys (bucket, public) SELECT * FROM unnest(buckets, publics);
  RETURN QUERY SELECT number, seal_keys.id FROM seal_keys WHERE bucket = ANY (buckets) AND retired_at IS NOT NULL;
END
$$;

-- The number of an address in a ledger that keeps them in clear, made when it is new.
CREATE OR REPLACE FUNCTION subject(wanted text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
  found_id bigint;
  canonical constant text := lower(wanted);
BEGIN
  PERFORM refuse_clear();
  IF wanted IS NULL OR wanted = '' THEN
    RETURN NULL;
  END IF;
  SELECT id INTO found_id FROM subjects WHERE address = canonical;
  IF found_id IS NULL THEN
    INSERT INTO subjects (address, domain) VALUES (canonical, domain_of(canonical))
      ON CONFLICT (address) DO NOTHING RETURNING id INTO found_id;
    IF found_id IS NULL THEN
      SELECT id INTO found_id FROM subjects WHERE address = canonical;
    END IF;
  END IF;
  RETURN found_id;
END
$$;

-- A private ledger takes no address in clear, whoever was configured so.
CREATE OR REPLACE FUNCTION refuse_clear() RETURNS void LANGUAGE plpgsql STABLE SET search_path = ledger, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM seal_keys) THEN
    RAISE EXCEPTION 'this ledger is private: it takes no address in clear' USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;

-- The same for many addresses at once, in their order. New ones are inserted in one order by every host, so that two
-- hosts that meet the same addresses wait for each other instead of locking each other. The planner takes a list for ten
-- names; thousands come, so they are not compared each with each.
CREATE OR REPLACE FUNCTION subject_numbers(wanted text[]) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp SET enable_nestloop = off AS $$
DECLARE
  numbers bigint[];
BEGIN
  PERFORM refuse_clear();
  WITH added AS (
    INSERT INTO subjects (address, domain)
      SELECT name, domain_of(name) FROM (SELECT DISTINCT lower(item) COLLATE "C" AS name FROM unnest(wanted) AS item) AS distinct_names
      ORDER BY name
      ON CONFLICT (address) DO NOTHING RETURNING id, address)
  SELECT array_agg(added.id ORDER BY ordinal) INTO numbers
  FROM unnest(wanted) WITH ORDINALITY AS list (item, ordinal) LEFT JOIN added ON address = lower(item);
  IF array_position(numbers, NULL) IS NULL THEN
    RETURN numbers;
  END IF;
  -- The others were there before. A statement of its own: it sees what other hosts have added meanwhile.
  RETURN (SELECT array_agg(coalesce(number, (SELECT id FROM subjects WHERE address = lower(item))) ORDER BY ordinal)
          FROM unnest(wanted, numbers) WITH ORDINALITY AS list (item, number, ordinal));
END
$$;

-- Make the partition of one day in each partitioned table, if it is not there.
CREATE OR REPLACE FUNCTION make_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
  parent text;
  child text;
BEGIN
  FOREACH parent IN ARRAY ARRAY['messages', 'deliveries', 'events'] LOOP
    child := parent || to_char(day, '_YYYYMMDD');
    IF to_regclass('ledger.' || child) IS NULL THEN
      -- Two hosts may need the same new day at once: the second waits here and finds it made.
      PERFORM pg_advisory_xact_lock(hashtext('ledger.make_day'));
      EXECUTE format(
        'CREATE TABLE IF NOT EXISTS ledger.%I PARTITION OF ledger.%I FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = %s)',
        child, parent, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC',
        -- Messages change: with room beside the row no index hears of it when the queue manager takes one up again.
        CASE parent WHEN 'messages' THEN 90 ELSE 100 END);
    END IF;
  END LOOP;
END
$$;

-- Make partitions `ahead` days from today.
CREATE OR REPLACE FUNCTION make_days(ahead integer DEFAULT 7) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
  SELECT ledger.make_day(((now() AT TIME ZONE 'UTC')::date + ahead_of_today)) FROM generate_series(-1, ahead) AS ahead_of_today;
$$;

-- Remove what is older than `keep`, by class: deliveries (whole days of messages, deliveries and events), reports, samples,
-- subjects (those that nothing names any more). Return how many partitions or rows went. Not for the hosts.
CREATE OR REPLACE FUNCTION retain(class text, keep interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
DECLARE
  gone bigint;
BEGIN
  CASE class
    WHEN 'deliveries' THEN gone := drop_days(keep);
    WHEN 'reports' THEN
      WITH removed AS (
        DELETE FROM bounces WHERE received_at < now() - keep RETURNING recipient), complained AS (
        DELETE FROM complaints WHERE received_at < now() - keep RETURNING recipient), named AS (
        SELECT recipient FROM removed UNION ALL SELECT recipient FROM complained), noted AS (
        INSERT INTO leaving SELECT DISTINCT recipient FROM named WHERE recipient IS NOT NULL ON CONFLICT DO NOTHING)
      SELECT count(*) FROM named INTO gone;
    WHEN 'samples' THEN
      WITH mails AS (DELETE FROM unclassified_mails WHERE received_at < now() - keep RETURNING 1),
           lines AS (DELETE FROM unknown_lines WHERE last_at < now() - keep RETURNING 1)
      SELECT (SELECT count(*) FROM mails) + (SELECT count(*) FROM lines) INTO gone;
    WHEN 'subjects' THEN gone := forget_subjects(keep);
  END CASE;
  INSERT INTO retention VALUES (class, keep, now(), gone)
    ON CONFLICT ON CONSTRAINT retention_pkey DO UPDATE SET kept = EXCLUDED.kept, ran_at = EXCLUDED.ran_at, removed = EXCLUDED.removed;
  RETURN gone;
END
$$;

-- Remove subjects that nothing names any more. Asked are only those that may have become so: whom a row named that is
-- gone (`leaving`), and those that have come of age since the last time. Each is looked up in indexes.
CREATE OR REPLACE FUNCTION forget_subjects(keep interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = ledger, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
  gone bigint;
  of_age constant timestamptz := now() - keep;
  before constant timestamptz := coalesce((SELECT ran_at - kept FROM retention WHERE class = 'subjects'), '-infinity');
BEGIN
  INSERT INTO leaving SELECT id FROM subjects WHERE first_seen >= before AND first_seen < of_age ON CONFLICT DO NOTHING;
  DELETE FROM leaving
  WHERE EXISTS (SELECT FROM deliveries WHERE recipient = subject)
     OR EXISTS (SELECT FROM deliveries WHERE original_recipient = subject)
     OR EXISTS (SELECT FROM messages WHERE sender = subject)
     OR EXISTS (SELECT FROM events WHERE recipient = subject)
     OR EXISTS (SELECT FROM events WHERE sender = subject)
     OR EXISTS (SELECT FROM bounces WHERE recipient = subject)
     OR EXISTS (SELECT FROM complaints WHERE recipient = subject)
     OR EXISTS (SELECT FROM suppressions WHERE recipient = subject);
  -- Who was erased stays known for a while: lines may still come. One that has just been met may be about to be named.
  WITH forgotten AS (
    DELETE FROM subjects USING leaving
    WHERE id = subject AND first_seen < of_age AND coalesce(erased_at, '-infinity') < of_age RETURNING 1)
  SELECT count(*) FROM forgotten INTO gone;
  DELETE FROM leaving WHERE NOT EXISTS (SELECT FROM subjects WHERE id = subject);
  RETURN gone;
END
$$;

-- Drop the days that ended before `keep`, and their sums. Return the number of partitions.
CREATE OR REPLACE FUNCTION drop_days(keep interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
DECLARE
  child text;
  naming text;
  dropped bigint := 0;
  limit_day constant date := ((now() - keep) AT TIME ZONE 'UTC')::date;
BEGIN
  FOR child IN
    SELECT relation.relname FROM pg_inherits
    JOIN pg_class AS relation ON relation.oid = inhrelid
    JOIN pg_class AS parent ON parent.oid = inhparent
    WHERE parent.relnamespace = 'ledger'::regnamespace AND relation.relname ~ '_[0-9]{8}$'
      AND to_date(right(relation.relname, 8), 'YYYYMMDD') < limit_day
  LOOP
    FOREACH naming IN ARRAY CASE split_part(child, '_', 1) WHEN 'deliveries' THEN ARRAY['recipient', 'original_recipient']
                                                         WHEN 'messages' THEN ARRAY['sender']
                                                         ELSE ARRAY['sender', 'recipient'] END LOOP
      EXECUTE format('INSERT INTO leaving SELECT DISTINCT %1$I FROM ledger.%2$I WHERE %1$I IS NOT NULL ON CONFLICT DO NOTHING',
                     naming, child);
    END LOOP;
    EXECUTE format('DROP TABLE ledger.%I', child);
    dropped := dropped + 1;
  END LOOP;
  DELETE FROM traffic_sums WHERE hour < limit_day::timestamp AT TIME ZONE 'UTC';
  DELETE FROM failure_sums WHERE hour < limit_day::timestamp AT TIME ZONE 'UTC';
  DELETE FROM delay_sums WHERE hour < limit_day::timestamp AT TIME ZONE 'UTC';
  DELETE FROM domain_sums WHERE day < limit_day::timestamp AT TIME ZONE 'UTC';
  DELETE FROM route_sums WHERE hour < limit_day::timestamp AT TIME ZONE 'UTC';
  DELETE FROM relay_sums WHERE day < limit_day::timestamp AT TIME ZONE 'UTC';
  DELETE FROM domain_failure_sums WHERE day < limit_day::timestamp AT TIME ZONE 'UTC';
  RETURN dropped;
END
$$;

-- What a shipper needs to go on after a restart: the messages of its log that are in the queue, and those that ended so
-- late that a line about them may still come. No addresses.
DROP FUNCTION IF EXISTS open_messages(integer, timestamptz); -- its columns may have changed
CREATE FUNCTION open_messages(of_source integer, ended_after timestamptz)
RETURNS TABLE (id bigint, started_at timestamptz, ended_at timestamptz, instance text, queue_id text, origin text,
               pool text, stream text, activations integer, identified boolean, parent bigint, end_kind text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
  SELECT id, started_at, ended_at, instance, queue_id, origin, pool, stream, activations, message_id IS NOT NULL,
         parent, end_kind
  FROM ledger.messages WHERE source = of_source AND (ended_at IS NULL OR ended_at >= ended_after);
$$;

-- An audit that found differences, as an event of no host (source 0).
CREATE OR REPLACE FUNCTION record_audit(detail jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
BEGIN
  PERFORM ledger.make_day((now() AT TIME ZONE 'UTC')::date);
  INSERT INTO events (id, at, source, host, instance, kind, detail) VALUES (0, now(), 0, '', '', 'audit', detail);
END
$$;

-- A moment as hosts write it: whole microseconds since 2000-01-01 UTC, as PostgreSQL itself counts. STABLE, as adding an
-- interval is: said to be more it would be called for each value, not written into the statement.
CREATE OR REPLACE FUNCTION time_of(moment bigint) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN timestamptz '2000-01-01 00:00:00Z' + moment * interval '1 microsecond';

-- What was learnt of messages since they were stored. Said to be one row: so each message is looked up by its key, and the
-- planner, who knows nothing of a day that has just begun, does not read the whole day instead. STRICT, or these words would
-- be written into the statement, and be a hundred rows there.
CREATE OR REPLACE FUNCTION changes_of(changes jsonb)
RETURNS TABLE (id bigint, started_at bigint, ended_at bigint, instance text, role text, origin text, pool text, stream text,
               credential text, client_name text, client_address inet, message_id text, sender bigint, sender_domain text,
               size bigint, recipients integer, activations integer, first_active_at bigint, parent bigint,
               parent_kind text, end_kind text)
LANGUAGE sql STABLE STRICT ROWS 1 AS $$
  SELECT * FROM jsonb_to_recordset(changes) AS change (
    id bigint, started_at bigint, ended_at bigint, instance text, role text, origin text, pool text, stream text,
    credential text, client_name text, client_address inet, message_id text, sender bigint, sender_domain text,
    size bigint, recipients integer, activations integer, first_active_at bigint, parent bigint, parent_kind text,
    end_kind text)
$$;

-- Add to messages of a source what was learnt since they were stored; what a change does not name stays. In plpgsql, which
-- plans once a connection.
CREATE OR REPLACE FUNCTION change_messages(of_source integer, changes jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  UPDATE ledger.messages SET
    ended_at = coalesce(time_of(change.ended_at), messages.ended_at),
    instance = coalesce(change.instance, messages.instance),
    role = coalesce(change.role, messages.role),
    origin = coalesce(change.origin, messages.origin),
    pool = coalesce(change.pool, messages.pool),
    stream = coalesce(change.stream, messages.stream),
    credential = coalesce(change.credential, messages.credential),
    client_name = coalesce(change.client_name, messages.client_name),
    client_address = coalesce(change.client_address, messages.client_address),
    message_id = coalesce(change.message_id, messages.message_id),
    sender = coalesce(change.sender, messages.sender),
    sender_domain = coalesce(change.sender_domain, messages.sender_domain),
    size = coalesce(change.size, messages.size),
    recipients = coalesce(change.recipients, messages.recipients),
    activations = greatest(change.activations, messages.activations),
    first_active_at = coalesce(messages.first_active_at, time_of(change.first_active_at)),
    parent = coalesce(change.parent, messages.parent),
    parent_kind = coalesce(change.parent_kind, messages.parent_kind),
    end_kind = coalesce(change.end_kind, messages.end_kind)
  FROM changes_of(changes) AS change
  WHERE messages.id = change.id AND messages.started_at = time_of(change.started_at) AND messages.source = of_source;
END
$$;

-- The same for what most changes are: the queue manager took the message up again, or removed it (``ended`` says when).
CREATE OR REPLACE FUNCTION advance_messages(
  of_source integer, ids bigint[], started bigint[], ended bigint[], activated integer[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  UPDATE ledger.messages SET
    ended_at = coalesce(time_of(step.ended_at), messages.ended_at),
    activations = greatest(step.activations, messages.activations),
    end_kind = CASE WHEN step.ended_at IS NULL THEN messages.end_kind ELSE 'removed' END
  FROM unnest(ids, started, ended, activated) AS step (id, started_at, ended_at, activations)
  WHERE messages.id = step.id AND messages.started_at = time_of(step.started_at) AND messages.source = of_source;
END
$$;

-- Views for analysts: no addresses -------------------------------------------------------------------------------------

-- Dropped first: their columns may have changed.
DROP VIEW IF EXISTS hourly, bounce_rates, replies, failures, delays, latencies, delay_buckets, unsummed, unsummed_routes, attributed, outgoing,
  routes, relays, domain_failures CASCADE;
DROP FUNCTION IF EXISTS unsummed_since();

-- Whether an attempt hands a recipient to somebody outside the fleet: what hosts hand to each other is left out, so that a
-- recipient counts once. Probes (deliverable, undeliverable) are no mail.
CREATE OR REPLACE FUNCTION goes_out(role text, status text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN role IS DISTINCT FROM 'submission' AND role IS DISTINCT FROM 'feedback'
  AND status NOT IN ('deliverable', 'undeliverable', 'undeliverable-but-not-cached');

CREATE OR REPLACE VIEW outgoing AS
SELECT id, at, message, host, instance, pool, stream, domain, provider, transport, source_address, relay_name,
       relay_address, delay, delay_queue, delay_manager, delay_connect, delay_transfer, tls, status, dsn, reply_code,
       regexp_replace(reply, '<[^<>@ ]*@[^<>]*>|[^ <>@]+@[^ <>]+', '<…>', 'g') AS reply, hardness, category
FROM deliveries WHERE ledger.goes_out(role, status);
COMMENT ON VIEW outgoing IS 'Attempts towards the outside, with addresses taken out of the replies.';

-- Attempts with the credential that their message was submitted with. A relay does not log it: there the message has the
-- Message-ID of one that a submission host took in before. Postfix keeps a message for five days.
CREATE OR REPLACE VIEW attributed AS
SELECT outgoing.*, coalesce(own.credential, submitted.credential) AS credential
FROM outgoing
LEFT JOIN messages AS own
  ON own.id = outgoing.message
  AND own.started_at BETWEEN outgoing.at - interval '6 days' AND outgoing.at + interval '10 minutes'
LEFT JOIN LATERAL (
  SELECT min(credential) AS credential FROM messages
  WHERE message_id = own.message_id AND credential IS NOT NULL
    AND started_at BETWEEN own.started_at - interval '5 days' AND own.started_at + interval '10 minutes') AS submitted ON own.credential IS NULL;
COMMENT ON VIEW attributed IS 'The view outgoing, and what each message was submitted with.';

-- Attempts that are in no sum yet: those of the last hour or two. Views ask since when in a SELECT of its own, which is done
-- once and not for each row.
CREATE OR REPLACE FUNCTION unsummed_since(wanted text) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce((SELECT before FROM summed_before WHERE kind = wanted), '-infinity');

CREATE OR REPLACE VIEW unsummed AS
SELECT outgoing.* FROM outgoing LEFT JOIN summed ON summed.source = id >> 40 AND kind = 'traffic'
WHERE at >= (SELECT ledger.unsummed_since('traffic')) AND id >= coalesce(next_id, 0);

CREATE OR REPLACE VIEW unsummed_routes AS
SELECT outgoing.* FROM outgoing LEFT JOIN summed ON summed.source = id >> 40 AND kind = 'routes'
WHERE at >= (SELECT ledger.unsummed_since('routes')) AND id >= coalesce(next_id, 0);

-- Traffic that is in no sum yet, with its credentials. A function, because it says the times as constants: so whole days are
-- left out before they are planned for.
CREATE OR REPLACE FUNCTION unsummed_traffic()
RETURNS TABLE (hour timestamptz, stream text, pool text, provider text, credential text, status text, attempts bigint)
LANGUAGE plpgsql STABLE ROWS 500 SET search_path = ledger, pg_temp AS $$
DECLARE
  since constant timestamptz := unsummed_since('traffic');
BEGIN
  RETURN QUERY EXECUTE format($query$
    SELECT date_trunc('hour', reading.at, 'UTC'), reading.stream, reading.pool, reading.provider,
           coalesce(own.credential, submitted.credential), reading.status, count(*)
    FROM outgoing AS reading
    LEFT JOIN summed ON summed.source = reading.id >> 40 AND summed.kind = 'traffic'
    LEFT JOIN messages AS own ON own.id = reading.message AND own.started_at >= %2$L
    LEFT JOIN LATERAL (
      SELECT min(messages.credential) AS credential FROM messages
      WHERE messages.message_id = own.message_id AND messages.credential IS NOT NULL AND messages.started_at >= %2$L
        AND messages.started_at BETWEEN own.started_at - interval '5 days' AND own.started_at + interval '10 minutes') AS submitted ON own.credential IS NULL
    WHERE reading.at >= %1$L AND reading.id >= coalesce(next_id, 0)
    GROUP BY 1, 2, 3, 4, 5, 6 $query$, since, CASE WHEN isfinite(since) THEN since - interval '11 days' ELSE since END);
END
$$;

-- What is the same in replies that mean the same: without the host that said it, without addresses, and without words that hold a digit and are long
-- enough to be an IP address, a queue id or a session. Status codes stay.
CREATE OR REPLACE FUNCTION reply_shape(reply text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left(regexp_replace(left(regexp_replace(reply, '^host \S+ (said|refused to talk to me): ', ''), 600), '(?!(?:\d{3}[- ]?#?)?\d\.\d+\.\d+\M)\m(?=[[:alpha:]_.:=+-]*\d)[\w.:=+-]{7,}', '…', 'g'), 200);

-- A delay, rounded to a tenth of itself: within 5 % of what it was.
CREATE OR REPLACE FUNCTION delay_bucket(delay real) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(ln(greatest(delay, 0.01)::float8) / ln(1.1::float8))::smallint;
CREATE OR REPLACE FUNCTION delay_of(bucket smallint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(1.1::float8 ^ bucket * CASE WHEN bucket < 25 THEN 1000 ELSE 10 END) / CASE WHEN bucket < 25 THEN 1000 ELSE 10 END;

CREATE VIEW hourly AS
SELECT hour, stream, pool, provider, credential, status, attempts FROM traffic_sums
UNION ALL
SELECT hour, stream, pool, provider, credential, status, attempts FROM ledger.unsummed_traffic();
COMMENT ON VIEW hourly IS 'Traffic: attempts by hour, stream, pool, provider, credential and status.';

CREATE VIEW bounce_rates AS
SELECT day, stream, pool, provider, domain, delivered, deferred, bounced, hard,
       round(100.0 * bounced / nullif(delivered + bounced, 0), 2) AS percent
FROM (
  SELECT day, stream, pool, provider, domain, delivered, deferred, bounced, hard FROM domain_sums
  WHERE day < (SELECT date_trunc('day', ledger.unsummed_since('traffic'), 'UTC'))
  UNION ALL
  SELECT day, stream, pool, provider, domain, sum(delivered)::bigint, sum(deferred)::bigint, sum(bounced)::bigint, sum(hard)::bigint
  FROM (
    SELECT day, stream, pool, provider, domain, delivered, deferred, bounced, hard FROM domain_sums
    WHERE day >= (SELECT date_trunc('day', ledger.unsummed_since('traffic'), 'UTC'))
    UNION ALL
    SELECT date_trunc('day', at, 'UTC'), stream, pool, provider, domain, (status = 'sent')::integer,
           (status = 'deferred')::integer, (status NOT IN ('sent', 'deferred'))::integer, coalesce(hardness = 'hard' AND status <> 'deferred', false)::integer
    FROM unsummed) AS today
  GROUP BY 1, 2, 3, 4, 5) AS days;
COMMENT ON VIEW bounce_rates IS 'Attempts by day (UTC) and domain: how many ended well, were deferred, bounced, and percent bounced of those that ended.';

CREATE VIEW replies AS
SELECT hour, stream, pool, provider, status, hardness, category, dsn, reply, attempts FROM failure_sums
UNION ALL
SELECT date_trunc('hour', at, 'UTC'), stream, pool, provider, status, hardness, category, dsn, ledger.reply_shape(coalesce(reply, '')), count(*)
FROM unsummed WHERE status <> 'sent' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
COMMENT ON VIEW replies IS 'Failed attempts by hour and reply; what differs in replies that mean the same is … there.';

CREATE VIEW failures AS
SELECT hour, stream, pool, provider, status, hardness, category, dsn, sum(attempts)::bigint AS attempts, min(reply) AS example
FROM replies GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
COMMENT ON VIEW failures IS 'Why attempts fail or are deferred, by hour: category, enhanced status code, and one of the replies.';

CREATE VIEW delay_buckets AS
SELECT hour, stream, provider, bucket, delivered FROM delay_sums
UNION ALL
SELECT date_trunc('hour', at, 'UTC'), stream, provider, ledger.delay_bucket(delay), count(*)
FROM unsummed WHERE status = 'sent' AND delay IS NOT NULL GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW delay_buckets IS 'What the views delays and latencies are made of.';

CREATE VIEW delays AS
SELECT hour, stream, provider, ledger.delay_of(bucket) AS seconds, delivered FROM delay_buckets;
COMMENT ON VIEW delays IS 'Deliveries by hour and seconds from the last queue''s begin to the provider''s yes, rounded to within 5 %.';

CREATE VIEW latencies AS
SELECT hour, stream, provider, max(total)::bigint AS delivered,
       ledger.delay_of(min(bucket) FILTER (WHERE running >= 0.5 * total)) AS median,
       ledger.delay_of(min(bucket) FILTER (WHERE running >= 0.9 * total)) AS p90,
       ledger.delay_of(min(bucket) FILTER (WHERE running >= 0.99 * total)) AS p99
FROM (
  SELECT hour, stream, provider, bucket, sum(delivered) OVER (of_hour ORDER BY bucket) AS running, sum(delivered) OVER of_hour AS total
  FROM delay_buckets WINDOW of_hour AS (PARTITION BY hour, stream, provider)) AS counted
GROUP BY 1, 2, 3;
COMMENT ON VIEW latencies IS 'Seconds in the last queue until the provider took the message, by hour: percentiles, within 5 %.';

CREATE VIEW routes AS
SELECT hour, host, pool, stream, provider, transport, source_address, tls, status, category, attempts
FROM route_sums WHERE ledger.goes_out(role, status)
UNION ALL
SELECT date_trunc('hour', at, 'UTC'), host, pool, stream, provider, transport, source_address, tls, status, category, count(*)
FROM unsummed_routes GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
COMMENT ON VIEW routes IS 'Attempts by hour and way: host, pool, transport, source address, TLS; with status and category.';

-- A day that is not over has a row from the sums and one from the rows: an estimate over both at once goes wrong.
CREATE VIEW relays AS
SELECT day, provider, relay_name, delivered, deferred, bounced, connecting, transferring FROM relay_sums
UNION ALL
SELECT date_trunc('day', at, 'UTC'), provider, relay_name, count(*) FILTER (WHERE status = 'sent'),
       count(*) FILTER (WHERE status = 'deferred'), count(*) FILTER (WHERE status NOT IN ('sent', 'deferred')),
       coalesce(sum(delay_connect::float8), 0), coalesce(sum(delay_transfer::float8), 0)
FROM unsummed_routes GROUP BY 1, 2, 3;
COMMENT ON VIEW relays IS 'Attempts by day (UTC) and next hop: how they ended, and all seconds spent connecting to it and transferring.';

CREATE VIEW domain_failures AS
SELECT day, domain, status, category, dsn, attempts FROM domain_failure_sums
UNION ALL
SELECT date_trunc('day', at, 'UTC'), domain, status, category, dsn, count(*) FROM unsummed_routes WHERE status <> 'sent'
GROUP BY 1, 2, 3, 4, 5;
COMMENT ON VIEW domain_failures IS 'Why attempts at a domain fail or are deferred, by day (UTC): category and enhanced status code.';

-- Keeping the sums -----------------------------------------------------------------------------------------------------

-- Add attempts to the sums, at most `most` numbers of each source; return whether there is more to do. What was logged from
-- `before` on waits, so that the log of another host, which knows the credential, may still come; `infinity` where
-- everything is in. Only the first row that waits holds up those after it, so nothing is summed out of its turn; one from
-- the future holds up none. Each kind of sums is as far as it is: one that is newer than the ledger catches up.
CREATE OR REPLACE FUNCTION sum_up(before timestamptz, most bigint DEFAULT 1000000) RETURNS boolean
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
DECLARE
  wanted text;
  reading record;
  following bigint;
  left_over boolean;
  some_left boolean := false;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ledger.summed'));
  FOREACH wanted IN ARRAY ARRAY['traffic', 'routes'] LOOP
    left_over := false;
    FOR reading IN
      SELECT sources.id AS source, coalesce(next_id, (sources.id::bigint << 40) + 1) AS first,
             (sources.id::bigint << 40) + next_row AS following
      FROM sources LEFT JOIN summed ON summed.source = sources.id AND summed.kind = wanted
    LOOP
      SELECT least(min(id), reading.following, reading.first + most) INTO following FROM deliveries
      WHERE id >= reading.first AND id < reading.following AND at >= sum_up.before AND at < now() + interval '1 hour';
      left_over := left_over OR following = reading.first + most;
      PERFORM sum_rows(wanted, reading.first, following);
      INSERT INTO summed (source, kind, next_id) VALUES (reading.source, wanted, following)
        ON CONFLICT ON CONSTRAINT summed_pkey DO UPDATE SET next_id = EXCLUDED.next_id;
    END LOOP;
    IF NOT left_over THEN
      INSERT INTO summed_before (kind, before) VALUES (wanted, sum_up.before)
        ON CONFLICT ON CONSTRAINT summed_before_pkey DO UPDATE SET before = EXCLUDED.before;
    END IF;
    some_left := some_left OR left_over;
  END LOOP;
  RETURN some_left;
END
$$;

-- Add the attempts from one id to another. When they were is asked first, so that other days are not looked at.
DROP FUNCTION IF EXISTS sum_rows(bigint, bigint);
CREATE OR REPLACE FUNCTION sum_rows(kind text, first bigint, following bigint) RETURNS void
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
DECLARE
  oldest timestamptz;
  newest timestamptz;
BEGIN
  SELECT min(at), max(at) INTO oldest, newest FROM deliveries WHERE id >= first AND id < following;
  IF oldest IS NULL THEN
    RETURN;
  END IF;
  CASE kind
    WHEN 'traffic' THEN PERFORM sum_traffic(first, following, oldest, newest);
    WHEN 'routes' THEN PERFORM sum_routes(first, following, oldest, newest);
  END CASE;
END
$$;

-- The planner takes what was read for two hundred rows, and looks each message up in each of the days before. That is right
-- for an hour; of a log of months the days are read once instead.
CREATE OR REPLACE FUNCTION sum_traffic(first bigint, following bigint, oldest timestamptz, newest timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = ledger, pg_temp SET plan_cache_mode = force_custom_plan SET enable_nestloop = on AS $$
BEGIN
  PERFORM set_config('enable_nestloop', CASE WHEN following - first > 200000 THEN 'off' ELSE 'on' END, true);
  WITH reading AS MATERIALIZED (
    SELECT at, message, stream, pool, provider, domain, status, hardness, category, dsn, delay,
           CASE WHEN status <> 'sent' THEN ledger.reply_shape(coalesce(reply, '')) END AS reply
    FROM outgoing WHERE id >= first AND id < following AND at BETWEEN oldest AND newest),
  own AS MATERIALIZED (
    SELECT id, message_id, credential, started_at FROM messages JOIN (SELECT DISTINCT message FROM reading) AS read ON id = message
    WHERE started_at BETWEEN oldest - interval '6 days' AND newest + interval '10 minutes'),
  submitted AS MATERIALIZED (
    SELECT own.id, coalesce(own.credential, min(before.credential)) AS credential
    FROM own LEFT JOIN messages AS before
      ON own.credential IS NULL AND before.message_id = own.message_id AND before.credential IS NOT NULL
      AND before.started_at BETWEEN oldest - interval '11 days' AND newest + interval '10 minutes'
      AND before.started_at BETWEEN own.started_at - interval '5 days' AND own.started_at + interval '10 minutes'
    GROUP BY own.id, own.credential),
  attempt AS MATERIALIZED (SELECT reading.*, credential FROM reading LEFT JOIN submitted ON submitted.id = message),
  traffic AS (
    INSERT INTO traffic_sums AS known
    SELECT date_trunc('hour', at, 'UTC'), stream, pool, provider, credential, status, count(*) FROM attempt GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT ON CONSTRAINT traffic_sums_key DO UPDATE SET attempts = known.attempts + EXCLUDED.attempts),
  domains AS (
    INSERT INTO domain_sums AS known
    SELECT date_trunc('day', at, 'UTC'), stream, pool, provider, domain, count(*) FILTER (WHERE status = 'sent'),
           count(*) FILTER (WHERE status = 'deferred'), count(*) FILTER (WHERE status NOT IN ('sent', 'deferred')),
           count(*) FILTER (WHERE hardness = 'hard' AND status <> 'deferred')
    FROM attempt GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT ON CONSTRAINT domain_sums_key DO UPDATE SET
      delivered = known.delivered + EXCLUDED.delivered, deferred = known.deferred + EXCLUDED.deferred,
      bounced = known.bounced + EXCLUDED.bounced, hard = known.hard + EXCLUDED.hard),
  failing AS (
    INSERT INTO failure_sums AS known
    SELECT date_trunc('hour', at, 'UTC'), stream, pool, provider, status, hardness, category, dsn, reply, count(*)
    FROM attempt WHERE status <> 'sent' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ON CONFLICT ON CONSTRAINT failure_sums_key DO UPDATE SET attempts = known.attempts + EXCLUDED.attempts)
  INSERT INTO delay_sums AS known
  SELECT date_trunc('hour', at, 'UTC'), stream, provider, ledger.delay_bucket(delay), count(*)
  FROM attempt WHERE status = 'sent' AND delay IS NOT NULL GROUP BY 1, 2, 3, 4
  ON CONFLICT ON CONSTRAINT delay_sums_key DO UPDATE SET delivered = known.delivered + EXCLUDED.delivered;
END
$$;

CREATE OR REPLACE FUNCTION sum_routes(first bigint, following bigint, oldest timestamptz, newest timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = ledger, pg_temp SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  WITH attempt AS MATERIALIZED (
    SELECT at, host, role, pool, stream, provider, domain, transport, source_address, relay_name, tls, status, category, dsn,
           coalesce(delay_connect, 0) AS connecting, coalesce(delay_transfer, 0) AS transferring, goes_out(role, status) AS outgoing
    FROM deliveries WHERE id >= first AND id < following AND at BETWEEN oldest AND newest),
  ways AS (
    INSERT INTO route_sums AS known
    SELECT date_trunc('hour', at, 'UTC'), host, role, pool, stream, provider, transport, source_address, tls, status, category,
           count(*)
    FROM attempt GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ON CONFLICT ON CONSTRAINT route_sums_key DO UPDATE SET attempts = known.attempts + EXCLUDED.attempts),
  hops AS (
    INSERT INTO relay_sums AS known
    SELECT date_trunc('day', at, 'UTC'), provider, relay_name, count(*) FILTER (WHERE status = 'sent'),
           count(*) FILTER (WHERE status = 'deferred'), count(*) FILTER (WHERE status NOT IN ('sent', 'deferred')),
           sum(connecting), sum(transferring)
    FROM attempt WHERE outgoing GROUP BY 1, 2, 3
    ON CONFLICT ON CONSTRAINT relay_sums_key DO UPDATE SET
      delivered = known.delivered + EXCLUDED.delivered, deferred = known.deferred + EXCLUDED.deferred,
      bounced = known.bounced + EXCLUDED.bounced, connecting = known.connecting + EXCLUDED.connecting,
      transferring = known.transferring + EXCLUDED.transferring)
  INSERT INTO domain_failure_sums AS known
  SELECT date_trunc('day', at, 'UTC'), domain, status, category, dsn, count(*)
  FROM attempt WHERE outgoing AND status <> 'sent' GROUP BY 1, 2, 3, 4, 5
  ON CONFLICT ON CONSTRAINT domain_failure_sums_key DO UPDATE SET attempts = known.attempts + EXCLUDED.attempts;
END
$$;

-- What concerns security, each event with its severity and with what it is about: who signed in, who connected, which
-- file. Hosts and policy service say some of it outright (kind incident); the rest is what the servers themselves log.
CREATE OR REPLACE VIEW security_events AS
SELECT id, at, host, instance, coalesce(detail->>'kind', 'other') AS kind, coalesce(detail->>'severity', 'warning') AS severity,
       coalesce(detail->>'subject', nullif(detail->>'credential', ''), nullif(detail->>'client', ''), host) AS subject,
       coalesce(detail->>'text', '') AS text, detail->>'client' AS client
FROM events WHERE kind = 'incident'
UNION ALL
SELECT id, at, host, instance, 'login', 'notice', coalesce(substring(detail->>'text' FROM '\[([^]]*)\]'), host), detail->>'text',
       substring(detail->>'text' FROM '\[([^]]*)\]')
FROM events WHERE kind = 'sasl-failed'
UNION ALL
SELECT id, at, host, instance, 'relay', 'notice', coalesce(substring(detail->>'client' FROM '\[([^]]*)\]'), host), detail->>'text',
       substring(detail->>'client' FROM '\[([^]]*)\]')
FROM events WHERE kind = 'reject' AND detail->>'text' LIKE '%Relay access denied%'
UNION ALL
SELECT id, at, host, instance, 'quota', 'notice', detail->>'credential', coalesce(detail->>'action', ''), detail->>'client'
FROM events
WHERE kind = 'policy' AND detail->>'event' = 'decision' AND detail->>'rule' = 'quota' AND detail->>'credential' <> '';
COMMENT ON VIEW security_events IS 'Bad logins, relay attempts, full quotas, and what policy service and hosts call an incident.';

-- Rights ------------------------------------------------------------------------------------------------------------------

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO ledger_writer, ledger_reader, ledger_operator;

GRANT SELECT, INSERT, UPDATE ON sources, unknown_lines TO ledger_writer;
GRANT SELECT ON seal_keys TO ledger_writer;
GRANT INSERT ON messages, deliveries, events, bounces, complaints, unclassified_mails TO ledger_writer;
-- ON CONFLICT reads the column that it finds the row by, and nothing else.
GRANT SELECT (dedupe) ON bounces, complaints, unclassified_mails TO ledger_writer;
GRANT EXECUTE ON FUNCTION domain_of(text) TO ledger_writer, ledger_reader, ledger_operator;
-- A view's functions are called as whoever asks it.
GRANT EXECUTE ON FUNCTION goes_out(text, text), unsummed_since(text), unsummed_traffic(), reply_shape(text), delay_bucket(real), delay_of(smallint)
  TO ledger_reader, ledger_operator;
GRANT EXECUTE ON FUNCTION subject(text), subject_numbers(text[]), find_subjects(bytea[]),
  add_subjects(smallint, bytea[], text[], integer[], bytea[]), make_day(date), make_days(integer),
  open_messages(integer, timestamptz), change_messages(integer, jsonb),
  advance_messages(integer, bigint[], bigint[], bigint[], integer[]) TO ledger_writer;

GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO ledger_reader, ledger_operator;
REVOKE SELECT ON subjects, names FROM ledger_reader;
GRANT SELECT (id, domain, lookup, lookup_key, first_seen, erased_at) ON subjects TO ledger_reader;
-- The content is somebody's letter: only the owner reads it.
REVOKE SELECT ON unclassified_mails FROM ledger_reader, ledger_operator;
GRANT SELECT (id, received_at, host, kind, envelope_to, report_message_id, size) ON unclassified_mails
  TO ledger_reader, ledger_operator;
GRANT EXECUTE ON FUNCTION record_audit(jsonb) TO ledger_operator;
GRANT INSERT ON acknowledgements TO ledger_operator;
GRANT EXECUTE ON FUNCTION erase_subject(smallint, bytea[], text, smallint[], bytea[]) TO ledger_operator;

SELECT make_days(7);
RESET ROLE;
