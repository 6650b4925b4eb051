-- What the policy service refused or put off of a credential since a moment, the latest first.
SELECT at, host, instance, detail FROM ledger.events
WHERE kind = 'policy' AND at >= %(since)s AND detail->>'credential' = %(credential)s AND detail->>'event' = 'decision'
ORDER BY at DESC LIMIT %(last)s
