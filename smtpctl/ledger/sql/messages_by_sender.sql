-- The envelope sender may have been rewritten on the way in; the decisions before that name the original one.
SELECT message FROM (
  SELECT id AS message, started_at AS at FROM ledger.messages WHERE sender = %(wanted)s
  UNION
  SELECT message, at FROM ledger.events WHERE sender = %(wanted)s AND message IS NOT NULL) AS found
GROUP BY message ORDER BY max(at) DESC LIMIT %(last)s
