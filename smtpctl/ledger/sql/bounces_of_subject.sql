SELECT * FROM ledger.bounces WHERE recipient = %(subject)s ORDER BY received_at
