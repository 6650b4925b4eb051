-- Queue ids and Message-IDs are only asked for whole. A hash finds them as well as a b-tree, and takes in a row for half.
SET ROLE ledger_owner;
SET search_path = ledger, pg_catalog;

DROP INDEX messages_queue_id, messages_message_id;
CREATE INDEX messages_queue_id ON messages USING hash (queue_id);
CREATE INDEX messages_message_id ON messages USING hash (message_id);
RESET ROLE;
