-- How keys stand: all of them, or those whose name contains a text; those with nothing to say are left out.
SELECT b.key, b.tat, b.held + b.held_before, b.lag, n.now, quota.lag_at(n.now, %(processes)s::integer)
  FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000 AS now) n,
       quota.bucket b
 WHERE position(%(part)s::text IN b.key) > 0
   AND (b.tat > n.now - 86400000000000 OR b.held + b.held_before > 0)
 ORDER BY b.key
 LIMIT 1000
