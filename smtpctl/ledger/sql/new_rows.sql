SELECT deliveries.id, deliveries.at, deliveries.host, deliveries.instance, messages.queue_id, messages.message_id,
       deliveries.stream, names.name AS recipient, provider, transport, relay_name, status, dsn, delay, reply,
       hardness, category
FROM ledger.deliveries
JOIN ledger.names ON names.id = deliveries.recipient
LEFT JOIN ledger.messages ON messages.id = deliveries.message
WHERE deliveries.id BETWEEN %(first)s AND %(last)s
UNION ALL
SELECT events.id, events.at, events.host, events.instance, coalesce(messages.queue_id, 'NOQUEUE'), messages.message_id,
       NULL, names.name, NULL, events.detail ->> 'stage', events.detail ->> 'client', events.kind,
       events.detail ->> 'status', NULL, coalesce(events.detail ->> 'text', events.detail ->> 'action'), NULL, NULL
FROM ledger.events
LEFT JOIN ledger.names ON names.id = events.recipient
LEFT JOIN ledger.messages ON messages.id = events.message
WHERE events.id BETWEEN %(first)s AND %(last)s
  AND events.kind IN ('reject', 'milter-reject', 'hold', 'discard', 'milter-discard', 'policy', 'incident', 'sasl-failed', 'gap')
