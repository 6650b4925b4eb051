"""Listening sockets: ``unix:PATH`` and ``tcp:HOST:PORT``, with a backlog that a burst of smtpd processes fits. Edge."""

from __future__ import annotations

import asyncio
import socket
import stat
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen or connect. ``host`` is empty for a unix socket, ``port`` is 0 then."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"tcp:{self.host}:{self.port}"


def endpoint(text: str) -> Endpoint:
    """Read ``unix:PATH``, ``tcp:HOST:PORT`` or ``HOST:PORT``, as an option of a command line."""
    if text.startswith("unix:") and len(text) > 5:
        return Endpoint(path=text[5:])
    host, _, port = text.removeprefix("tcp:").rpartition(":")
    if host and port.isdigit() and 0 <= int(port) < 65536:
        return Endpoint(host=host.strip("[]"), port=int(port))
    raise ArgumentTypeError(f"{text!r} is not unix:PATH or tcp:HOST:PORT")


def bound(where: Endpoint, mode: int = 0o660) -> socket.socket:
    """A listening socket. A unix socket's old file is replaced: who ran before is gone, or its lock would say so."""
    if not where.path:
        family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((where.host, where.port))
    else:
        path = Path(where.path)
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(where.path)
        path.chmod(mode)
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


def listeners(
    endpoints: Sequence[Endpoint], mode: int, passed: Sequence[tuple[str, socket.socket]]
) -> list[socket.socket]:
    """A listening socket for each endpoint: one that was passed on where there is one, so that who connects meanwhile
    waits and is not refused. Passed ones that nobody asked for are used where no endpoint is named, else closed."""
    found = {_address(sock): sock for _, sock in passed if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)}
    if not endpoints:
        return list(found.values())
    made = []
    for where in endpoints:
        sock = found.pop(str(where), None)
        if sock is not None and (not where.path or Path(where.path).is_socket()):
            sock.setblocking(False)
            sock.listen(BACKLOG)
            made.append(sock)
        else:
            made.append(bound(where, mode))
    for sock in found.values():
        sock.close()
    return made


def _address(sock: socket.socket) -> str:
    """An address as an endpoint writes it."""
    name = sock.getsockname()
    return str(Endpoint(path=name) if isinstance(name, str) else Endpoint(host=name[0], port=name[1]))


async def serve(sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
    """Accept connections on ``sock``."""
    loop = asyncio.get_running_loop()
    if sock.family == socket.AF_UNIX:
        # From Python 3.13 on a server that closes removes its path, through which the next one is to be found.
        stays: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        try:
            return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG, **stays)
        except TypeError:  # uvloop before 0.22, which leaves the path alone
            return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG)
    return await loop.create_server(factory, sock=sock, backlog=BACKLOG)
