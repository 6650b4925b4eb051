"""``route``: the socketmap that tells a relay's queue manager which transport a recipient takes, from memory. Edge.

A unit of its own: while it is away Postfix defers, so nothing that happens to quotas may restart it.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import cast

from policy_service.daemon import run_daemon
from policy_service.listen import endpoint
from policy_service.log import WARNING, log
from policy_service.routing import parse
from policy_service.socketmap import NOT_FOUND, NetstringError, NetstringParser, netstring


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``route``."""
    parser.add_argument("--rules", required=True, type=Path, help="routing file (JSON)")
    parser.add_argument("--listen", action="append", required=True, type=endpoint, metavar="unix:PATH|tcp:HOST:PORT")
    parser.add_argument("--socket-mode", default="0660", help="permission bits of unix sockets (octal)")


class Router:
    """The table in force."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.reload()

    def reload(self) -> None:
        """Take the file anew. Raise OSError or RulesError and keep the old table when it is bad."""
        self.routing = parse(self._path.read_bytes())

    def answer(self, request: bytes) -> bytes:
        """The answer to ``MAP KEY``. The map ``provider`` is for people: the provider of a domain."""
        map_name, _, key = request.decode("utf-8", "surrogateescape").partition(" ")
        if map_name == "provider":
            return f"OK {self.routing.provider(key)}".encode()
        transport = self.routing.transport(map_name, key)
        return NOT_FOUND if transport is None else f"OK {transport}:".encode()


class Connection(asyncio.Protocol):
    """One connection of a Postfix process."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._parser = NetstringParser()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        try:
            requests = self._parser.feed(data)
        except NetstringError as error:
            log(WARNING, "protocol-error", program="route", text=error)
            self._transport.abort()
            return
        self._transport.write(b"".join(netstring(self._router.answer(request)) for request in requests))


def main(options: argparse.Namespace) -> int:
    """Run the socketmap until SIGTERM."""
    return run_daemon("route", lambda: Router(options.rules), Connection, options.listen, int(options.socket_mode, 8))
