"""``route``: the socketmap that tells a relay's queue manager which transport a recipient takes, from memory. Edge.

A unit of its own: while it is away Postfix defers, so nothing that happens to quotas may restart it. It never waits for
the DNS: where a domain takes its mail is learnt behind, and until then the domain has the default transport.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import cast

from policy_service import learnt_file, pauses
from policy_service.daemon import run_daemon
from policy_service.handover import handover_file, next_hop
from policy_service.learnt import Learnt
from policy_service.listen import Endpoint, endpoint
from policy_service.log import INFO, WARNING, log
from policy_service.resolver import Resolver, system_resolver
from policy_service.routing import parse
from policy_service.socketmap import NOT_FOUND, NetstringError, NetstringParser, netstring

#: What was learnt is written down this often, when there is something new (seconds).
SAVE_EVERY = 60.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``route``."""
    parser.add_argument("--rules", required=True, type=Path, help="routing file (JSON)")
    parser.add_argument("--listen", action="append", required=True, type=endpoint, metavar="unix:PATH|tcp:HOST:PORT")
    parser.add_argument("--learn", type=Path, metavar="FILE", help="learn where domains take their mail; keep it here")
    parser.add_argument("--resolver", type=endpoint, metavar="HOST:PORT", help="default: the first of /etc/resolv.conf")
    parser.add_argument("--socket-mode", default="0660", help="permission bits of unix sockets (octal)")


class Router:
    """The table in force, and what was learnt."""

    def __init__(self, path: Path, learn: Path | None = None, resolver: Endpoint | None = None) -> None:
        self._path = path
        self._learn = learn
        self._resolver = resolver
        self.learnt = Learnt()
        self._pauses = pauses.PauseFile()
        self._handover = handover_file()
        self.reload()
        if learn:
            self.learnt.restore(learnt_file.load(learn), time())
            log(INFO, "learnt", domains=len(self.learnt))

    def reload(self) -> None:
        """Take the file anew. Raise OSError or RulesError and keep the old table when it is bad."""
        self.routing = parse(self._path.read_bytes())

    def answer(self, request: bytes) -> bytes:
        """The answer to ``MAP KEY``. The map ``provider`` is for people: the provider of a domain."""
        map_name, _, key = request.decode("utf-8", "surrogateescape").partition(" ")
        if map_name == "provider":
            return f"OK {self.routing.provider(key, self._exchange)}".encode()
        transport = self.routing.transport(map_name, key, self._exchange)
        if transport is None:
            return NOT_FOUND
        pool = self.routing.pool_name(map_name)
        return f"OK {self._instead(pool, transport, key) or f'{transport}:'}".encode()

    def _instead(self, pool: str, transport: str, recipient: str) -> str | None:
        """What a person has switched by hand: the hand-over of a relay that is emptied, or a pause."""
        if hop := next_hop(self._handover.current(), pool, recipient):
            return hop
        if known := self._pauses.current():
            provider, _, number = transport.rpartition("-")
            addresses = self.routing.pools[pool].addresses
            source = addresses[int(number) - 1] if int(number) <= len(addresses) else ""
            if pauses.outgoing(known, pool, provider, source):
                return f"{pauses.TRANSPORT}:"
        return None

    async def run(self) -> None:
        """Learn, and keep what was learnt, until cancelled."""
        path = self._learn
        if path is None:
            await asyncio.Event().wait()
            return
        resolver = asyncio.create_task(Resolver(self.learnt, self._resolver or system_resolver()).run())
        kept = self.learnt.changes
        try:
            while not resolver.done():
                await asyncio.wait({resolver}, timeout=SAVE_EVERY)
                if kept != self.learnt.changes:
                    kept = self.learnt.changes
                    with unsaved_said(path):
                        await learnt_file.save_between(path, self.learnt)
            resolver.result()
        finally:
            resolver.cancel()
            if kept != self.learnt.changes:
                with unsaved_said(path):
                    learnt_file.save(path, self.learnt)

    def _exchange(self, domain: str) -> str:
        return self.learnt.exchange(domain, time()) if self._learn else ""


@contextmanager
def unsaved_said(path: Path) -> Iterator[None]:
    """A full disk costs what was learnt at the next start; mail goes on."""
    try:
        yield
    except OSError as error:
        log(WARNING, "learnt-unsaved", file=path, text=error)


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
    return run_daemon(
        "route",
        lambda: Router(options.rules, options.learn, options.resolver),
        Connection,
        options.listen,
        int(options.socket_mode, 8),
        rules=options.rules,
    )
