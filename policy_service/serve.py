"""``serve``: the delegation daemon. Puts the parts together; notifies, reloads, drains. Edge."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from policy_service import notify
from policy_service.daemon import LISTENER
from policy_service.engine import Engine
from policy_service.http import Http, Page, Pages
from policy_service.journal import Journal
from policy_service.leases import Book
from policy_service.listen import Endpoint, bound, endpoint, listeners, serve
from policy_service.log import ERROR, INFO, NOTICE, log
from policy_service.metrics import Latency, counter, gauge
from policy_service.pauses import PauseFile
from policy_service.readiness import Readiness, own, requirement
from policy_service.reading import read_rules
from policy_service.rules import RULE_NAMES, WITH_ACTION
from policy_service.rules_file import parsing
from policy_service.ruleset import RulesError, Ruleset
from policy_service.server import Delegation
from policy_service.standing import Standing
from policy_service.tick import follow_pauses, made_to_last, tick
from policy_service.watch import Watched

if TYPE_CHECKING:
    from policy_service.follow import Follower

#: Connections that wait for an answer get this long to finish when the service stops (seconds).
DRAIN = 1.0

#: Rules are read so long at a time (seconds): less than the answers of one turn of the loop take.
SLICE = 0.00025

#: The name under which systemd keeps connections from one process to the next.
CONNECTION = "connection"

#: How long the service waits for its database before it listens (seconds). Postfix asks again after a second.
FIRST_CONTACT = 0.7


Result = TypeVar("Result")


class Truth(Protocol):
    """Where quotas are true: the database, or this process alone."""

    contact: asyncio.Event
    counts: Counter[tuple[str, ...]]

    def run(self) -> Awaitable[None]: ...

    def wake(self) -> None: ...

    def stop(self) -> None: ...


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``serve``."""
    parser.add_argument("--rules", required=True, type=Path, help="rules file (JSON)")
    parser.add_argument("--listen", action="append", default=[], type=endpoint, metavar="unix:PATH|tcp:HOST:PORT")
    database = parser.add_mutually_exclusive_group()
    database.add_argument("--database", help="PostgreSQL connection string; none: quotas are this process's own")
    database.add_argument("--database-file", type=Path, help="file whose only line is the connection string")
    parser.add_argument("--name", default=socket.gethostname().partition(".")[0], help="this one of the rules' hosts")
    parser.add_argument("--metrics", type=endpoint, metavar="HOST:PORT", help="serve /metrics and /healthz here")
    parser.add_argument("--readiness", action="append", default=[], type=endpoint, metavar="HOST:PORT")
    parser.add_argument("--require", action="append", default=[], type=requirement, help="what /readyz asks")
    parser.add_argument("--socket-mode", default="0660", help="permission bits of unix sockets (octal)")


