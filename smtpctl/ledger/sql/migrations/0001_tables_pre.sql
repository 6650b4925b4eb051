-- The tables of the first version. May run on a database that has them: it was made before migrations were counted.
DO $$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['ledger_owner', 'ledger_writer', 'ledger_reader'] LOOP
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
-- An address stands here and nowhere else; every other table names it by its number. The domain is in clear, for
-- statistics; `lookup` is a hash under the key numbered `lookup_key`, once addresses are sealed.

CREATE TABLE IF NOT EXISTS subjects (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  address     text NOT NULL UNIQUE,
  domain      text NOT NULL,
  lookup      bytea UNIQUE,
  lookup_key  smallint,
  first_seen  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS subjects_domain ON subjects (domain);
COMMENT ON TABLE subjects IS 'Every address once: recipients, senders, report addresses. Lower case.';

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
ALTER TABLE sources ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now();
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
CREATE INDEX IF NOT EXISTS messages_queue_id ON messages (queue_id);
CREATE INDEX IF NOT EXISTS messages_message_id ON messages (message_id);
CREATE INDEX IF NOT EXISTS messages_sender ON messages (sender) WHERE sender IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_parent ON messages (parent) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_open ON messages (source) WHERE ended_at IS NULL;
DROP INDEX IF EXISTS messages_ended;
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
-- and is given once: no b-tree has to prove it for every row.
ALTER TABLE deliveries DROP CONSTRAINT IF EXISTS deliveries_pkey;
CREATE INDEX IF NOT EXISTS deliveries_id ON deliveries USING brin (id);
CREATE INDEX IF NOT EXISTS deliveries_message ON deliveries (message);
CREATE INDEX IF NOT EXISTS deliveries_recipient ON deliveries (recipient, at);
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
ALTER TABLE events DROP CONSTRAINT IF EXISTS events_pkey;
CREATE INDEX IF NOT EXISTS events_id ON events USING brin (id);
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
