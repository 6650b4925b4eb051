"""HAProxy's runtime API over its admin socket: the state of servers and sessions, and how it is changed.

Management guide, section 9.3. What is said here is kept over a reload (``reload-haproxy``, which every host with a
HAProxy has), and forgotten by a restart.
"""

from __future__ import annotations

import csv
import socket
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from . import StepError

#: Bits of ``show stat``: frontends and servers.
FRONTENDS, SERVERS = 1, 4


class Server(NamedTuple):
    """One server of one HAProxy: its admin socket, and ``BACKEND/SERVER``."""

    socket: str
    name: str

    def __str__(self) -> str:
        return self.name


def servers(path: str) -> dict[str, Mapping[str, str]]:
    """``BACKEND/SERVER`` -> its line of statistics. Empty where no HAProxy runs."""
    return {f"{row['pxname']}/{row['svname']}": row for row in _statistics(path, SERVERS)}


def sessions(path: str, frontends: Iterable[str]) -> int:
    """Sessions that are open at ``frontends``."""
    wanted = set(frontends)
    return sum(int(row["scur"]) for row in _statistics(path, FRONTENDS) if row["pxname"] in wanted)


def set_state(server: Server, state: str) -> None:
    """``drain`` (no new sessions) or ``ready``. Raise StepError with HAProxy's words when it refuses."""
    answer = _ask(server.socket, f"set server {server.name} state {state}")
    if answer.strip():
        raise StepError(state, f"{server.name}: {answer.strip()}")


def _statistics(path: str, kind: int) -> list[Mapping[str, str]]:
    try:
        answer = _ask(path, f"show stat -1 {kind} -1")
    except (FileNotFoundError, ConnectionRefusedError):
        return []
    return list(csv.DictReader(answer.lstrip("# ").splitlines()))


def _ask(path: str, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        connection.connect(path)
        connection.sendall(f"{command}\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode(errors="replace")
