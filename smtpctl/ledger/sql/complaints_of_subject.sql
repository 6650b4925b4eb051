SELECT * FROM ledger.complaints WHERE recipient = %(subject)s ORDER BY received_at
