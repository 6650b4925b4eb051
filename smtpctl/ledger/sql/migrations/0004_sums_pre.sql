-- Sums of closed hours, and indexes: for the order in which rows came and their time, for
-- whom an alias led from, for the age of subjects.
SET ROLE ledger_owner;
SET search_path = ledger, pg_catalog;

DROP INDEX deliveries_id, events_id;
CREATE INDEX deliveries_order ON deliveries USING brin (id int8_minmax_multi_ops, at);
CREATE INDEX deliveries_original ON deliveries (original_recipient, at) WHERE original_recipient IS NOT NULL;
CREATE INDEX subjects_first_seen ON subjects USING brin (first_seen);
CREATE INDEX events_order ON events USING brin (id int8_minmax_multi_ops, at);

CREATE TABLE summed (
  source   integer PRIMARY KEY,
  next_id  bigint NOT NULL
);
COMMENT ON TABLE summed IS 'Attempts of a source whose id is below next_id are in the sums.';

CREATE TABLE summed_before (
  before  timestamptz NOT NULL
);
COMMENT ON TABLE summed_before IS 'One row: views look for attempts that are in no sum from this moment on.';

CREATE TABLE traffic_sums (
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

CREATE TABLE domain_sums (
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

CREATE TABLE failure_sums (
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

CREATE TABLE delay_sums (
  hour       timestamptz NOT NULL,
  stream     text,
  provider   text,
  bucket     smallint NOT NULL,
  delivered  bigint NOT NULL,
  CONSTRAINT delay_sums_key UNIQUE NULLS NOT DISTINCT (hour, stream, provider, bucket)
);
COMMENT ON TABLE delay_sums IS 'Deliveries by hour and rounded delay, for the views delays and latencies.';

CREATE TABLE leaving (
  subject  bigint PRIMARY KEY
);
COMMENT ON TABLE leaving IS 'Subjects whom a row named that retention removed; perhaps nothing names them any more.';

RESET ROLE;
