SELECT coalesce({what}::text, '-') AS what, sum(delivered + deferred + bounced)::bigint AS attempts, sum(delivered)::bigint AS sent,
       sum(deferred)::bigint AS deferred, sum(bounced)::bigint AS failed
FROM {view}
WHERE day >= date_trunc('day', %(since)s::timestamptz, 'UTC')
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(rows)s
