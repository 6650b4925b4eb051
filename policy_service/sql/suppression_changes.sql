-- What was suppressed or allowed again by transactions that were not over at the last look.
SELECT recipient, suppressed FROM quota.suppression WHERE changed >= %(since)s::text::xid8
