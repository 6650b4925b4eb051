SELECT id,
       (extract(epoch FROM started_at - '2000-01-01 00:00:00Z') * 1000000)::bigint AS started_at,
       (extract(epoch FROM ended_at - '2000-01-01 00:00:00Z') * 1000000)::bigint AS ended_at,
       instance, queue_id, origin, pool, stream, activations, identified, parent, end_kind
FROM ledger.open_messages(%(source)s, %(ended_after)s)
