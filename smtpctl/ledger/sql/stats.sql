SELECT coalesce(stream, '-') AS stream, coalesce(provider, '-') AS provider, status, count(*) AS attempts,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY delay) AS delay_median,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY delay) AS delay_p99
FROM ledger.deliveries
WHERE at >= %(since)s
GROUP BY 1, 2, 3 ORDER BY 4 DESC
