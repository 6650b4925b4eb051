-- With recipients, without what was decided about others. At DATA Postfix logs one recipient and means all.
SELECT events.id, at, host, instance, kind, message, sender.name AS sender, recipient.name AS recipient, detail
FROM ledger.events
LEFT JOIN ledger.names AS sender ON sender.id = events.sender
LEFT JOIN ledger.names AS recipient ON recipient.id = events.recipient
WHERE message = ANY (%(messages)s)
  AND (%(recipients)s::bigint[] IS NULL OR events.recipient IS NULL OR events.recipient = ANY (%(recipients)s)
       OR detail ->> 'stage' <> 'RCPT')
