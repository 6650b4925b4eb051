-- The same from the other end.
SELECT deliveries.id AS delivery, deliveries.message, following.id AS next
FROM ledger.messages AS following
JOIN ledger.deliveries ON deliveries.queued_as = following.queue_id
  AND following.started_at BETWEEN deliveries.at - interval '10 minutes' AND deliveries.at + interval '5 minutes'
JOIN ledger.messages ON messages.id = deliveries.message AND messages.message_id = following.message_id
  AND (following.host, following.instance) <> (messages.host, messages.instance)
WHERE following.id = ANY (%(messages)s)
  AND (%(recipients)s::bigint[] IS NULL OR deliveries.recipient = ANY (%(recipients)s)
       OR deliveries.original_recipient = ANY (%(recipients)s))
