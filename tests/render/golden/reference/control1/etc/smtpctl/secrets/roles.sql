-- Rendered by smtpctl from the inventory of fleet reference. Change it there, then: smtpctl apply
-- Login roles: one a daemon and host, so that one host's password opens nothing of another's. Verifiers, not passwords.
SELECT 'CREATE ROLE writer_edge1 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'writer_edge1') \gexec
ALTER ROLE writer_edge1 LOGIN PASSWORD 'PLACEHOLDER(database/writer_edge1/verifier)';
GRANT ledger_writer TO writer_edge1;

SELECT 'CREATE ROLE policy_edge1 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'policy_edge1') \gexec
ALTER ROLE policy_edge1 LOGIN PASSWORD 'PLACEHOLDER(database/policy_edge1/verifier)';
GRANT quota_user TO policy_edge1;

SELECT 'CREATE ROLE writer_edge2 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'writer_edge2') \gexec
ALTER ROLE writer_edge2 LOGIN PASSWORD 'PLACEHOLDER(database/writer_edge2/verifier)';
GRANT ledger_writer TO writer_edge2;

SELECT 'CREATE ROLE policy_edge2 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'policy_edge2') \gexec
ALTER ROLE policy_edge2 LOGIN PASSWORD 'PLACEHOLDER(database/policy_edge2/verifier)';
GRANT quota_user TO policy_edge2;

SELECT 'CREATE ROLE writer_relay1 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'writer_relay1') \gexec
ALTER ROLE writer_relay1 LOGIN PASSWORD 'PLACEHOLDER(database/writer_relay1/verifier)';
GRANT ledger_writer TO writer_relay1;

SELECT 'CREATE ROLE writer_relay2 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'writer_relay2') \gexec
ALTER ROLE writer_relay2 LOGIN PASSWORD 'PLACEHOLDER(database/writer_relay2/verifier)';
GRANT ledger_writer TO writer_relay2;

SELECT 'CREATE ROLE writer_feedback1 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'writer_feedback1') \gexec
ALTER ROLE writer_feedback1 LOGIN PASSWORD 'PLACEHOLDER(database/writer_feedback1/verifier)';
GRANT ledger_writer TO writer_feedback1;

SELECT 'CREATE ROLE feedback_feedback1 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'feedback_feedback1') \gexec
ALTER ROLE feedback_feedback1 LOGIN PASSWORD 'PLACEHOLDER(database/feedback_feedback1/verifier)';
GRANT ledger_writer TO feedback_feedback1;

SELECT 'CREATE ROLE writer_control1 LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'writer_control1') \gexec
ALTER ROLE writer_control1 LOGIN PASSWORD 'PLACEHOLDER(database/writer_control1/verifier)';
GRANT ledger_writer TO writer_control1;

SELECT 'CREATE ROLE reader LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') \gexec
ALTER ROLE reader LOGIN PASSWORD 'PLACEHOLDER(database/reader/verifier)';
GRANT ledger_reader TO reader;

SELECT 'CREATE ROLE operator LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'operator') \gexec
ALTER ROLE operator LOGIN PASSWORD 'PLACEHOLDER(database/operator/verifier)';
GRANT ledger_operator, quota_user TO operator;

REVOKE ALL ON DATABASE smtpctl FROM PUBLIC;
GRANT CONNECT ON DATABASE smtpctl TO ledger_writer, ledger_reader, ledger_operator, quota_user;
