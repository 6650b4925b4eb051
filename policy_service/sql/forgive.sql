-- Give a key back so many nanoseconds of its rate, or everything.
UPDATE quota.bucket
   SET tat = CASE WHEN %(everything)s::boolean THEN 0 ELSE greatest(tat - %(nanoseconds)s::bigint, 0) END,
       held = CASE WHEN %(everything)s::boolean THEN 0 ELSE held END,
       held_before = CASE WHEN %(everything)s::boolean THEN 0 ELSE held_before END
 WHERE key = %(key)s::text
