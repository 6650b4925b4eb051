-- Who has seen an incident, when, and what came of it.
SET ROLE ledger_owner;
SET search_path = ledger, pg_catalog;

CREATE TABLE acknowledgements (
  kind     text NOT NULL,
  subject  text NOT NULL,
  at       timestamptz NOT NULL DEFAULT now(),
  who      text NOT NULL,
  why      text NOT NULL,
  PRIMARY KEY (kind, subject, at)
);
COMMENT ON TABLE acknowledgements IS 'Who has seen an incident; it is open again when it happens after that.';
RESET ROLE;
