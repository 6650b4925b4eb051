"""Listening sockets: ``unix:PATH`` and ``tcp:HOST:PORT``, with a backlog that a burst of smtpd processes fits. Edge."""

from __future__ import annotations

import asyncio
import socket
import stat
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


async def serve(sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
    """Accept connections on ``sock``."""
    loop = asyncio.get_running_loop()
    if sock.family == socket.AF_UNIX:
        return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG)
    return await loop.create_server(factory, sock=sock, backlog=BACKLOG)
