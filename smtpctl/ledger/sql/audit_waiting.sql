-- The messages that are in the queues, as far as the ledger knows.
SELECT host, instance, queue_id
FROM ledger.messages
WHERE ended_at IS NULL AND (activations > 0 OR message_id IS NOT NULL)
