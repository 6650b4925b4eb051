-- A queue id in a reply is only what the other side says: it counts when a message with that id and the same Message-ID
-- began about then on another instance. Clocks of hosts may differ by minutes.
SELECT deliveries.id AS delivery, deliveries.message, following.id AS next
FROM ledger.deliveries
JOIN ledger.messages ON messages.id = deliveries.message
JOIN ledger.messages AS following
  ON following.queue_id = deliveries.queued_as AND following.message_id = messages.message_id
  AND (following.host, following.instance) <> (messages.host, messages.instance)
  AND following.started_at BETWEEN deliveries.at - interval '10 minutes' AND deliveries.at + interval '5 minutes'
WHERE deliveries.message = ANY (%(messages)s)
  AND deliveries.id = ANY (%(deliveries)s) AND deliveries.queued_as IS NOT NULL
