"""The link to PostgreSQL: exchanges one after the other over one connection, each with a bound, and coming back. Edge.

While an exchange is on its way, messages gather for the next one: the busier the process, the more one statement
carries. A message waits no longer than ``LONGEST_WAIT``, then the reserve answers it; what the database charges for it
later stays charged. An exchange that takes longer than ``PATIENCE`` is given up together with its connection. Until a
new one stands nobody waits at all.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from time import monotonic_ns
from typing import Any, LiteralString, TypeAlias, TypeVar

import psycopg
from psycopg.errors import DeadlockDetected, SerializationFailure
from psycopg.rows import TupleRow

from policy_service.exchange import Answer, Exchange, KeyAnswer, Verdict
from policy_service.leases import PATIENCE, Book, Sent
from policy_service.loan import BEAT_EVERY, LOAN
from policy_service.log import NOTICE, WARNING, log

#: Seconds until the book is given an occasion for housekeeping (it spaces its rounds itself), and the least pause
#: between exchanges that no message waits for: where one could not take all that is due, and else.
OCCASION = 0.1
SHORT_PAUSE = 0.01
PAUSE = 0.1

#: How often messages that wait are looked after while an exchange is on its way.
LOOK_EVERY = 0.02

#: A lease takes at most the room of its key divided by this and by the number of processes: near the limit that is
#: none, and every message is decided by the database.
DIVISOR = 8

SWEEP_EVERY = 3600.0

#: Seconds between attempts to connect: quick at first, since mail lives on the reserve meanwhile.
BACKOFF = (0.05, 0.2, 0.5, 1.0, 2.0)

#: A lease is durable, on a standby that may be promoted too, before it is used. The other settings bound what a
#: statement of ours may do to the server when it stalls.
BOUNDED = (
    "-c synchronous_commit=on -c statement_timeout=1000 -c lock_timeout=1000 "
    "-c idle_in_transaction_session_timeout=5000 -c jit=off"
)
#: Every statement that a message waits for looks rows up by their key: planning that anew each time would cost more
#: than the statement, and no other plan is worth a thought, however few the rows are now.
SESSION = (
    f"{BOUNDED} -c plan_cache_mode=force_generic_plan "
    "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
)


Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]
Result = TypeVar("Result")


class LostError(Exception):
    """The database did not answer in time."""


@cache
def sql(name: str) -> LiteralString:
    """A statement of ``sql/NAME.sql``: shipped text, never made from anything a user said."""
    return (files("policy_service") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


async def connect(conninfo: str) -> Connection:
    """A connection whose statements are bounded, and whose loss is noticed soon."""
    return await psycopg.AsyncConnection.connect(
        conninfo,
        autocommit=True,
        connect_timeout=2,
        application_name="smtpctl-policy",
        options=SESSION,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=2,
        tcp_user_timeout=2000,
    )


class Link:
    """Keeps a book in touch with the database until ``stop``."""

    def __init__(self, book: Book, conninfo: str, process: str) -> None:
        self.kick = asyncio.Event()
        self.contact = asyncio.Event()
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._book = book
        self._conninfo = conninfo
        self._process = process
        self._stopping = False
        self._exchange_sql = sql("exchange")
        self._beat_sql = sql("beat")
        self._said: str | None = None

    async def run(self) -> None:
        """Connect, exchange, come back; until ``stop``."""
        attempt = 0
        sweeper = asyncio.create_task(self._sweep())
        try:
            while not self._stopping:
                try:
                    connection = await connect(self._conninfo)
                except (psycopg.Error, OSError) as error:
                    self._say(WARNING, "database-away", text=_first_line(error))
                    self.counts["connect_failed",] += 1
                    await self._pause(BACKOFF[min(attempt, len(BACKOFF) - 1)])
                    attempt += 1
                    continue
                if await self._serve(connection):
                    attempt = 0
                else:
                    await self._pause(BACKOFF[min(attempt, len(BACKOFF) - 1)])
                    attempt += 1
        finally:
            self._book.disconnect(monotonic_ns())
            sweeper.cancel()

    def stop(self) -> None:
        """Hand back what is held and end."""
        self._stopping = True
        self.kick.set()

    async def _serve(self, connection: Connection) -> bool:
        """Exchange until the connection is lost; True when it was of use."""
        useful = False
        try:
            while True:
                now = monotonic_ns()
                self._book.tend(now)
                if self._stopping:
                    await self._leave(connection)
                    return True
                await self._beat(connection, now)
                await self._hand_back(connection)
                if sent := self._book.build(now):
                    await self._exchange(connection, sent)
                if not self._book.connected:
                    self._book.connected = True
                    self.contact.set()
                    self._say(NOTICE, "database-connected")
                useful = True
                await self._idle(spoke=sent is not None)
        except (psycopg.Error, OSError, LostError) as error:
            self._say(WARNING, "database-lost", text=_first_line(error))
            self.counts["lost",] += 1
            return useful
        finally:
            self._book.disconnect(monotonic_ns())
            with suppress(psycopg.Error, OSError):
                await connection.close()

    async def _leave(self, connection: Connection) -> None:
        """Hand back what is held, and lend the share until somebody comes back."""
        if sent := self._book.build_return(monotonic_ns()):
            await self._exchange(connection, sent)
        if self._book.entitled:
            values = {"process": self._process, "processes": self._book.processes}
            await self._bounded(connection, self._fetch(connection, sql("leave"), values))

    async def _beat(self, connection: Connection, now: int) -> None:
        """Lend the share for another while when it is time, which also shows that the connection stands."""
        loan = self._book.loan
        while now >= loan.next_beat:
            sent = monotonic_ns()
            not_after = loan.beat_sent(sent)
            values = {
                "process": self._process,
                "processes": self._book.processes,
                "loan": LOAN,
                # Who has no share only asks for the time.
                "not_after": not_after if self._book.entitled else 0,
            }
            try:
                row = await self._bounded(connection, self._fetch(connection, self._beat_sql, values))
            except (psycopg.Error, OSError, LostError):
                loan.beat_lost(monotonic_ns())
                raise
            loan.beat_answered(row[0], sent, monotonic_ns(), lent=row[1])
            if not self._book.entitled:
                loan.next_beat = now + BEAT_EVERY

    async def _hand_back(self, connection: Connection) -> None:
        """Give back what messages were charged that were not sent."""
        loan = self._book.loan
        told = [one for one in self._book.handed_back() if loan.truth_time(one.not_after)]
        if told:
            values = {
                "keys": [one.key for one in told],
                "nanoseconds": [one.nanoseconds for one in told],
                "not_after": [loan.truth_time(one.not_after) for one in told],
            }
            await self._bounded(connection, connection.execute(sql("hand_back"), values))
            self.counts["handed_back",] += len(told)

    async def _idle(self, *, spoke: bool) -> None:
        """Wait for a reason for the next exchange or heartbeat."""
        if spoke:
            # Keys that are due can wait a little for company; a message cannot.
            await self._wait(SHORT_PAUSE if self._book.due else PAUSE)
        while not (self._book.waiting or self._book.due or self._stopping):
            if monotonic_ns() >= self._book.loan.next_beat:
                return
            await self._wait(OCCASION)
            self._book.tend(monotonic_ns())

    async def _wait(self, seconds: float) -> None:
        """Wait until a message waits, or for that long."""
        self.kick.clear()
        if not self._book.waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.kick.wait(), seconds)

    async def _pause(self, seconds: float) -> None:
        """Wait before connecting again; the book is not connected, so nobody waits meanwhile."""
        self.kick.clear()
        if not self._stopping:
            await asyncio.sleep(seconds)
        self._book.tend(monotonic_ns())

    async def _exchange(self, connection: Connection, sent: Sent) -> None:
        try:
            answer = await self._bounded(connection, self._execute(connection, sent.exchange))
        except (psycopg.Error, OSError, LostError):
            self._book.lost(sent, monotonic_ns())
            raise
        self.counts["exchange",] += 1
        self.counts["keys",] += len(sent.keys)
        self.counts["messages",] += len(sent.charges)
        self.counts["leased",] += sum(key.leased for key in answer.keys)
        self.counts["returned",] += sum(report.returned for report in sent.exchange.reports)
        self._book.apply(sent, answer)

    async def _execute(self, connection: Connection, request: Exchange) -> Answer:
        values = parameters(request, DIVISOR * request.processes)
        try:
            row = await self._fetch(connection, self._exchange_sql, values)
        except (SerializationFailure, DeadlockDetected):
            # Rolled back for certain, so nothing is charged twice.
            self.counts["retried",] += 1
            row = await self._fetch(connection, self._exchange_sql, values)
        return answer_of(row[0])

    async def _fetch(self, connection: Connection, statement: LiteralString, values: Mapping[str, object]) -> TupleRow:
        cursor = await connection.execute(statement, values, prepare=True)
        row = await cursor.fetchone()
        if row is None:
            raise LostError("the statement gave no row")
        return row

    async def _bounded(self, connection: Connection, doing: Coroutine[Any, Any, Result]) -> Result:
        """The result of ``doing``, unless it takes too long: then its connection is cut, which ends it."""
        task = asyncio.ensure_future(doing)
        give_up = monotonic_ns() + PATIENCE
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_EVERY)
            self._book.expire(monotonic_ns())
            if monotonic_ns() >= give_up and not task.done():
                task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
                cut(connection)
                raise LostError(f"no answer within {PATIENCE // 1_000_000} ms")
        return task.result()

    async def _sweep(self) -> None:
        """Now and then remove rows that say nothing, over a connection of its own."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            with suppress(psycopg.Error, OSError):
                connection = await connect(self._conninfo)
                async with connection:
                    await connection.execute(sql("sweep"))

    def _say(self, priority: int, event: str, **values: object) -> None:
        """Log a change of state once, not every attempt."""
        if event != self._said:
            self._said = event
            log(priority, event, **values)


