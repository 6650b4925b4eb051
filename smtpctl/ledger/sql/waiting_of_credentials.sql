-- A relay's queue file does not say who submitted the message: the way that it came does. Both the queue id that the
-- relay gave and the Message-ID have to agree, since either alone is somebody else's to choose.
SELECT waiting.host, waiting.instance, waiting.queue_id
FROM ledger.messages AS waiting
JOIN ledger.deliveries ON deliveries.queued_as = waiting.queue_id
  AND waiting.started_at BETWEEN deliveries.at - interval '10 minutes' AND deliveries.at + interval '5 minutes'
JOIN ledger.messages AS submitted
  ON submitted.id = deliveries.message AND submitted.message_id = waiting.message_id
WHERE waiting.ended_at IS NULL AND waiting.role = 'relay' AND submitted.credential = ANY (%(credentials)s)
