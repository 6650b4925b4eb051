-- The next attempts between two moments, the latest first: what stands before (at, id) of the last row before them.
-- Who is looked for is found by indexes: rows of a person, of the people of a domain, or of messages that somebody sent or
-- submitted then.
-- Messages are looked for where they can have begun: a queue keeps them for days. Only of the rows of the page, unless they
-- say which rows these are.
SELECT found.id, found.at, found.host, found.instance, messages.queue_id, messages.message_id, messages.credential,
       found.stream, found.pool, names.name AS recipient, found.domain, provider, transport, relay_name, status, dsn,
       reply_code, delay, hardness, category, reply
FROM (
  SELECT * FROM ledger.deliveries
  WHERE at >= %(since)s AND at < %(until)s
    AND (%(before_at)s::timestamptz IS NULL OR (at, id) < (%(before_at)s, %(before_id)s::bigint))
    AND (%(subject)s::bigint IS NULL OR recipient = %(subject)s OR original_recipient = %(subject)s
         OR message = ANY (ARRAY (
           SELECT id FROM ledger.messages WHERE sender = %(subject)s
             AND started_at BETWEEN %(known_since)s AND %(known_until)s)))
    AND (%(domain)s::text IS NULL OR domain = lower(%(domain)s))
    AND (%(people)s::bigint[] IS NULL OR recipient = ANY (%(people)s))
    AND (%(stream)s::text IS NULL OR stream = %(stream)s)
    AND (%(provider)s::text IS NULL OR provider = %(provider)s)
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(category)s::text IS NULL OR category = %(category)s)
    AND (%(text)s::text IS NULL OR strpos(lower(reply), lower(%(text)s)) > 0)
  ORDER BY at DESC, id DESC LIMIT CASE WHEN %(credential)s::text IS NULL THEN %(rows)s::bigint END) AS found
JOIN ledger.names ON names.id = found.recipient
LEFT JOIN ledger.messages
  ON messages.id = found.message
  AND messages.started_at BETWEEN %(known_since)s AND %(known_until)s
WHERE %(credential)s::text IS NULL OR messages.credential = %(credential)s
  OR EXISTS (SELECT FROM ledger.messages AS submitted
             WHERE submitted.message_id = messages.message_id AND submitted.credential = %(credential)s
               AND submitted.started_at BETWEEN %(known_since)s AND %(known_until)s)
ORDER BY found.at DESC, found.id DESC LIMIT %(rows)s
