SELECT message FROM (
  SELECT message, max(at) AS latest FROM ledger.deliveries
  WHERE recipient = %(wanted)s OR original_recipient = %(wanted)s
  GROUP BY message ORDER BY latest DESC LIMIT %(last)s * 10) AS found
ORDER BY latest DESC
