-- Take off what messages were charged that were not sent, unless the word comes too late. Rows are locked in their order.
WITH given AS (
  SELECT * FROM unnest(%(keys)s::text[], %(nanoseconds)s::bigint[], %(not_after)s::bigint[])
    AS g (key, nanoseconds, not_after)
), locked AS (
  SELECT b.key FROM quota.bucket b WHERE b.key = ANY (%(keys)s::text[]) ORDER BY b.key FOR UPDATE
)
UPDATE quota.bucket b
   SET tat = b.tat - t.nanoseconds
  FROM (SELECT g.key, sum(g.nanoseconds)::bigint AS nanoseconds
          FROM given g JOIN locked l ON l.key = g.key
         WHERE (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000 <= g.not_after
         GROUP BY g.key) t
 WHERE b.key = t.key
