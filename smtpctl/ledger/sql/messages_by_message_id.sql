SELECT id FROM ledger.messages WHERE message_id = %(wanted)s ORDER BY started_at DESC LIMIT %(last)s * 10
