-- With recipients only their deliveries, also where they are what an alias led from.
SELECT deliveries.id, at, message, names.name AS recipient, original.name AS original_recipient,
       deliveries.domain, provider, transport, source_address, relay_name, relay_address, relay_port, delay, delay_queue,
       delay_manager, delay_connect, delay_transfer, tls, status, dsn, reply_code, reply, queued_as, hardness, category,
       deliveries.recipient AS recipient_number
FROM ledger.deliveries
JOIN ledger.names ON names.id = deliveries.recipient
LEFT JOIN ledger.names AS original ON original.id = deliveries.original_recipient
WHERE message = ANY (%(messages)s)
  AND (%(recipients)s::bigint[] IS NULL OR recipient = ANY (%(recipients)s) OR original_recipient = ANY (%(recipients)s))
