SELECT id FROM ledger.messages WHERE sender = %(wanted)s ORDER BY started_at DESC LIMIT %(last)s
