SELECT id, host, log, generation, position, next_row, lines, last_at, updated_at FROM ledger.sources ORDER BY host, log
