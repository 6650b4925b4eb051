INSERT INTO ledger.unknown_lines AS known (source, shape, count, sample, first_at, last_at)
VALUES (%(source)s, %(shape)s, %(count)s, %(sample)s, %(at)s, %(at)s)
ON CONFLICT (source, shape) DO UPDATE
SET count = known.count + EXCLUDED.count, sample = EXCLUDED.sample, last_at = greatest(known.last_at, EXCLUDED.last_at)
