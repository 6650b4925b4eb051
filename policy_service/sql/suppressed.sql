-- Suppressed recipients in order, a part at a time, one behind the other: sixteen bytes each.
SELECT coalesce(string_agg(recipient, ''::bytea ORDER BY recipient), ''::bytea)
  FROM (SELECT recipient FROM quota.suppression
         WHERE suppressed AND recipient > %(after)s::bytea
         ORDER BY recipient
         LIMIT %(limit)s::integer) part
