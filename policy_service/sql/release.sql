-- Hold a credential no longer.
DELETE FROM quota.held WHERE credential = %(credential)s::text
