-- Attempts towards the outside; with the delay of those that were sent, within 5 percent.
WITH spent AS (
  SELECT stream, provider, seconds, sum(sum(delivered)) OVER (rising) AS running,
         sum(sum(delivered)) OVER (PARTITION BY stream, provider) AS total
  FROM ledger.delays WHERE hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC')
  GROUP BY stream, provider, seconds WINDOW rising AS (PARTITION BY stream, provider ORDER BY seconds)),
percentiles AS (
  SELECT stream, provider, min(seconds) FILTER (WHERE running >= 0.5 * total) AS median,
         min(seconds) FILTER (WHERE running >= 0.99 * total) AS p99
  FROM spent GROUP BY 1, 2)
SELECT coalesce(hourly.stream, '-') AS stream, coalesce(hourly.provider, '-') AS provider, status,
       sum(attempts)::bigint AS attempts, max(median) AS delay_median, max(p99) AS delay_p99
FROM ledger.hourly LEFT JOIN percentiles
  ON status = 'sent' AND (percentiles.stream, percentiles.provider) IS NOT DISTINCT FROM (hourly.stream, hourly.provider)
WHERE hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC')
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
