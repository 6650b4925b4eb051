"""The schema on a real server: it can be applied again, and each role can do what it is for and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

import smtpctl.ledger

if TYPE_CHECKING:
    from tests.conftest import Cluster

SCHEMA = Path(smtpctl.ledger.__file__).parent / "sql" / "schema.sql"

pytestmark = pytest.mark.postgres


def test_an_address_has_one_number_in_whatever_case_it_is_written(postgres: Cluster, database: str) -> None:
    with psycopg.connect(postgres.conninfo(database)) as connection:
        numbers = connection.execute(
            "SELECT ledger.subject_numbers(ARRAY['b@x.test', 'A@x.test', 'a@X.test', 'no-domain'])"
        ).fetchone()
        one = connection.execute("SELECT ledger.subject('a@x.test')").fetchone()
    assert numbers is not None
    assert one is not None
    b, upper, mixed, _ = numbers[0]
    assert upper == mixed == one[0] != b


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT address FROM ledger.subjects",
        "SELECT message_id FROM ledger.messages",
        "SELECT * FROM ledger.deliveries",
        "SELECT * FROM ledger.bounces",
        "DELETE FROM ledger.messages",
        "TRUNCATE ledger.deliveries",
        "SELECT ledger.retain('deliveries', '1 day')",
        "SELECT name FROM ledger.names",
        "SELECT sealed FROM ledger.subjects",
        "SELECT ledger.erase_subject(1::smallint, '{x}', 'x.test', '{}', '{}')",
    ],
)
def test_a_host_cannot_read_or_remove(postgres: Cluster, database: str, statement: str) -> None:
    with psycopg.connect(postgres.conninfo(database)) as connection:
        connection.execute("SET ROLE ledger_writer")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_a_reader_cannot_change_anything(postgres: Cluster, database: str) -> None:
    with psycopg.connect(postgres.conninfo(database)) as connection:
        connection.execute("SET ROLE ledger_reader")
        connection.execute("SELECT count(*) FROM ledger.deliveries JOIN ledger.messages ON messages.id = message")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO ledger.suppressions (recipient, reason) VALUES (1, 'x')")


def test_partitions_are_made_ahead_and_dropped_by_age(postgres: Cluster, database: str) -> None:
    count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ledger.messages'::regclass"
    with psycopg.connect(postgres.conninfo(database)) as connection:
        assert connection.execute(count).fetchone() == (9,)
        connection.execute("SELECT ledger.make_day('2020-02-29')")
        connection.execute("SELECT ledger.make_day('2020-02-29')")
        connection.execute(
            """INSERT INTO ledger.messages (id, started_at, source, host, instance, queue_id)
               VALUES (1, '2020-02-29T23:59:59.999Z', 1, 'h', 'postfix', 'ABCDEF')"""
        )
        assert connection.execute("SELECT ledger.retain('deliveries', '90 days')").fetchone() == (3,)
        assert connection.execute(count).fetchone() == (9,)
        assert connection.execute("SELECT count(*) FROM ledger.messages").fetchone() == (0,)


def test_a_subject_lives_as_long_as_something_names_it(postgres: Cluster, database: str) -> None:
    with psycopg.connect(postgres.conninfo(database)) as connection:
        connection.execute(
            """SELECT ledger.subject('kept@x.test'), ledger.subject('gone@x.test');
               UPDATE ledger.subjects SET first_seen = now() - interval '1 year';
               INSERT INTO ledger.suppressions (recipient, reason) VALUES (ledger.subject('kept@x.test'), 'complaint');
               SELECT ledger.retain('subjects', '90 days')"""
        )
        assert connection.execute("SELECT address FROM ledger.subjects").fetchall() == [("kept@x.test",)]
        assert connection.execute("SELECT class, removed FROM ledger.retention").fetchall() == [("subjects", 1)]


def test_a_private_ledger_takes_no_address_in_clear(postgres: Cluster, database: str) -> None:
    with psycopg.connect(postgres.conninfo(database)) as connection:
        connection.execute("INSERT INTO ledger.seal_keys (bucket, public) VALUES (0, 'x')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT ledger.subject_numbers(ARRAY['a@x.test'])")


def test_a_reader_sees_no_address(postgres: Cluster, database: str) -> None:
    with psycopg.connect(postgres.conninfo(database), autocommit=True) as connection:
        connection.execute("SET ROLE ledger_reader")
        for statement in ("SELECT address FROM ledger.subjects", "SELECT * FROM ledger.names"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


#: As docs/ledger.md distributes them: table, and the column that says where a row stands.
DISTRIBUTED = {"messages": "id", "deliveries": "message", "events": "source"}


def test_what_is_unique_holds_the_column_that_rows_are_distributed_by(postgres: Cluster, database: str) -> None:
    with psycopg.connect(postgres.conninfo(database)) as connection:
        rows = connection.execute(
            """SELECT indrelid::regclass::text, array_agg(attname::text) FROM pg_index
               JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
               WHERE indisunique AND indrelid = ANY (%s::regclass[]) GROUP BY indexrelid, 1""",
            ([f"ledger.{table}" for table in DISTRIBUTED],),
        ).fetchall()
    assert [(table, DISTRIBUTED[table.removeprefix("ledger.")] in columns) for table, columns in rows] == [
        ("ledger.messages", True)
    ]


CHANGES = {
    "change_messages": """SELECT ledger.change_messages(1, jsonb_build_array(jsonb_build_object(
        'id', 700, 'started_at', 700, 'ended_at', 5000000, 'end_kind', 'removed')))""",
    "advance_messages": "SELECT ledger.advance_messages(1, '{700}', '{700}', '{5000000}', '{NULL}')",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_finds_its_message_without_reading_the_day(postgres: Cluster, database: str, change: str) -> None:
    with psycopg.connect(postgres.conninfo(database)) as connection:
        connection.execute("SELECT ledger.make_day('2000-01-01'), ledger.make_day('2000-01-02')")
        connection.execute(change.encode())  # planned for a day that is empty
        connection.execute(
            """INSERT INTO ledger.messages (id, started_at, source, host, instance, queue_id)
               SELECT n, timestamptz '2000-01-01 00:00:00Z' + n * interval '1 microsecond', 1, 'relay1', 'postfix', n
               FROM generate_series(1, 2000) AS n"""
        )
        connection.commit()
        connection.execute(change.encode())
        read = connection.execute(
            """SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables
               WHERE schemaname = 'ledger' AND relname LIKE 'messages%'"""
        ).fetchone()
        changed = connection.execute("SELECT id, end_kind FROM ledger.messages WHERE ended_at IS NOT NULL").fetchall()
    assert changed == [(700, "removed")]
    assert read == (1,)


def test_no_index_hears_of_a_message_that_is_taken_up_again(postgres: Cluster, database: str) -> None:
    with psycopg.connect(postgres.conninfo(database)) as connection:
        connection.execute("SELECT ledger.make_day('2000-01-01')")
        connection.execute(
            """INSERT INTO ledger.messages (id, started_at, source, host, instance, queue_id)
               SELECT n, timestamptz '2000-01-01 00:00:00Z' + n * interval '1 microsecond', 1, 'relay1', 'postfix', n
               FROM generate_series(1, 2000) AS n"""
        )
        connection.execute("SELECT ledger.advance_messages(1, '{700}', '{700}', '{NULL}', '{3}')")
        hot = connection.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'messages_20000101'"
        ).fetchone()
        message = connection.execute("SELECT activations, ended_at, end_kind FROM ledger.messages WHERE id = 700")
        assert message.fetchone() == (3, None, None)
    assert hot == (1, 1)
