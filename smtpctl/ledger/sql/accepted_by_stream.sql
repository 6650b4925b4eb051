-- Messages that applications submitted since a moment, by stream. What was refused before its end was never accepted.
SELECT coalesce(stream, '-') AS stream, count(*) AS messages FROM ledger.messages
WHERE started_at >= %(since)s AND role = 'submission' AND credential IS NOT NULL
  AND (end_kind IS NULL OR end_kind NOT IN ('rejected', 'aborted', 'canceled'))
GROUP BY 1
