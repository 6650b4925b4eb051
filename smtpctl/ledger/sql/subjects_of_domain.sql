SELECT id FROM ledger.subjects WHERE domain = lower(%(domain)s) LIMIT %(most)s
