-- The next attempts between two moments, the latest first: what stands before (at, id) of the last row before them.
-- Who is looked for is found by indexes: rows of a person, of the people of a domain, or of messages that somebody sent or
-- submitted then.
-- Messages are looked for where they can have begun: a queue keeps them for days.
SELECT deliveries.id, deliveries.at, deliveries.host, deliveries.instance, messages.queue_id, messages.message_id,
       messages.credential, deliveries.stream, deliveries.pool, names.name AS recipient, deliveries.domain, provider,
       transport, relay_name, status, dsn, reply_code, delay, hardness, category, reply
FROM ledger.deliveries
JOIN ledger.names ON names.id = deliveries.recipient
LEFT JOIN ledger.messages
  ON messages.id = deliveries.message
  AND messages.started_at BETWEEN %(known_since)s AND %(known_until)s
WHERE deliveries.at >= %(since)s AND deliveries.at < %(until)s
  AND (%(before_at)s::timestamptz IS NULL OR (deliveries.at, deliveries.id) < (%(before_at)s, %(before_id)s::bigint))
  AND (%(subject)s::bigint IS NULL OR deliveries.recipient = %(subject)s OR deliveries.original_recipient = %(subject)s
       OR deliveries.message = ANY (ARRAY (
         SELECT id FROM ledger.messages WHERE sender = %(subject)s
           AND started_at BETWEEN %(known_since)s AND %(known_until)s)))
  AND (%(domain)s::text IS NULL OR deliveries.domain = lower(%(domain)s))
  AND (%(people)s::bigint[] IS NULL OR deliveries.recipient = ANY (%(people)s))
  AND (%(stream)s::text IS NULL OR deliveries.stream = %(stream)s)
  AND (%(provider)s::text IS NULL OR deliveries.provider = %(provider)s)
  AND (%(status)s::text IS NULL OR deliveries.status = %(status)s)
  AND (%(category)s::text IS NULL OR deliveries.category = %(category)s)
  AND (%(text)s::text IS NULL OR strpos(lower(deliveries.reply), lower(%(text)s)) > 0)
  AND (%(credential)s::text IS NULL OR messages.credential = %(credential)s
       OR EXISTS (SELECT FROM ledger.messages AS submitted
                  WHERE submitted.message_id = messages.message_id AND submitted.credential = %(credential)s
                    AND submitted.started_at BETWEEN %(known_since)s AND %(known_until)s))
ORDER BY deliveries.at DESC, deliveries.id DESC LIMIT %(rows)s
