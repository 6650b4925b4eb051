-- Hours that hold attempts of a kind, the latest first, and how many: from the sums, and of what is in none yet from the
-- rows, whenever they were. OFFSET keeps the planner from looking for the kind first, and for the numbers then.
SELECT hour, sum(attempts)::bigint AS attempts
FROM (
  SELECT hour, attempts, stream, provider, status, category FROM ledger.route_sums
  UNION ALL
  SELECT date_trunc('hour', at, 'UTC'), 1, stream, provider, status, category
  FROM ledger.sources LEFT JOIN ledger.summed ON summed.source = sources.id AND kind = 'routes',
    LATERAL (SELECT at, stream, provider, status, category FROM ledger.deliveries
             WHERE deliveries.id >= coalesce(next_id, sources.id::bigint << 40)
               AND deliveries.id < (sources.id::bigint + 1) << 40 OFFSET 0) AS unsummed) AS counted
WHERE hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC') AND hour < %(until)s
  AND (%(stream)s::text IS NULL OR stream = %(stream)s)
  AND (%(provider)s::text IS NULL OR provider = %(provider)s)
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(category)s::text IS NULL OR category = %(category)s)
GROUP BY hour ORDER BY hour DESC
