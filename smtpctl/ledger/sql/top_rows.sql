SELECT coalesce({what}::text, '-') AS what, count(*) AS attempts, count(*) FILTER (WHERE status = 'sent') AS sent,
       count(*) FILTER (WHERE status = 'deferred') AS deferred,
       count(*) FILTER (WHERE status NOT IN ('sent', 'deferred')) AS failed
FROM {view}
WHERE at >= %(since)s
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(rows)s
