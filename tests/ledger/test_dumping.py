"""A ledger out of a stream: the same rows, or the ledger that was there before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from smtpctl.errors import LedgerError
from smtpctl.ledger import dumping
from smtpctl.ledger.connection import connect
from smtpctl.ledger.migrations import migrate
from tests.conftest import Cluster

pytestmark = pytest.mark.postgres

QUOTA = Path(__file__).parents[2] / "policy_service" / "sql" / "schema.sql"


@pytest.fixture
def database(postgres: Cluster, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with both schemas."""
    name = new_database()
    programs = postgres._programs  # pg_dump of the server's own version
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with connect(postgres.conninfo(name), application="test") as connection:
        migrate(connection)
    postgres.apply(name, QUOTA)
    return name


def add_subject(postgres: Cluster, name: str, address: str) -> None:
    with psycopg.connect(postgres.conninfo(name), autocommit=True) as connection:
        connection.execute("INSERT INTO ledger.subjects (address, domain) VALUES (%s, 'example.com')", (address,))


def subjects(postgres: Cluster, name: str) -> int:
    with psycopg.connect(postgres.conninfo(name)) as connection:
        return int((connection.execute("SELECT count(*) FROM ledger.subjects").fetchone() or (0,))[0])


def dumped(postgres: Cluster, name: str, path: Path) -> None:
    with path.open("wb") as file:
        dumping.dump(postgres.conninfo(name), file)


def test_a_dump_takes_the_place_of_what_is_there(postgres: Cluster, database: str, tmp_path: Path) -> None:
    add_subject(postgres, database, "ada@example.com")
    dumped(postgres, database, tmp_path / "dump")
    add_subject(postgres, database, "bob@example.com")
    with (tmp_path / "dump").open("rb") as file:
        found = dumping.restore(postgres.conninfo(database), file)
    assert (found["rows"]["ledger.subjects"], subjects(postgres, database)) == (1, 1)
    with connect(postgres.conninfo(database), application="test") as connection:
        assert migrate(connection) == []


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_dump_that_is_cut_changes_nothing(postgres: Cluster, database: str, tmp_path: Path, cut: float) -> None:
    add_subject(postgres, database, "ada@example.com")
    dumped(postgres, database, tmp_path / "dump")
    add_subject(postgres, database, "bob@example.com")
    content = (tmp_path / "dump").read_bytes()
    (tmp_path / "dump").write_bytes(content[: int(len(content) * cut)])
    with (tmp_path / "dump").open("rb") as file, pytest.raises(LedgerError):
        dumping.restore(postgres.conninfo(database), file)
    assert subjects(postgres, database) == 2


def test_what_is_no_dump_and_what_a_newer_release_made_is_refused(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    for text, words in ((b"nonsense", "no dump"), (b'{"migrations": ["9999_later_pre.sql"], "rows": {}}\n', "newer")):
        (tmp_path / "dump").write_bytes(text)
        with (tmp_path / "dump").open("rb") as file, pytest.raises(LedgerError, match=words):
            dumping.restore(postgres.conninfo(database), file)
