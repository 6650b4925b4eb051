-- A day of a fleet's mail, in the shapes and shares of real ones: two submission hosts hand to two relays; each mail is a
-- message on both, and goes to some recipients. %(mails)s mails on day number %(number)s, which is %(day)s.
-- A mail has room for 32 rows of a source.
CREATE TEMP TABLE mail ON COMMIT DROP AS
SELECT k, at, 'app-' || app AS credential, edge, relay, CASE WHEN app < 4 THEN 'marketing' ELSE 'transactional' END AS stream,
       (%(number)s::bigint * %(mails)s + k) * 32 AS first, md5(%(number)s || '/' || k) AS identity,
       1 + (random() ^ 2 * CASE WHEN app < 4 THEN 9 ELSE 2 END)::integer AS recipients
FROM (SELECT k, %(day)s::timestamptz + k * (interval '1 day' / %(mails)s) * (0.35 + 0.65 * k / %(mails)s::float8) AS at,
             1 + k %% 2 AS edge, 3 + k / 2 %% 2 AS relay, (20 * random() ^ 1.5)::integer %% 20 AS app
      FROM generate_series(1, %(mails)s) AS k) AS numbered;

INSERT INTO ledger.messages (id, started_at, ended_at, source, host, instance, queue_id, origin, role, pool, stream, credential,
                      client_name, client_address, message_id, sender, sender_domain, size, recipients, activations,
                      first_active_at, end_kind)
SELECT ((source::bigint) << 40) + first + 31, at + shift, at + shift + interval '2 s', source, host,
       CASE WHEN source < 3 THEN 'postfix-submission' ELSE 'postfix-' || stream END,
       upper(substr(identity, source * 2, 11)), 'smtp', role, CASE WHEN source > 2 THEN stream END, stream,
       CASE WHEN source < 3 THEN credential END, 'app.shop.test', '192.0.2.9', substr(identity, 1, 20) || '@shop.test',
       1 + k %% 40, 'shop.test', 9000, recipients, 1, at + shift, 'removed'
FROM mail, LATERAL (VALUES (edge, 'edge' || edge, 'submission', interval '0'),
                           (relay, 'relay' || relay - 2, 'relay', interval '200 ms')) AS stop (source, host, role, shift);

CREATE TEMP TABLE person ON COMMIT DROP AS
SELECT mail.*, j, 41 + (random() ^ 3 * %(subjects)s)::bigint AS recipient, (random() * 1000)::integer AS fate
FROM mail, generate_series(0, recipients - 1) AS j;

CREATE TEMP TABLE attempt ON COMMIT DROP AS
SELECT person.*, attempt, (fate * 7 + recipient) %% 8 AS number,
       CASE WHEN fate < 20 THEN 'bounced' WHEN fate < 90 AND attempt < 2 THEN 'deferred' ELSE 'sent' END AS status,
       exp(1.1 * sqrt(-2 * ln(1 - random())) * cos(6.2831 * random()) - 0.4) + attempt * 400 AS delay,
       CASE WHEN random() < 0.7 THEN ' ' || substr(md5(random()::text), 1, 14) ELSE '' END AS session
FROM person, generate_series(0, CASE WHEN fate BETWEEN 20 AND 89 THEN 2 ELSE 0 END) AS attempt;

INSERT INTO ledger.deliveries (id, at, message, source, host, instance, role, pool, stream, recipient, domain, provider, transport,
                        relay_name, relay_address, relay_port, delay, delay_queue, delay_manager, delay_connect,
                        delay_transfer, status, dsn, reply_code, reply, queued_as, hardness, category)
SELECT ((edge::bigint) << 40) + first + j, at + interval '100 ms', ((edge::bigint) << 40) + first + 31, edge, 'edge' || edge,
       'postfix-submission', 'submission', NULL, stream, recipient, domain, provider, 'smtp', '127.0.0.1', inet '127.0.0.1', 10026,
       0.1, 0.05, 0, 0, 0.05, 'sent', '2.0.0', 250, '250 2.0.0 Ok: queued as ' || upper(substr(identity, relay * 2, 11)),
       upper(substr(identity, relay * 2, 11)), NULL, NULL
FROM person JOIN bench_subjects USING (recipient);

INSERT INTO ledger.deliveries (id, at, message, source, host, instance, role, pool, stream, recipient, domain, provider, transport,
                        relay_name, relay_address, relay_port, delay, delay_queue, delay_manager, delay_connect,
                        delay_transfer, status, dsn, reply_code, reply, hardness, category)
SELECT ((relay::bigint) << 40) + first + j * 3 + attempt, at + interval '300 ms' + attempt * interval '400 s',
       ((relay::bigint) << 40) + first + 31, relay, 'relay' || relay - 2, 'postfix-' || stream, 'relay', stream, stream,
       recipient, domain, provider, coalesce(provider, 'smtp') || '-1', 'mx' || recipient %% 7 || '.' || domain, inet '203.0.113.7', 25,
       delay, 0.05, 0.02, 0.1, 0.4, status, dsn, left(reply, 3)::smallint,
       CASE WHEN status = 'sent' THEN '' ELSE 'host mx.' || domain || '[203.0.113.7] said: ' END || reply || session, hardness, category
FROM attempt JOIN bench_subjects USING (recipient) JOIN bench_replies USING (status, number);
