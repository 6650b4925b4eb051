"""What a book and the database say to each other over one connection: what goes when, and what its answer means.

While an exchange is on its way, messages gather for the next one: the busier the process, the more one statement
carries. A message waits no longer than ``LONGEST_WAIT``, then the reserve answers it; what the database charges for it
later stays charged. What takes longer than ``PATIENCE`` is given up together with its connection.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic_ns

import psycopg
from psycopg.errors import SerializationFailure, UndefinedFunction

from policy_service.batch import Batch, charged, gather, most_of, one_by_one
from policy_service.exchange import Exchange
from policy_service.gcra import SECOND
from policy_service.leases import LARGEST_EXCHANGE, PATIENCE, Book, Charge, Sent
from policy_service.statements import answer_of, charge_values, parameters, sql
from policy_service.wire import Row, Value, Wire, integers_of

#: The least pause (seconds) between exchanges that no message waits for: where one could not take all that is due, and
#: else.
SHORT_PAUSE = 0.01
PAUSE = 0.1

#: How often messages that wait are looked after while an exchange is on its way (nanoseconds).
LOOK_EVERY = 20_000_000

#: A lease takes at most the room of its key divided by this and by the number of processes: near the limit that is
#: none, and every message is decided by the database.
DIVISOR = 8

#: Exchanges and batches on their way at once: the next one is there when the database has done with one.
AT_ONCE = 2

#: Nanoseconds after which what is due and nobody waits for goes before messages.
STARVED = 50_000_000

#: What failed so was rolled back for certain: not everything fits (quota.charge), or others were in the way.
SENT_AGAIN = ("SC001", "40001", "40P01")


class LostError(Exception):
    """The database did not answer in time."""


@dataclass(slots=True, eq=False)
class Flight:
    """Messages on their way: an exchange, or a batch of charges. ``again``: the exchange had to be sent again."""

    what: Sent | Batch
    answer: asyncio.Future[Row]
    at: int
    again: bool = False

    @property
    def charges(self) -> Sequence[Charge]:
        """The messages."""
        return self.what.charges


class Talk:
    """What a book and the database say to each other over one connection. ``flights``: what is on its way."""

    def __init__(
        self,
        book: Book,
        wire: Wire,
        kick: asyncio.Event,
        counts: Counter[tuple[str, ...]],
        stopping: Callable[[], bool],
    ) -> None:
        self.flights: deque[Flight] = deque()
        self._stopping = stopping
        self._book = book
        self._wire = wire
        self._kick = kick
        self._counts = counts
        #: Whether the schema has ``quota.charge``, and whether what waits needs an exchange, which goes alone.
        self._charges = True
        self._exchange_next = False
        self._quiet_until = self._exchanged_at = 0

    async def warm(self) -> None:
        """Have the statements planned that messages will wait for, and find out what the schema has."""
        nothing = parameters(Exchange(), 1)
        with suppress(SerializationFailure):  # so says an older schema of an exchange about nothing
            await self.bounded("exchange", nothing)
        try:
            await self.bounded("charge", charge_values(Batch([], [], [], 0), 1))
        except UndefinedFunction:
            self._charges = False

    def send(self, now: int) -> None:
        """Send what messages wait for, and what else is due."""
        book = self._book
        on_their_way = sum(len(flight.charges) for flight in self.flights)
        # What is not about messages needs its turn, too, and that comes when nothing is on its way.
        crowded_out = book.due and now - self._exchanged_at >= STARVED
        self._exchange_next = not self._charges or crowded_out
        while book.waiting and len(self.flights) < AT_ONCE and not self._exchange_next:
            most = min(most_of(book.waiting, on_their_way), LARGEST_EXCHANGE)
            if self.flights and book.waiting < most:
                return
            batch = gather(book, most, now)
            if batch is None:
                self._exchange_next = True
                continue
            self._fly(batch, now)
            on_their_way += len(batch.charges)
        if not self.flights and (book.waiting or now >= self._quiet_until) and (sent := book.build(now)):
            self._exchanged_at = now
            self._fly(sent, now)

    def land(self, now: int) -> None:
        """Take the answers that have come."""
        while self.flights and self.flights[0].answer.done():
            flight = self.flights[0]
            try:
                row = flight.answer.result()
            except psycopg.Error as error:
                if flight.again or error.sqlstate not in SENT_AGAIN:
                    raise
                self._counts["retried",] += 1
                what = flight.what
                again = one_by_one(what, self._book.processes) if isinstance(what, Batch) else what
                self._fly(again, now, again=isinstance(what, Sent))
            else:
                self._landed(flight, row, now)
            self.flights.popleft()
        self._book.expire(now)
        if self.flights and now - self.flights[0].at >= PATIENCE:
            raise LostError(f"no answer within {PATIENCE // 1_000_000} ms")

    def lose(self, now: int) -> None:
        """The connection is gone: whatever was on its way is as good as spent."""
        while self.flights:
            self._book.lost(self.flights.popleft().charges, now)

    async def rest(self, next_beat: int) -> None:
        """Wait for a reason to speak: an answer, a message, something that is due, the next heartbeat."""
        now = monotonic_ns()
        until = min(next_beat, self._book.next_round)
        if self.flights:
            until = min(until, now + LOOK_EVERY)
        elif self._book.due:
            until = min(until, self._quiet_until)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(until - now, 0) / SECOND):
                while not self._ready():
                    self._kick.clear()
                    await self._kick.wait()

    def _ready(self) -> bool:
        """Whether an answer has come, or there are messages enough to send."""
        waiting = self._book.waiting
        if not self.flights:
            return bool(waiting or self._stopping())
        if self.flights[0].answer.done():
            return True
        if len(self.flights) == AT_ONCE or self._exchange_next:
            return False
        return waiting >= most_of(waiting, len(self.flights[0].charges))

    async def bounded(self, name: str, values: Mapping[str, Value]) -> Row:
        """The answer to a statement, unless it takes too long. Messages that wait are looked after meanwhile."""
        answer = self._wire.send(sql(name), values)
        give_up = monotonic_ns() + PATIENCE
        while not answer.done():
            await asyncio.wait({answer}, timeout=LOOK_EVERY / SECOND)
            self._book.expire(monotonic_ns())
            if monotonic_ns() >= give_up and not answer.done():
                raise LostError(f"no answer within {PATIENCE // 1_000_000} ms")
        return answer.result()

    def _fly(self, what: Sent | Batch, now: int, *, again: bool = False) -> None:
        if isinstance(what, Batch):
            values = charge_values(what, self._book.processes)
            answer = self._wire.send(sql("charge"), values, binary=True)
        else:
            values = parameters(what.exchange, DIVISOR * what.exchange.processes)
            answer = self._wire.send(sql("exchange"), values)
        answer.add_done_callback(lambda _: self._kick.set())
        self.flights.append(Flight(what, answer, now, again))

    def _landed(self, flight: Flight, row: Row, now: int) -> None:
        what, found = flight.what, row[0] or b""
        self._counts["exchange",] += 1
        self._counts["keys",] += len(what.keys)
        self._counts["messages",] += len(what.charges)
        if isinstance(what, Batch):
            charged(self._book, what, integers_of(found))
            return
        answer = answer_of(found.decode())
        self._counts["leased",] += sum(key.leased for key in answer.keys)
        self._counts["returned",] += sum(report.returned for report in what.exchange.reports)
        self._book.apply(what, answer)
        # Keys that are due can wait a little for company; a message cannot.
        self._quiet_until = now + int(SECOND * (SHORT_PAUSE if self._book.due else PAUSE))
