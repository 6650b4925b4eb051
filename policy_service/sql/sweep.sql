-- Rows that say nothing: their time is past and nothing is held. Rows in use are passed over, never waited for.
DELETE FROM quota.bucket
 WHERE key IN (
   SELECT key
     FROM quota.bucket
    WHERE tat < ((extract(epoch FROM clock_timestamp()) - 3600) * 1000000000)::bigint
      AND held = 0
      AND held_before = 0
    LIMIT 10000
      FOR UPDATE SKIP LOCKED
 )
