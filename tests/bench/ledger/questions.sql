-- What an analyst would ask beside the questions of docs/ledger.md.

-- hourly, the last two days?
SELECT * FROM ledger.hourly WHERE hour > now() - interval '2 days';

-- latencies, the last day?
SELECT * FROM ledger.latencies WHERE hour > now() - interval '36 hours';

-- failures, the last week?
SELECT * FROM ledger.failures WHERE hour > now() - interval '7 days';

-- bounce rates by provider, all?
SELECT provider, sum(bounced) / sum(delivered + bounced) FROM ledger.bounce_rates GROUP BY 1;

-- what they said for a month?
SELECT reply, sum(attempts) FROM ledger.replies WHERE hour > now() - interval '30 days' GROUP BY 1 ORDER BY 2 DESC LIMIT 20;

-- traffic of a credential, all?
SELECT date_trunc('day', hour), status, sum(attempts) FROM ledger.hourly WHERE credential = 'app-7' GROUP BY 1, 2 ORDER BY 1;

-- rows of an hour?
SELECT provider, status, count(*), avg(delay_connect) FROM ledger.outgoing
WHERE at >= now() - interval '20 hours' AND at < now() - interval '19 hours' GROUP BY 1, 2;

-- a Message-ID?
SELECT messages.host, queue_id, at, status, reply
FROM ledger.messages
JOIN ledger.deliveries ON deliveries.message = messages.id AND at >= started_at AND at < started_at + interval '6 days'
WHERE message_id = (SELECT message_id FROM ledger.messages WHERE started_at > now() - interval '9 days' LIMIT 1);

-- slowest next hops, yesterday?
SELECT relay_name, sum(connecting + transferring) / sum(delivered + deferred + bounced) AS seconds FROM ledger.relays
WHERE day = date_trunc('day', now(), 'UTC') - interval '1 day' GROUP BY 1 ORDER BY 2 DESC LIMIT 20;

-- why a domain defers, a month?
SELECT category, dsn, sum(attempts) FROM ledger.domain_failures
WHERE domain = 'company7.example' AND status = 'deferred' AND day > now() - interval '30 days' GROUP BY 1, 2 ORDER BY 3 DESC;

-- domains that greylist, a month?
SELECT domain, sum(attempts) FROM ledger.domain_failures
WHERE category = 'greylisting' AND day > now() - interval '30 days' GROUP BY 1 ORDER BY 2 DESC LIMIT 20;

-- TLS by provider, a month?
SELECT provider, tls, sum(attempts) FROM ledger.routes
WHERE status = 'sent' AND hour > now() - interval '30 days' GROUP BY 1, 2 ORDER BY 1, 3 DESC;

-- source addresses that a provider refuses, all?
SELECT host, source_address, category, sum(attempts) FROM ledger.routes
WHERE provider = 'google' AND status <> 'sent' GROUP BY 1, 2, 3 ORDER BY 4 DESC;

-- complaints by stream, a month?
SELECT messages.stream, count(DISTINCT complaints.id) FROM ledger.complaints
JOIN ledger.messages ON message_id = original_message_id
WHERE received_at > now() - interval '30 days' GROUP BY 1;
