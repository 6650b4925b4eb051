-- Sums by host and source address, by next hop, and of a domain's failures. They are a kind of sums of their own: what is in
-- the older ones already comes into these with the next maintenance, and until then their views read the rows.
SET ROLE ledger_owner;
SET search_path = ledger, pg_catalog;

ALTER TABLE summed ADD COLUMN kind text NOT NULL DEFAULT 'traffic';
ALTER TABLE summed ALTER COLUMN kind DROP DEFAULT, DROP CONSTRAINT summed_pkey, ADD PRIMARY KEY (source, kind);
COMMENT ON TABLE summed IS 'Attempts of a source whose id is below next_id are in the sums of that kind: traffic or routes.';
ALTER TABLE summed_before ADD COLUMN kind text PRIMARY KEY DEFAULT 'traffic';
ALTER TABLE summed_before ALTER COLUMN kind DROP DEFAULT;
COMMENT ON TABLE summed_before IS 'Views look for attempts that are in no sum of that kind from this moment on.';

CREATE TABLE route_sums (
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

CREATE TABLE relay_sums (
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

CREATE TABLE domain_failure_sums (
  day       timestamptz NOT NULL,
  domain    text NOT NULL,
  status    text NOT NULL,
  category  text,
  dsn       text,
  attempts  bigint NOT NULL,
  CONSTRAINT domain_failure_sums_key UNIQUE NULLS NOT DISTINCT (domain, day, status, category, dsn)
);
COMMENT ON TABLE domain_failure_sums IS 'Failed attempts by day (UTC) and domain, for the view domain_failures.';
RESET ROLE;
