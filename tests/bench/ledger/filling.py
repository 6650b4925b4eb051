"""A ledger of any size, made inside the server: no log, no shipper, only rows in the shapes of real ones."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from smtpctl.ledger.connection import Connection
from smtpctl.ledger.sums import sum_up

#: Days that the rows are spread over: the retention of the reference inventory.
DAYS = 90
#: Deliveries that a mail makes, about: some recipients, each handed over and then sent, some of them more than once.
_A_MAIL = 5.0
_SUBJECTS = 2_000_000
#: Numbers that a mail has for its rows, in each source: most stay unused.
_NUMBERS = 32
_FILL = sql.SQL((Path(__file__).parent / "fill.sql").read_text())

_SUBJECTS_SQL = """
INSERT INTO ledger.subjects (address, domain)
  SELECT 'person' || n || '@' || domain, domain FROM generate_series(1, %(subjects)s + 41) AS n,
    LATERAL (SELECT CASE WHEN n %% 100 < 31 THEN 'gmail.com' WHEN n %% 100 < 50 THEN 'outlook.com'
                         WHEN n %% 100 < 61 THEN 'yahoo.com' WHEN n %% 100 < 67 THEN 'icloud.com'
                         WHEN n %% 100 < 73 THEN 'web.de'
                         ELSE 'company' || n / 100 %% 4000 || '.example' END) AS of (domain);
CREATE TABLE bench_subjects AS
  SELECT id AS recipient, domain, CASE domain WHEN 'gmail.com' THEN 'google' WHEN 'outlook.com' THEN 'microsoft'
    WHEN 'yahoo.com' THEN 'yahoo' WHEN 'icloud.com' THEN 'apple' END AS provider FROM ledger.subjects;
ALTER TABLE bench_subjects ADD PRIMARY KEY (recipient);
"""
_REPLIES: dict[str, list[tuple[str, str | None, str | None, str]]] = {
    "sent": [
        ("2.0.0", None, None, "250 2.0.0 OK  1764000000 - gsmtp"),
        ("2.0.0", None, None, "250 2.0.0 Ok: queued as"),
    ],
    "deferred": [
        ("4.7.28", "soft", "reputation of address", "421-4.7.28 unusual rate of unsolicited mail"),
        ("4.2.0", "soft", "greylisting", "450 4.2.0 <x@shop.test>: Greylisted"),
        ("4.7.650", "soft", "rate", "451 4.7.650 temporarily rate limited due to IP reputation"),
        ("4.2.2", "soft", "full", "452 4.2.2 The email account that you tried to reach is over quota"),
        ("4.4.1", "soft", "network", "421 connect to mx[203.0.113.7]:25: Connection timed out"),
    ],
    "bounced": [
        ("5.1.1", "hard", "invalid mailbox", "550-5.1.1 The email account that you tried to reach does not exist"),
        ("5.5.0", "hard", "invalid mailbox", "550 5.5.0 Requested action not taken: mailbox unavailable"),
        ("5.7.1", "soft", "spam", "554 5.7.1 Message rejected as spam"),
    ],
}  # fmt: skip


#: Indexes that are made when the rows are there, which takes a quarter of the time.
_INDEXES = """
SELECT indexrelid::regclass::text, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index
LEFT JOIN pg_constraint ON conindid = indexrelid
WHERE indrelid IN ('ledger.messages'::regclass, 'ledger.deliveries'::regclass) AND conindid IS NULL
"""


#: One in two thousand mails is complained about, a day later.
_COMPLAINTS = """
INSERT INTO ledger.complaints (received_at, dedupe, host, feedback_type, recipient_domain, provider, envelope_to,
                               original_message_id)
SELECT started_at + interval '1 day', int8send(id), 'feedback1', 'abuse', 'yahoo.com', 'yahoo', 'fbl@shop.test',
       message_id
FROM ledger.messages WHERE id % 64000 < 32 AND source > 2
"""
#: What is rare: one mail in a hundred thousand stays in a queue until it expires.
_EXPIRED = """
UPDATE ledger.deliveries SET status = 'expired', hardness = 'soft', category = 'network'
WHERE (id & (1::bigint << 40) - 1) % 3200000 = 32 AND role = 'relay'
"""


def fill(connection: Connection, rows: int, end: datetime | None = None) -> None:
    """Some ``rows`` deliveries over the days until ``end`` (a quarter of an hour ago: the last hour is in no sum
    yet); then everything that runs by a timer."""
    end = end or datetime.now(UTC) - timedelta(minutes=15)
    connection.execute("SET maintenance_work_mem = '256MB'")
    connection.execute("SET work_mem = '64MB'")
    indexes = connection.execute(_INDEXES).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}".encode())
    _rows(connection, rows, end)
    for name, definition in indexes:
        _say(f"index {name}")
        connection.execute(definition.encode())
    connection.execute(_COMPLAINTS)
    connection.execute(_EXPIRED)
    _say("statistics")
    connection.execute("VACUUM ANALYZE")
    _say("sums")
    sum_up(connection, most=1_000_000 * _NUMBERS)
    connection.execute("VACUUM ANALYZE")
    connection.execute("RESET work_mem")
    _say("filled")


def _rows(connection: Connection, rows: int, end: datetime) -> None:
    subjects = min(_SUBJECTS, rows // 10)
    _say("subjects")
    for statement in _SUBJECTS_SQL.split(";"):
        if statement.strip():
            psycopg.ClientCursor(connection).execute(statement.encode(), {"subjects": subjects})
    connection.execute(
        "CREATE TABLE bench_replies (status text, number integer, dsn text, hardness text, category text, reply text)"
    )
    for kind, replies in _REPLIES.items():
        for number in range(8):
            dsn, hardness, category, reply = replies[number % len(replies)]
            connection.execute(
                "INSERT INTO bench_replies VALUES (%s, %s, %s, %s, %s, %s)",
                (kind, number, dsn, hardness, category, reply),
            )
    connection.execute("ANALYZE bench_subjects, bench_replies")
    mails = max(10, int(rows / DAYS / _A_MAIL))
    connection.execute(
        "INSERT INTO ledger.sources (host, log, next_row, last_at) SELECT host, '/var/log/mail.log', %s, now()"
        " FROM unnest(ARRAY['edge1', 'edge2', 'relay1', 'relay2']) AS host",
        ((DAYS * mails + 1) * _NUMBERS,),
    )
    for number in range(DAYS):
        day = end - timedelta(days=DAYS - number)
        connection.execute("SELECT ledger.make_day(%s)", (day.date(),))
        connection.execute("SELECT ledger.make_day(%s)", (day.date() + timedelta(days=1),))
        values = {"number": number, "day": day, "mails": mails, "subjects": subjects}
        text = _FILL.as_string(connection)
        with connection.transaction():
            for statement in text.split(";\n"):
                if statement.strip():
                    psycopg.ClientCursor(connection).execute(statement.encode(), values)
        _say(f"day {number + 1} of {DAYS}")


def _say(what: str) -> None:
    sys.stderr.write(f"bench: {datetime.now(UTC):%H:%M:%S} {what}\n")
