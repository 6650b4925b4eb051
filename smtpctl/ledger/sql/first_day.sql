-- The day of the oldest rows that there may be.
SELECT min(to_date(right(relname, 8), 'YYYYMMDD'))::timestamp AT TIME ZONE 'UTC'
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'ledger.deliveries'::regclass AND relname ~ '_[0-9]{8}$'
