-- The secret of the hashes, and the first transaction that may still be at work on the list.
SELECT secret, pg_snapshot_xmin(pg_current_snapshot())::text FROM quota.suppression_secret
