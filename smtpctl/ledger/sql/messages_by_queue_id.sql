SELECT id FROM ledger.messages WHERE queue_id = %(wanted)s ORDER BY started_at DESC LIMIT %(last)s
