-- This process ends, and lends its share until it comes back.
SELECT quota.leave(%(process)s::text, %(processes)s::integer)
