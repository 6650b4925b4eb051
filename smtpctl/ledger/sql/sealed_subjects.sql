SELECT lookup, public, sealed FROM ledger.subjects JOIN ledger.seal_keys ON seal_keys.id = seal_key
WHERE lookup = ANY (%(hashes)s)