class Service:
    """One running delegation daemon."""

    def __init__(self, options: argparse.Namespace, ruleset: Ruleset, watched: Watched) -> None:
        self._options = options
        self._watched = watched
        self._book = Book()
        self._latency = Latency()
        self._standing = Standing()
        self._follower = self._make_follower()
        hold = self._follower.hold if self._follower else lambda *_: None
        self._engine = Engine(ruleset, self._book, Journal(hold), self._standing, time())
        self._pauses = PauseFile()
        self._engine.pauses = self._pauses.current()
        self._take_place(ruleset)
        self._connections: set[Delegation] = set()
        self._servers: list[asyncio.Server] = []
        self._truth = self._make_truth()
        listeners: list[Endpoint] = options.listen
        self._readiness = Readiness([*map(own, listeners[:1]), *options.require])
        self._reloads = {"loaded": 0, "refused": 0}
        self._told_to_reload = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._told_to_reload.set)
        truth = asyncio.ensure_future(self._truth.run())
        with suppress(TimeoutError):
            # The first messages should find the quotas; without a database mail goes on all the same.
            await asyncio.wait_for(self._truth.contact.wait(), FIRST_CONTACT)
        await self._listen()
        background = [asyncio.create_task(task) for task in self._background()]
        listen = ",".join(map(str, self._options.listen))
        log(INFO, "serving", listen=listen, credentials=len(self._engine.ruleset.credentials))
        notify.ready("serving")
        stopping = asyncio.ensure_future(stop.wait())
        # A background task that ends has failed: better to fail with it than to serve half.
        tasks: set[asyncio.Future[Any]] = {stopping, truth, *background}
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        notify.stopping()
        await self._drain(truth)
        for running in background:
            running.cancel()
        for task in done - {stopping}:
            task.result()

    def _background(self) -> Iterator[Coroutine[Any, Any, None]]:
        yield self._readiness.run()
        yield notify.signs_of_life()
        yield self._watched.run(self._told_to_reload.set)
        yield self._reload_when_told()
        yield tick(self._engine)
        yield follow_pauses(self._engine, self._pauses)
        if self._follower:
            yield self._follower.run()

    async def _listen(self) -> None:
        passed = notify.passed_sockets()
        sockets = listeners(self._options.listen, int(self._options.socket_mode, 8), passed)
        if notify.keeps_descriptors():
            notify.unstore(LISTENER)
            notify.store(LISTENER, sockets)
            notify.unstore(CONNECTION)
        for sock in sockets:
            self._servers.append(await serve(sock, self._connection))
        for where, pages in self._pages():
            self._servers.append(await serve(bound(where), partial(Http, pages)))
        for name, sock in passed:
            if name == CONNECTION:
                sock.setblocking(False)
                await asyncio.get_running_loop().connect_accepted_socket(self._connection, sock)

    def _connection(self) -> Delegation:
        return Delegation(self._engine, self._latency, self._connections, self._truth.wake)

    def _pages(self) -> Iterator[tuple[Endpoint, Pages]]:
        pages: dict[str, Callable[[], Page]] = {"/healthz": healthy, "/readyz": self._readiness.page}
        for where in self._options.readiness:
            yield where, pages
        if self._options.metrics:
            yield self._options.metrics, {**pages, "/metrics": self._metrics}

    async def _drain(self, truth: asyncio.Future[None]) -> None:
        """Answer what waits, hand back what is held, hand connections over or close them."""
        self._readiness.draining = True
        for server in self._servers:
            server.close()
        released = self._release()
        end = monotonic() + DRAIN
        while len(released) < len(self._connections) and monotonic() < end:
            await asyncio.sleep(0.005)
            released += self._release()
        self._truth.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(truth), DRAIN)
        if released and notify.keeps_descriptors():
            notify.store(CONNECTION, released)
        for connection in list(self._connections):
            connection.abort()
        for sock in released:
            sock.close()
        log(INFO, "stopped", handed_over=len(released))

    def _release(self) -> list[socket.socket]:
        """The sockets of the connections on which nothing is under way."""
        return [sock for connection in list(self._connections) if (sock := connection.release())]

    async def _reload_when_told(self) -> None:
        while True:
            await self._told_to_reload.wait()
            self._told_to_reload.clear()
            await self._reload()

    async def _reload(self) -> None:
        """Take the rules file anew, between answers; a bad one leaves the old rules in force."""
        notify.reloading()
        self._watched.reading()
        try:
            with made_to_last():
                ruleset = await between_answers(self._parsing(self._options.rules.read_bytes()))
        except (OSError, RulesError) as error:
            self._reloads["refused"] += 1
            log(ERROR, "rules-refused", file=self._options.rules, text=error)
        else:
            await self._go_over(ruleset)
            self._reloads["loaded"] += 1
            log(NOTICE, "rules-loaded", file=self._options.rules)
        notify.ready("serving")

    def _parsing(self, text: bytes) -> Generator[None, None, Ruleset]:
        known = self._engine.ruleset.credentials
        return parsing(text, rule_names=RULE_NAMES, with_action=WITH_ACTION, before=known)

    async def _go_over(self, ruleset: Ruleset) -> None:
        """Put rules in force, and be rid of the old ones, which takes as long as some answers, little by little."""
        old = list(self._engine.ruleset.credentials.values())
        self._engine.load(ruleset, time())
        self._take_place(ruleset)
        await between_answers(let_go(old))

    def _take_place(self, ruleset: Ruleset) -> None:
        """Know with how many others the quotas are shared, and whether this process is one of those that count."""
        self._book.processes = max(len(ruleset.hosts), 1)
        self._book.entitled = self._options.name in ruleset.hosts
        if ruleset.hosts and not self._book.entitled:
            log(NOTICE, "no-reserve", name=self._options.name, text=f"the rules' hosts are {' '.join(ruleset.hosts)}")

    def _conninfo(self) -> str | None:
        if self._options.database_file:
            conninfo: str = self._options.database_file.read_text(encoding="utf-8").strip()
            return conninfo
        given: str | None = self._options.database
        return given

    def _make_follower(self) -> Follower | None:
        conninfo = self._conninfo()
        if not conninfo:
            return None
        from policy_service.follow import Follower

        return Follower(self._standing, conninfo)

    def _make_truth(self) -> Truth:
        if conninfo := self._conninfo():
            from policy_service.database import Link

            return Link(self._book, conninfo, self._options.name)
        from policy_service.standalone import Alone

        log(NOTICE, "no-database", text="quotas are this process's own")
        return Alone(self._book)

    def _metrics(self) -> Page:
        prefix = "smtpctl_policy"
        lines = [
            *counter(
                f"{prefix}_decisions_total",
                "Answers by the rule that decided and the action's first word.",
                self._engine.counts(),
                ("rule", "action"),
            ),
            *counter(f"{prefix}_database_total", "Traffic with the database.", self._truth.counts, ("event",)),
            *counter(
                f"{prefix}_reloads_total", "Reloads of rules.", {(k,): v for k, v in self._reloads.items()}, ("result",)
            ),
            *gauge(f"{prefix}_database_connected", "Whether quotas are shared now.", int(self._book.connected)),
            *gauge(f"{prefix}_connections", "Open connections.", len(self._connections)),
            *gauge(f"{prefix}_suppressed", "Suppressed recipients known.", len(self._standing)),
            *gauge(f"{prefix}_held", "Credentials that are held.", len(self._standing.held)),
            *gauge(f"{prefix}_keys", "Keys of quotas in memory.", len(self._book.keys) + len(self._book.idle)),
            *gauge(f"{prefix}_waiting", "Messages that wait for the database.", self._book.waiting),
            *gauge(f"{prefix}_ready", "Whether /readyz is green.", int(not self._readiness.problems())),
            *self._latency.lines(f"{prefix}_reply_seconds"),
        ]
        return Page(200, "text/plain; version=0.0.4", "\n".join(lines) + "\n")


