-- Hold a credential until a time; a longer hold stays.
INSERT INTO quota.held AS h (credential, until, reason)
VALUES (%(credential)s::text, to_timestamp(%(until)s::float8), %(reason)s::text)
ON CONFLICT (credential) DO UPDATE
  SET until = greatest(h.until, excluded.until),
      reason = CASE WHEN excluded.until > h.until THEN excluded.reason ELSE h.reason END
