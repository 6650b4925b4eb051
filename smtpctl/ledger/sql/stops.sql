SELECT messages.id, started_at, ended_at, host, instance, queue_id, origin, role, pool, stream, credential, client_name,
       client_address, message_id,
       CASE WHEN sender_domain = '' AND messages.sender IS NULL THEN '' ELSE names.name END AS sender,
       sender_domain, size, recipients, activations, first_active_at, parent, parent_kind, end_kind
FROM ledger.messages LEFT JOIN ledger.names ON names.id = messages.sender
WHERE messages.id = ANY (%(messages)s)
