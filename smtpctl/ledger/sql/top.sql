SELECT coalesce({what}::text, '-') AS what, count(*) AS attempts, count(*) FILTER (WHERE status = 'sent') AS sent,
       count(*) FILTER (WHERE status = 'deferred') AS deferred,
       count(*) FILTER (WHERE status NOT IN ('sent', 'deferred')) AS failed
FROM ledger.outgoing
WHERE at >= %(since)s AND (%(failed)s IS FALSE OR status <> 'sent')
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(rows)s
