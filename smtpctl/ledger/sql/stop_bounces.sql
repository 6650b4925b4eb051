SELECT bounces.id, received_at, host, names.name AS recipient, reporting_mta, remote_mta, action, status,
       diagnostic, hardness, category, original_message_id, original_queue_id
FROM ledger.bounces LEFT JOIN ledger.names ON names.id = bounces.recipient
WHERE (original_message_id = ANY (%(message_ids)s) OR original_queue_id = ANY (%(queue_ids)s))
  AND (%(recipients)s::bigint[] IS NULL OR recipient IS NULL OR recipient = ANY (%(recipients)s))
ORDER BY received_at
