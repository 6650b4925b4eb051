SELECT id FROM ledger.subjects WHERE address = %(wanted)s OR lookup = ANY (%(hashes)s)
