"""Strict mode over a real PostgreSQL: the database decides every message, over two connections where many wait."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.policy_service.daemons import Client, Daemon, request, running

if TYPE_CHECKING:
    from tests.conftest import Cluster

FILTER = "FILTER transactional:[127.0.0.1]:10025"
CREDENTIALS = [f"application{number}" for number in range(4)]
CLIENTS = 40
#: What each credential may send in all.
COUNT = 600

CHARGING = """
SELECT pid FROM pg_stat_activity
 WHERE application_name = 'smtpctl-policy' AND query LIKE '%quota.charge%' ORDER BY backend_start
"""

pytestmark = pytest.mark.postgres


@pytest.fixture
def daemon(tmp_path: Path, postgres: Cluster, database: str) -> Iterator[Daemon]:
    windows = [
        {"key": "credential", "counted": "messages", "count": COUNT, "per": 86400 * k, "burst": COUNT} for k in (1, 2)
    ]
    document = {
        "version": 1,
        "hosts": ["edge1"],
        "strict": True,
        "streams": {"t": {"filter": "transactional:[127.0.0.1]:10025"}},
        "credentials": {name: {"senders": ["shop.test"], "stream": "t", "limits": windows} for name in CREDENTIALS},
    }
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(document), encoding="utf-8")
    arguments = ["serve", "--rules", str(rules), "--listen", f"unix:{tmp_path}/policy", "--name", "edge1"]
    with running(tmp_path / "edge1", *arguments, "--database", postgres.conninfo(database)) as daemon:
        yield daemon


class Crowd:
    """Many connections that ask at once, each for another credential than the one before it."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._clients = [Client(path) for _ in range(CLIENTS)]
        for client in self._clients:
            stack.callback(client.close)
        self._messages = 0
        self.admitted = dict.fromkeys(CREDENTIALS, 0)
        #: Messages that had no answer of the database in time: what it charged for them stays charged.
        self.unsure = 0

    def ask(self) -> None:
        """Ask on every connection."""
        for number, client in enumerate(self._clients):
            self._messages += 1
            name = CREDENTIALS[number % len(CREDENTIALS)]
            client.send(request(sasl_username=name, sender="a@shop.test", instance=f"c.{self._messages}"))

    def answers(self) -> list[str]:
        """An answer on every connection."""
        answers = [client.next() for client in self._clients]
        for number, answer in enumerate(answers):
            self.admitted[CREDENTIALS[number % len(CREDENTIALS)]] += answer == FILTER
            self.unsure += "not available now" in answer
        return answers


def charging(connection: psycopg.Connection[tuple[int]]) -> list[int]:
    """Processes of the server that messages are charged over."""
    return [pid for (pid,) in connection.execute(CHARGING).fetchall()]


def make_them_wait(postgres: Cluster, database: str, crowd: Crowd) -> list[int]:
    """Keep the rows from the service while many ask, until they are charged over two connections."""
    end = time.monotonic() + 30
    with psycopg.connect(postgres.conninfo(database), autocommit=True) as looking:
        while len(charging(looking)) < 2:
            assert time.monotonic() < end, "one connection had to do"
            with psycopg.connect(postgres.conninfo(database)) as holding:
                holding.execute("SELECT FROM quota.bucket ORDER BY key FOR UPDATE")
                crowd.ask()
                time.sleep(0.1)
            crowd.answers()
        return charging(looking)


def test_many_that_wait_go_over_two_connections_and_their_limits_stay_exact(
    tmp_path: Path, postgres: Cluster, database: str, daemon: Daemon
) -> None:
    with ExitStack() as stack:
        crowd = Crowd(tmp_path / "policy", stack)
        make_them_wait(postgres, database, crowd)
        end = time.monotonic() + 60
        refused = 0
        while refused < CLIENTS:
            assert time.monotonic() < end
            crowd.ask()
            refused = sum("450 4.7.1 Limit of" in answer for answer in crowd.answers())
    for count in crowd.admitted.values():
        assert COUNT - crowd.unsure <= count <= COUNT


def test_a_lost_connection_is_replaced_with_the_other_one(
    tmp_path: Path, postgres: Cluster, database: str, daemon: Daemon
) -> None:
    with ExitStack() as stack:
        crowd = Crowd(tmp_path / "policy", stack)
        *_, last = make_them_wait(postgres, database, crowd)
        with psycopg.connect(postgres.conninfo(database), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", (last,))
        end = time.monotonic() + 30
        admitted = 0
        while admitted < 10 * CLIENTS:
            assert time.monotonic() < end, daemon.lines
            crowd.ask()
            admitted += crowd.answers().count(FILTER)
