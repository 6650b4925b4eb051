SELECT coalesce({what}::text, '-') AS what, sum(attempts)::bigint AS attempts,
       coalesce(sum(attempts) FILTER (WHERE status = 'sent'), 0)::bigint AS sent,
       coalesce(sum(attempts) FILTER (WHERE status = 'deferred'), 0)::bigint AS deferred,
       coalesce(sum(attempts) FILTER (WHERE status NOT IN ('sent', 'deferred')), 0)::bigint AS failed
FROM {view}
WHERE hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC')
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(rows)s
