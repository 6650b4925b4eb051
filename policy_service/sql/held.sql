-- Credentials that are held, and until when in seconds since the epoch.
SELECT credential, extract(epoch FROM until)::float8 FROM quota.held WHERE until > to_timestamp(%(now)s::float8)
