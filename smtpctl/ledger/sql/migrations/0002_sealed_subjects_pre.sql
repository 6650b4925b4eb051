-- Addresses may be sealed: keys to seal under, capsules, what is erased. When what was last removed by age.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ledger_operator') THEN
    CREATE ROLE ledger_operator NOLOGIN;
  END IF;
END
$$;
SET ROLE ledger_owner;
SET search_path = ledger, pg_catalog;

CREATE TABLE seal_keys (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  bucket      smallint NOT NULL,
  public      bytea NOT NULL,
  made_at     timestamptz NOT NULL DEFAULT now(),
  retired_at  timestamptz
);
CREATE UNIQUE INDEX seal_keys_bucket ON seal_keys (bucket) WHERE retired_at IS NULL;
COMMENT ON TABLE seal_keys IS 'Public keys that hosts seal new addresses under, one a bucket. Private halves are never in a database.';

ALTER TABLE subjects
  ALTER COLUMN address DROP NOT NULL,
  ADD COLUMN sealed bytea,
  ADD COLUMN seal_key integer REFERENCES seal_keys,
  ADD COLUMN erased_at timestamptz,
  ADD CONSTRAINT subjects_known CHECK (address IS NOT NULL OR lookup IS NOT NULL AND lookup_key IS NOT NULL);
CREATE INDEX subjects_seal_key ON subjects (seal_key) WHERE seal_key IS NOT NULL;
COMMENT ON COLUMN subjects.address IS 'In clear; null in a private ledger.';
COMMENT ON COLUMN subjects.lookup IS 'Keyed hash of the address; what remains of one that was erased.';
COMMENT ON COLUMN subjects.sealed IS 'The address under a key of its own; null when it was erased.';

CREATE TABLE retention (
  class    text PRIMARY KEY,
  kept     interval NOT NULL,
  ran_at   timestamptz NOT NULL,
  removed  bigint NOT NULL
);
COMMENT ON TABLE retention IS 'When what was last removed by age, one row a class; removed counts partitions or rows.';

-- The address is the operators' to read.
REVOKE SELECT ON subjects FROM ledger_reader;
DROP FUNCTION IF EXISTS drop_days(interval);
RESET ROLE;
