-- Security events since a moment as incidents: all of one kind about one subject. An incident is open when one of its
-- events came after the last acknowledgement, and its numbers count what came since then.
WITH seen AS (
  SELECT DISTINCT ON (kind, subject) kind, subject, at, who, why FROM ledger.acknowledgements
  ORDER BY kind, subject, at DESC
)
SELECT substr(md5(kind || ' ' || subject), 1, 8) AS id, kind, subject, bool_or(seen.at IS NULL OR events.at > seen.at) AS open,
       count(*) FILTER (WHERE seen.at IS NULL OR events.at > seen.at) AS events, count(*) AS events_in_all,
       array_agg(DISTINCT severity) AS severities, array_agg(DISTINCT host) AS hosts, min(events.at) AS first_at,
       max(events.at) AS last_at, (array_agg(text ORDER BY events.at DESC))[1] AS text,
       min(seen.at) AS acknowledged_at, min(seen.who) AS acknowledged_by, min(seen.why) AS acknowledged_why
FROM ledger.security_events AS events LEFT JOIN seen USING (kind, subject)
WHERE events.at >= %(since)s
GROUP BY kind, subject
ORDER BY last_at DESC
