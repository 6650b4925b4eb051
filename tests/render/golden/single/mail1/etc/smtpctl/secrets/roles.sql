-- Rendered by smtpctl from the inventory of fleet single. Change it there, then: smtpctl apply
-- Login roles: one a daemon and host, so that one host's password opens nothing of another's. Verifiers, not passwords.
SELECT 'CREATE ROLE writer_mail1 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'writer_mail1') \gexec
ALTER ROLE writer_mail1 LOGIN PASSWORD 'PLACEHOLDER(database/writer_mail1/verifier)';
GRANT ledger_writer TO writer_mail1;

SELECT 'CREATE ROLE policy_mail1 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'policy_mail1') \gexec
ALTER ROLE policy_mail1 LOGIN PASSWORD 'PLACEHOLDER(database/policy_mail1/verifier)';
GRANT quota_user TO policy_mail1;

SELECT 'CREATE ROLE feedback_mail1 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'feedback_mail1') \gexec
ALTER ROLE feedback_mail1 LOGIN PASSWORD 'PLACEHOLDER(database/feedback_mail1/verifier)';
GRANT ledger_writer TO feedback_mail1;

SELECT 'CREATE ROLE reader LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') \gexec
ALTER ROLE reader LOGIN PASSWORD 'PLACEHOLDER(database/reader/verifier)';
GRANT ledger_reader TO reader;

SELECT 'CREATE ROLE operator LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'operator') \gexec
ALTER ROLE operator LOGIN PASSWORD 'PLACEHOLDER(database/operator/verifier)';
GRANT ledger_operator, quota_user TO operator;

REVOKE ALL ON DATABASE smtpctl FROM PUBLIC;
GRANT CONNECT ON DATABASE smtpctl TO ledger_writer, ledger_reader, ledger_operator, quota_user;
