-- Charge many messages at once where all of them fit; else fail with SC001.
SELECT quota.charge(
    %(keys)s::text[], %(shapes)s::bigint[], %(units)s::bigint[],
    %(intervals)s::bigint[], %(bursts)s::bigint[], %(generations)s::bigint[], %(shared)s::boolean[],
    %(processes)s::integer
  )
