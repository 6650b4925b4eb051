SELECT events.id, at, host, instance, kind, message, sender.name AS sender, recipient.name AS recipient, detail
FROM ledger.events
LEFT JOIN ledger.names AS sender ON sender.id = events.sender
LEFT JOIN ledger.names AS recipient ON recipient.id = events.recipient
WHERE (events.recipient = %(subject)s OR events.sender = %(subject)s) AND message IS NULL
ORDER BY at DESC LIMIT %(last)s
