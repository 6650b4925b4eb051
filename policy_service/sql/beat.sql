-- This process lends its share of the rate for another while.
SELECT now, lent FROM quota.beat(%(process)s::text, %(processes)s::integer, %(loan)s::bigint, %(not_after)s::bigint)
