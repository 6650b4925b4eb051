-- The day of the oldest rows that there may be; and whether sums say which hours hold what.
SELECT min(to_date(right(relname, 8), 'YYYYMMDD'))::timestamp AT TIME ZONE 'UTC',
       EXISTS (SELECT FROM ledger.summed_before WHERE kind = 'routes')
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'ledger.deliveries'::regclass AND relname ~ '_[0-9]{8}$'
