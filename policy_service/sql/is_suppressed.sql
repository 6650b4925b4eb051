-- Whether mail to an address is suppressed.
SELECT EXISTS (
  SELECT FROM quota.suppression
   WHERE recipient = quota.recipient_hash(%(recipient)s::text) AND suppressed
)