async def between_answers(steps: Generator[None, None, Result]) -> Result:
    """What the steps come to; whoever asks meanwhile waits for a slice of them at most."""
    while True:
        end = monotonic() + SLICE
        try:
            while monotonic() < end:
                next(steps)
        except StopIteration as ended:
            result: Result = ended.value
            return result
        await asyncio.sleep(0)


def let_go(values: list[Any]) -> Generator[None, None, None]:
    """Forget values one by one: to free what nobody else has takes its time."""
    while values:
        values.pop()
        yield


def healthy() -> Page:
    """The answer to ``/healthz``: the event loop runs."""
    return Page(200, "text/plain", "ok\n")


def main(options: argparse.Namespace) -> int:
    """Run the daemon. Exit code 0 after SIGTERM, 1 when it cannot start."""
    watched = Watched(options.rules)
    try:
        ruleset = read_rules(options.rules)
    except (OSError, RulesError) as error:
        log(ERROR, "rules-refused", file=options.rules, text=error)
        return 1
    if not options.listen:
        log(ERROR, "usage", text="serve needs --listen unix:PATH or --listen tcp:HOST:PORT")
        return 2

    from policy_service.loop import run_loop

    service = Service(options, ruleset, watched)
    # The engine has them for as long as they are in force.
    del ruleset
    run_loop(service.run())
    return 0
