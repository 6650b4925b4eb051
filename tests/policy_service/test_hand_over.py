"""A restart that nobody notices: what is listened on and the connections of smtpd go from one process to the next."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.policy_service.daemons import Client, free_port
from tests.policy_service.manager import Manager
from tests.policy_service.test_learning import Asking
from tests.policy_service.test_learning import routing as routing

RULES = Path(__file__).parent / "dialogues" / "rules.json"
FILTER = "FILTER transactional:[127.0.0.1]:10025"

Managed = Callable[..., Manager]


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Managed]:
    """Start a daemon under a manager, for the length of a test."""
    started: list[Manager] = []

    def start(*arguments: str) -> Manager:
        started.append(Manager(tmp_path / f"manager{len(started)}", *arguments))
        return started[-1]

    yield start
    for manager in started:
        manager.close()


@pytest.fixture
def service(tmp_path: Path, managed: Managed) -> Manager:
    document = json.loads(RULES.read_text())
    for limit in document["credentials"]["shop"]["limits"]:
        limit["count"] = 10**8
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(document), encoding="utf-8")
    # Without the name of a program it is the delegation service.
    return managed("--rules", str(rules), "--listen", f"unix:{tmp_path}/policy")


class Smtpd(threading.Thread):
    """Asks over one connection without a pause; what goes wrong with it is kept."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._client = Client(path)
        self._ended = threading.Event()
        self.answers: list[str] = []
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                self.answers.append(self._client.message("shop"))
                time.sleep(0.005)
        except (OSError, AssertionError) as error:
            self.failure = error

    def end(self) -> None:
        self._ended.set()
        self.join(20)
        self._client.close()


def test_connections_outlive_restarts_under_load(tmp_path: Path, service: Manager) -> None:
    clients = [Smtpd(tmp_path / "policy") for _ in range(20)]
    for client in clients:
        client.start()
    for _ in range(3):
        before = [len(client.answers) for client in clients]
        service.restart()
        end = time.monotonic() + 30
        while any(len(client.answers) <= count for client, count in zip(clients, before, strict=True)):
            assert time.monotonic() < end, [client.failure for client in clients]
            time.sleep(0.02)
    for client in clients:
        client.end()
    assert [client.failure for client in clients] == [None] * 20
    assert {answer for client in clients for answer in client.answers} == {FILTER}
    assert "handed_over=20" in (service.folder / "log").read_text()


def test_what_was_handed_over_is_not_kept_twice(tmp_path: Path, service: Manager) -> None:
    client = Client(tmp_path / "policy")
    assert client.message("shop") == FILTER
    for _ in range(2):
        service.restart()
        assert client.message("shop") == FILTER
        assert (service.kept("connection"), service.kept("listener")) == (0, 1)
    client.close()


def test_half_a_request_is_finished_before_its_connection_goes_over_or_is_closed(
    tmp_path: Path, service: Manager
) -> None:
    stalled, idle = Client(tmp_path / "policy"), Client(tmp_path / "policy")
    assert idle.message("shop") == FILTER
    stalled._socket.sendall(b"request=smtpd_access_policy\nprotocol_state=DA")
    assert idle.message("shop") == FILTER
    service.restart()
    assert idle.message("shop") == FILTER
    with pytest.raises(ConnectionError):
        stalled.raw(b"TA\nsasl_username=shop\n\n")
    for client in (stalled, idle):
        client.close()


def test_who_connects_while_it_is_away_waits_and_is_not_refused(tmp_path: Path, service: Manager) -> None:
    service.die()
    client = Client(tmp_path / "policy")
    client._socket.sendall(b"request=smtpd_access_policy\nprotocol_state=VRFY\n\n")
    service.revive()
    assert client.next() == "DUNNO"
    client.close()


def test_routing_keeps_what_it_listens_on(managed: Managed, routing: Path) -> None:
    port = free_port()
    manager = managed("route", "--rules", str(routing), "--listen", f"tcp:127.0.0.1:{port}")
    manager.die()
    asking = Asking(port)
    manager.revive()
    assert asking.ask("a@yahoo.test") == "yahoo-1:"
    asking.close()


def test_an_address_that_is_not_asked_for_any_more_is_closed(tmp_path: Path, managed: Managed, routing: Path) -> None:
    first, second = free_port(), free_port()
    manager = managed("route", "--rules", str(routing), "--listen", f"tcp:127.0.0.1:{first}")
    manager._arguments = ("route", "--rules", str(routing), "--listen", f"tcp:127.0.0.1:{second}")
    manager.restart()
    Asking(second).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", first))
