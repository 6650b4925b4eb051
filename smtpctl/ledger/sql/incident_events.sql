SELECT at, host, instance, severity, client, text FROM ledger.security_events
WHERE kind = %(kind)s AND subject = %(subject)s AND at >= %(since)s
ORDER BY at DESC, id DESC LIMIT %(last)s
