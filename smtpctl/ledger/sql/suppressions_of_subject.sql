SELECT * FROM ledger.suppressions WHERE recipient = %(subject)s ORDER BY since
