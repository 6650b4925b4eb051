"""Servers of this host's HAProxy processes that get no new sessions while their host changes.

Whatever happens to the controller, they are made ready again: by this process when its connection ends, and, should it
be killed too, by a timer of PID 1 that was armed before the first server was drained.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import MARKER, StepError, haproxy, timer
from .haproxy import Server

#: Two controllers must not both find another server up, and drain one each.
LOCK = Path("/run/smtpctl-drain.lock")

#: Between two looks.
PAUSE = 0.1

#: What the timer runs: it needs nothing of ours on the host.
_MAKE_READY = """
import socket, sys
for argument in sys.argv[2:]:
    path, name = argument.split("=")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        connection.connect(path)
        connection.sendall(f"set server {name} state ready\\n".encode())
        connection.recv(4096)
"""


class Drains:
    """What one controller has drained here, by the host that is changed."""

    def __init__(self) -> None:
        self._held: dict[str, list[Server]] = {}

    def drain(self, request: dict[str, Any]) -> dict[str, Any]:
        """Give the servers no new sessions. Servers that HAProxy does not know, or somebody put into maintenance, are
        left alone. Raise StepError rather than take the last one away that is up."""
        host = request["host"]
        wanted = [Server(*pair) for pair in request["servers"]]
        with _alone():
            states = _states(wanted)
            due = [server for server in wanted if _drainable(states[server.socket].get(server.name))]
            for server in due:
                _refuse_last(server, states[server.socket])
            if due:
                _arm(host, due, request["lease"])
                self._held[host] = due
            for server in due:
                haproxy.set_state(server, "drain")
        return {"servers": [server.name for server in due]}

    def drained(self, request: dict[str, Any]) -> dict[str, Any]:
        """Wait until the sessions that go on have ended; how many are left after ``seconds``."""
        held = self._held.get(request["host"], [])

        def left() -> int:
            states = _states(held)
            return sum(int(states[server.socket][server.name]["scur"]) for server in held)

        wait(lambda: left() == 0, request["seconds"])
        return {"left": left()}

    def checked(self, request: dict[str, Any]) -> dict[str, Any]:
        """Wait until the health checks of all drained servers succeed; those that still fail after ``seconds``."""
        held = self._held.get(request["host"], [])
        wait(lambda: not _failing(held), request["seconds"])
        return {"failing": _failing(held)}

    def ready(self, request: dict[str, Any]) -> dict[str, Any]:
        """Give the servers sessions again; those that are not up after ``seconds``."""
        held = self._held.pop(request["host"], [])
        _make_ready(request["host"], held)
        wait(lambda: not _not_up(held), request["seconds"])
        return {"down": _not_up(held)}

    def release(self) -> None:
        """The controller is gone: make everything ready that it left drained."""
        for host, held in self._held.items():
            _make_ready(host, held)
        self._held = {}


def _states(servers: Sequence[Server]) -> dict[str, dict[str, Any]]:
    return {path: dict(haproxy.servers(path)) for path in {server.socket for server in servers}}


def _drainable(row: Any) -> bool:
    return row is not None and not row["status"].startswith("MAINT")


def _refuse_last(server: Server, states: dict[str, Any]) -> None:
    backend = server.name.partition("/")[0]
    others = {name: row["status"] for name, row in states.items() if row["pxname"] == backend and name != server.name}
    if states[server.name]["status"].startswith("UP") and not any(s.startswith("UP") for s in others.values()):
        found = ", ".join(f"{name} is {status}" for name, status in others.items()) or "there is no other"
        raise StepError("drain", f"{server.name} is the only server of {backend} that takes mail here: {found}")


def _failing(held: Sequence[Server]) -> list[str]:
    """Servers whose last check failed. A check that is going on has a star before the result of the one before."""
    states = _states(held)
    rows = {server.name: states[server.socket].get(server.name) for server in held}
    return [
        f"{name}: {row['check_status']} {row['last_chk']}".strip()
        for name, row in rows.items()
        if row and row["check_status"] and "OK" not in row["check_status"]
    ]


def _not_up(held: Sequence[Server]) -> list[str]:
    states = _states(held)
    rows = {server.name: states[server.socket].get(server.name) for server in held}
    return [f"{name} is {row['status']}" for name, row in rows.items() if row and not row["status"].startswith("UP")]


def _make_ready(host: str, held: Sequence[Server]) -> None:
    """A HAProxy that was restarted meanwhile has forgotten what was drained; one that is gone has nothing to forget."""
    states = _states(held)
    for server in held:
        if server.name in states[server.socket]:
            haproxy.set_state(server, "ready")
    if held:
        timer.cancel(_unit(host))


def _arm(host: str, servers: Sequence[Server], seconds: float) -> None:
    pairs = [f"{server.socket}={server.name}" for server in servers]
    command = ["/usr/bin/python3", "-I", "-S", "-c", _MAKE_READY, MARKER, *pairs]
    timer.start(_unit(host), seconds, f"smtpctl: send mail to {host} again", command)


def _unit(host: str) -> str:
    return f"smtpctl-ready-{host}"


def wait(condition: Callable[[], bool], seconds: float) -> None:
    """Until ``condition`` holds, or ``seconds`` have passed."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(PAUSE)


@contextmanager
def _alone() -> Iterator[None]:
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
