"""A database that came all the way by migrations is the same as a new one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from smtpctl.ledger import migrations
from smtpctl.ledger.connection import connect, statement
from smtpctl.ledger.migrations import migrate

if TYPE_CHECKING:
    from tests.conftest import Cluster

pytestmark = pytest.mark.postgres


def dump(postgres: Cluster, database: str) -> list[str]:
    """The whole schema as pg_dump says it, without what is one day's or one run's."""
    command = ["pg_dump", "--schema-only", "--no-comments", f"--dbname={postgres.conninfo(database)}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if not line.startswith(("--", "\\", "SET ")) and line]


def test_the_schema_equals_all_migrations(postgres: Cluster, new_database: Callable[[], str]) -> None:
    new, old = new_database(), new_database()
    with connect(postgres.conninfo(new), application="test") as connection:
        assert migrate(connection) == ["schema.sql"]
        noted = connection.execute("SELECT name FROM ledger.migrations ORDER BY name").fetchall()
        assert [name for (name,) in noted] == migrations.names()
    with connect(postgres.conninfo(old), application="test") as connection:
        connection.execute(statement("migrations/0001_tables_pre"))
        connection.execute("RESET ROLE")
        assert migrate(connection, "post") == migrations.names()
    assert dump(postgres, old) == dump(postgres, new)


def test_nothing_is_left_to_do_the_second_time(postgres: Cluster, new_database: Callable[[], str]) -> None:
    with connect(postgres.conninfo(new_database()), application="test") as connection:
        migrate(connection)
        connection.execute("SELECT ledger.subject('someone@gmail.test')")
        assert migrate(connection, "pre") == []
        assert migrate(connection, "post") == []
        assert connection.execute("SELECT address, domain FROM ledger.subjects").fetchall() == [
            ("someone@gmail.test", "gmail.test")
        ]


def test_a_database_of_a_newer_version_is_left_as_it_is(postgres: Cluster, new_database: Callable[[], str]) -> None:
    with connect(postgres.conninfo(new_database()), application="test") as connection:
        migrate(connection)
        connection.execute("INSERT INTO ledger.migrations (name) VALUES ('9999_newer_pre.sql')")
        connection.execute("DROP VIEW ledger.hourly CASCADE")
        connection.execute("CREATE VIEW ledger.hourly AS SELECT 'newer' AS word")
        assert migrate(connection) == []
        assert connection.execute("SELECT word FROM ledger.hourly").fetchone() == ("newer",)


def test_what_comes_after_the_hosts_waits_for_its_phase() -> None:
    assert all(name.endswith(("_pre.sql", "_post.sql")) for name in migrations.names())
    assert [name[:4] for name in migrations.names()] == [f"{n:04}" for n in range(1, len(migrations.names()) + 1)]