def cut(connection: Connection) -> None:
    """End a connection at once: whoever reads from it sees its end. Never waits for the server."""
    with suppress(psycopg.Error, OSError):
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        finally:
            duplicate.close()


def parameters(request: Exchange, divisor: int) -> dict[str, str | int]:
    """An exchange as the arrays of ``quota.exchange``, written as PostgreSQL's array literals."""
    asks, reports = request.asks, request.reports
    charges = [
        (message, index, units) for message, charge in enumerate(request.charges, start=1) for index, units in charge
    ]
    return {
        "keys": "{" + ",".join(_text(ask.key) for ask in asks) + "}",
        "intervals": _numbers([ask.interval for ask in asks]),
        "bursts": _numbers([ask.burst for ask in asks]),
        "generations": _numbers([ask.generation for ask in asks]),
        "leases": _numbers([ask.lease for ask in asks]),
        "reserves": _numbers([ask.reserve for ask in asks]),
        "shared": "{" + ",".join("t" if ask.shared else "f" for ask in asks) + "}",
        "divisor": divisor,
        "processes": request.processes,
        "report_keys": _numbers([report.index + 1 for report in reports]),
        "report_generations": _numbers([report.generation for report in reports]),
        "report_spent": _numbers([report.spent for report in reports]),
        "report_returned": _numbers([report.returned for report in reports]),
        "charge_messages": _numbers([message for message, _, _ in charges]),
        "charge_keys": _numbers([index + 1 for _, index, _ in charges]),
        "charge_units": _numbers([units for _, _, units in charges]),
    }


def answer_of(text: str) -> Answer:
    """The JSON answer of ``quota.exchange`` as values."""
    answer = json.loads(text)
    keys = zip(
        answer["backlog"], answer["leased"], answer["reserved"], answer["generation"], answer["expires"], strict=True
    )
    verdicts = zip(answer["refused_by"], answer["wait"], strict=True)
    return Answer(
        [KeyAnswer(*key) for key in keys], [Verdict(refused_by - 1, needed) for refused_by, needed in verdicts]
    )


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _numbers(values: Sequence[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
