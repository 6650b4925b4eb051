-- Settle reports, decide messages, lease ahead: one statement, one round trip, one answer as JSON.
SELECT row_to_json(e)::text
  FROM quota.exchange(
    %(keys)s::text[], %(intervals)s::bigint[], %(bursts)s::bigint[], %(generations)s::bigint[],
    %(shared)s::boolean[], %(leases)s::integer[], %(reserves)s::integer[], %(divisor)s::integer,
    %(processes)s::integer,
    %(report_keys)s::integer[], %(report_generations)s::bigint[], %(report_spent)s::integer[],
    %(report_returned)s::integer[],
    %(charge_messages)s::integer[], %(charge_keys)s::integer[], %(charge_units)s::integer[]
  ) AS e
