-- Attempts towards the outside since a moment: what hosts hand to each other is left out, so a recipient counts once.
SELECT coalesce(stream, '-') AS stream, coalesce(provider, '-') AS provider, status, count(*) AS attempts,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY delay) AS delay_median,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY delay) AS delay_p99
FROM ledger.outgoing
WHERE at >= %(since)s AND provider IS NOT NULL
GROUP BY 1, 2, 3
