"""Several real processes over one real PostgreSQL: limits hold, and replies come in time, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.policy_service.daemons import Client, Daemon, knock, running, surely_in_one_window

if TYPE_CHECKING:
    from tests.conftest import Cluster

FILTER = "FILTER transactional:[127.0.0.1]:10025"
#: The promise is 250 ms; on a machine that others use, the test's own scheduling comes on top.
IN_TIME = 0.35

pytestmark = pytest.mark.postgres


def limit(count: int, per: int, burst: int, counted: str = "messages") -> dict[str, Any]:
    return {"key": "credential", "counted": counted, "count": count, "per": per, "burst": burst}


LIMITS = {
    "one": limit(1, 2, 1),
    "ten": limit(10, 3600, 10),
    "hundred": limit(100, 3, 10),
    "thousand": limit(1000, 10, 100),
    "plenty": limit(10000, 3600, 100),
    "minutes": limit(10000, 240, 100),
}


@pytest.fixture
def database(postgres: Cluster, database: str) -> Iterator[str]:
    yield database
    # A test that failed while the server was stopped must leave it to the next as it was.
    try:
        psycopg.connect(postgres.conninfo()).close()
    except psycopg.OperationalError:
        postgres.start()


class Hosts:
    """So many daemons over one database."""

    def __init__(self, folder: Path, stack: ExitStack, conninfo: str, count: int) -> None:
        self.folder = folder
        self._stack = stack
        self._rules = folder / "rules.json"
        self._conninfo = conninfo
        credentials = {name: {"senders": ["shop.test"], "stream": "t", "limits": [one]} for name, one in LIMITS.items()}
        document = {
            "version": 1,
            "hosts": [f"edge{number}" for number in range(count)],
            "streams": {"t": {"filter": "transactional:[127.0.0.1]:10025"}},
            "credentials": credentials,
        }
        self._rules.write_text(json.dumps(document), encoding="utf-8")
        self.daemons = [self.start(number) for number in range(count)]

    def start(self, number: int) -> Daemon:
        """Start, or start again, the daemon of that number."""
        arguments = ["serve", "--rules", str(self._rules), "--listen", f"unix:{self.path(number)}"]
        arguments += ["--name", f"edge{number}"]
        return self._stack.enter_context(
            running(self.folder / f"host{number}", *arguments, "--database", self._conninfo)
        )

    def path(self, number: int) -> Path:
        return self.folder / f"s{number}"

    def clients(self) -> list[Client]:
        """A connection to each, closed after the test."""
        clients = [Client(self.path(number)) for number in range(len(self.daemons))]
        for client in clients:
            self._stack.callback(client.close)
        return clients

    def connected(self) -> None:
        """Wait until every daemon has its database."""
        for daemon in self.daemons:
            end = time.monotonic() + 15
            while not any("database-" in line for line in daemon.lines) or "connected" not in _last_state(daemon):
                assert time.monotonic() < end, daemon.lines
                time.sleep(0.02)


def _last_state(daemon: Daemon) -> str:
    return [line for line in daemon.lines if "database-" in line][-1]


@pytest.fixture
def make_hosts(tmp_path: Path, postgres: Cluster, database: str) -> Iterator[Callable[[int], Hosts]]:
    with ExitStack() as stack:

        def make(count: int) -> Hosts:
            hosts = Hosts(tmp_path, stack, postgres.conninfo(database), count)
            hosts.connected()
            return hosts

        yield make


def knock_everywhere(hosts: Hosts, credential: str, seconds: float, clients: int) -> tuple[list[Any], float]:
    """So many clients over all hosts at once; what was admitted, and the slowest answer."""
    admitted: list[tuple[int, float, float]] = []

    async def run() -> float:
        until = time.monotonic() + seconds
        tasks = [
            knock(hosts.path(number % len(hosts.daemons)), credential, until, admitted) for number in range(clients)
        ]
        return max(await asyncio.gather(*tasks))

    return admitted, asyncio.run(run())


def test_a_small_limit_is_exact_on_whichever_host(make_hosts: Callable[[int], Hosts]) -> None:
    clients = make_hosts(3).clients()
    answers = [clients[number % 3].message("ten") for number in range(15)]
    assert answers[:10] == [FILTER] * 10
    assert all(
        answer.startswith("450 4.7.1 Limit of 10 messages an hour for credential ten") for answer in answers[10:]
    )


def test_a_schema_of_before_quota_charge_serves_the_hosts_that_come_first(
    make_hosts: Callable[[int], Hosts], postgres: Cluster, database: str
) -> None:
    with psycopg.connect(postgres.conninfo(database), autocommit=True) as connection:
        connection.execute("DROP FUNCTION quota.charge")
    (client,) = make_hosts(1).clients()
    answers = [client.message("ten") for _ in range(11)]
    assert [answer == FILTER for answer in answers] == [True] * 10 + [False]


def test_six_hosts_admit_the_limit_and_no_more(make_hosts: Callable[[int], Hosts]) -> None:
    hosts = make_hosts(6)
    for credential, seconds, clients in (("one", 5.0, 30), ("hundred", 7.0, 60), ("thousand", 12.0, 60)):
        admitted, _ = knock_everywhere(hosts, credential, seconds, clients)
        one = LIMITS[credential]
        fullest = surely_in_one_window(admitted, one["per"])
        assert fullest <= one["count"]
        rate = (one["count"] - one["burst"] + 1) / one["per"]
        # The burst is there at the start; from then on demand is above the rate. What the arithmetic alone costs is
        # measured in simulated time; here the machine's own delays come on top.
        assert len(admitted) >= 0.9 * (one["burst"] + rate * seconds) - 2, f"{credential}: {len(admitted)}"


def test_no_window_holds_more_while_daemons_are_killed_and_the_database_restarts(
    make_hosts: Callable[[int], Hosts], postgres: Cluster
) -> None:
    hosts = make_hosts(3)
    admitted: list[tuple[int, float, float]] = []

    async def trouble() -> None:
        for round_ in range(3):
            await asyncio.sleep(1.5)
            await asyncio.to_thread(hosts.daemons[round_].kill)
            await asyncio.to_thread(postgres.stop, "immediate" if round_ % 2 else "fast")
            await asyncio.sleep(0.7)
            await asyncio.to_thread(postgres.start)
            hosts.daemons[round_] = await asyncio.to_thread(hosts.start, round_)

    async def run() -> None:
        until = time.monotonic() + 14
        tasks = [knock(hosts.path(number % 3), "thousand", until, admitted) for number in range(60)]
        await asyncio.gather(trouble(), *tasks)

    asyncio.run(run())
    assert surely_in_one_window(admitted, 10) <= 1000
    assert len(admitted) > 600, "mail flowed all the same"


def test_replies_come_in_time_while_the_database_is_frozen(
    make_hosts: Callable[[int], Hosts], postgres: Cluster, database: str
) -> None:
    hosts = make_hosts(2)
    client = hosts.clients()[0]
    assert client.message("plenty") == FILTER
    time.sleep(1.5)
    with psycopg.connect(postgres.conninfo(database)) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'smtpctl-policy'"
        ).fetchall()
    # The server itself first: it would make another process for who comes back.
    frozen = [int((postgres.data / "postmaster.pid").read_text().split()[0]), *(pid for (pid,) in rows)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        answers = [client.message("plenty") for _ in range(30)]
        refused = [client.message("ten") for _ in range(3)]
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert client.slowest < IN_TIME
    assert answers[0] == FILTER, "the reserve lets mail through"
    assert all("not available now" in answer for answer in refused)
    assert any("database-lost" in line for line in hosts.daemons[0].lines)
    hosts.connected()
    assert client.message("ten") == FILTER


def test_a_database_that_stalls_for_a_moment_delays_nobody_and_is_not_given_up(
    make_hosts: Callable[[int], Hosts], postgres: Cluster, database: str
) -> None:
    hosts = make_hosts(1)
    client = hosts.clients()[0]
    assert client.message("plenty") == FILTER
    with psycopg.connect(postgres.conninfo(database)) as connection:
        connection.execute("LOCK TABLE quota.bucket IN ACCESS EXCLUSIVE MODE")
        end = time.monotonic() + 0.5
        answers = []
        while time.monotonic() < end:
            answers.append(client.message("ten"))
    assert all("not available now; retry in 60 s" in answer for answer in answers)
    assert client.slowest < IN_TIME
    assert client.message("plenty") == FILTER
    assert not any("database-lost" in line for line in hosts.daemons[0].lines)


def test_without_the_database_each_host_spends_its_reserve_and_then_refuses(
    make_hosts: Callable[[int], Hosts], postgres: Cluster
) -> None:
    clients = make_hosts(2).clients()
    for client in clients:
        assert client.message("plenty") == FILTER
    time.sleep(0.2)
    postgres.stop("immediate")
    passed = [sum(client.message("plenty") == FILTER for _ in range(60)) for client in clients]
    postgres.start()
    # Up to half a per cent of 9,901 over two hosts, as far as the burst of 100 had room for it.
    assert all(15 <= count <= 30 for count in passed), passed
    assert all(client.slowest < IN_TIME for client in clients)


def test_a_host_that_nobody_asked_yet_has_its_reserve_when_the_database_goes(
    make_hosts: Callable[[int], Hosts], postgres: Cluster, database: str
) -> None:
    hosts = make_hosts(1)
    end = time.monotonic() + 15
    with psycopg.connect(postgres.conninfo(database), autocommit=True) as connection:
        while True:
            found = [key for (key,) in connection.execute("SELECT key FROM quota.bucket WHERE tat > 0").fetchall()]
            if "credential:messages:3600:plenty" in found:
                break
            assert time.monotonic() < end, found
            time.sleep(0.02)
    assert "credential:messages:3600:ten" not in found, "a small limit has no reserve"
    postgres.stop("fast")
    client = hosts.clients()[0]
    answers = [client.message("plenty") for _ in range(60)]
    postgres.start()
    assert answers[:20] == [FILTER] * 20
    assert client.slowest < IN_TIME


def test_leases_are_handed_back_when_idle_and_at_the_end(
    make_hosts: Callable[[int], Hosts], postgres: Cluster, database: str
) -> None:
    hosts = make_hosts(1)
    client = hosts.clients()[0]

    def held() -> int:
        with psycopg.connect(postgres.conninfo(database)) as connection:
            row = connection.execute("SELECT coalesce(sum(held + held_before), 0) FROM quota.bucket").fetchone()
        assert row
        return int(row[0])

    end = time.monotonic() + 10
    while held() == 0:
        assert time.monotonic() < end
        assert client.message("minutes").startswith(("FILTER", "450"))
        time.sleep(0.03)
    assert hosts.daemons[0].stop() == 0
    assert held() == 0

    hosts.daemons[0] = hosts.start(0)
    hosts.connected()
    time.sleep(3)
    client = hosts.clients()[0]
    end = time.monotonic() + 20
    while held() == 0:
        assert time.monotonic() < end
        client.message("minutes")
        time.sleep(0.03)
    time.sleep(3.5)
    assert held() == 0
