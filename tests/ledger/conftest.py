"""A ledger in a real database, and logs of several hosts that get into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

import smtpctl.ledger
from smtpctl.intake.shipper.verdicts import classify
from smtpctl.ledger.connection import Connection, connect
from smtpctl.ledger.reader import Reader
from smtpctl.ledger.writer import Writer
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.tracker import Tracker
from smtpctl.model.deliveries import moment_of

if TYPE_CHECKING:
    from tests.conftest import Cluster

SCHEMA = Path(smtpctl.ledger.__file__).parent / "sql" / "schema.sql"
REFERENCE = moment_of(datetime(2026, 12, 31, tzinfo=UTC))
LABELS = Labels.from_config(
    {
        "instances": {
            "postfix-submission": {"role": "submission"},
            "postfix-transactional": {
                "role": "relay",
                "pool": "transactional",
                "stream": "transactional",
                "sources": ["10.78.2.1", "10.78.2.2"],
            },
            "postfix-feedback": {"role": "feedback"},
        },
        "pools": ["transactional"],
        "streams": {"shop": "transactional"},
    }
)
#: Takes in one host's log: (host, lines).
Ship = Callable[[str, str], None]


@pytest.fixture
def database(postgres: Cluster, new_database: Callable[[], str]) -> str:
    name = new_database()
    postgres.apply(name, SCHEMA)
    return name


@pytest.fixture
def writing(postgres: Cluster, database: str) -> Iterator[Connection]:
    """A connection with a host's rights."""
    with connect(postgres.conninfo(database), application="test") as connection:
        connection.execute("SET ROLE ledger_writer")
        yield connection


@pytest.fixture
def reader(postgres: Cluster, database: str) -> Iterator[Reader]:
    """A reader with an operator's rights."""
    with connect(postgres.conninfo(database), application="test") as connection:
        connection.execute("SET ROLE ledger_operator")
        yield Reader(connection)


@pytest.fixture
def ship(writing: Connection) -> Ship:
    def take_in(host: str, log: str) -> None:
        writer = Writer(writing, host, "/var/log/mail.log")
        before = writer.claim()
        assert before is not None
        tracker = Tracker(LABELS, classify, before.next_row)
        lines = LogReader(tracker, REFERENCE)
        data = log.encode()
        lines.read(data)
        after = replace(before, position=before.position + len(data), next_row=tracker.next_row)
        writer.store(tracker.take(lines.last), before, after)

    return take_in


@pytest.fixture
def query(postgres: Cluster, database: str) -> Callable[[str], list[tuple[object, ...]]]:
    def ask(statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(postgres.conninfo(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    return ask
