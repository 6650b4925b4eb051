-- What became of what each instance took in since a moment, and of all that it still has. A message that left the queue
-- has attempts; one whose end no line told, or that left without any attempt, is not accounted for.
SELECT host, instance, outcome, count(*) AS messages
FROM (
  SELECT messages.host, messages.instance,
         CASE
           WHEN ended_at IS NULL AND activations = 0 AND message_id IS NULL THEN 'arriving'
           WHEN ended_at IS NULL THEN 'in queue'
           WHEN end_kind IN ('rejected', 'aborted', 'canceled') THEN 'refused'
           WHEN end_kind IN ('expired', 'force-expired') THEN 'expired'
           WHEN end_kind IN ('discarded', 'deleted', 'requeued') THEN end_kind
           WHEN end_kind = 'removed' THEN coalesce(attempts.outcome, 'not accounted for')
           ELSE 'not accounted for'
         END AS outcome
  FROM ledger.messages
  LEFT JOIN LATERAL (
    SELECT CASE WHEN bool_or(status IN ('bounced', 'undeliverable')) THEN 'bounced' ELSE 'delivered' END AS outcome
    FROM ledger.deliveries
    WHERE message = messages.id AND at >= messages.started_at - interval '1 minute'
    HAVING count(*) > 0
  ) AS attempts ON end_kind = 'removed'
  WHERE messages.started_at >= %(since)s OR messages.ended_at IS NULL
) AS accepted
GROUP BY host, instance, outcome
ORDER BY host, instance, outcome
