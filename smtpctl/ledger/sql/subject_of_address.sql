SELECT id FROM ledger.subjects WHERE address = lower(%(wanted)s)
