"""What a book and the database say to each other: what goes when, and what its answer means.

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
from sys import maxsize
from time import monotonic_ns

import psycopg
from psycopg.errors import SerializationFailure, UndefinedFunction

from policy_service.batch import FEW, Batch, charged, enough_of, gather, most_of, one_by_one
from policy_service.charges import Charge, Sent
from policy_service.exchange import Exchange
from policy_service.gcra import SECOND
from policy_service.lanes import Lanes
from policy_service.leases import LARGEST_EXCHANGE, PATIENCE, Book
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
    """What a book and the database say to each other. ``flights``: what is on its way.

    Batches go and come in callbacks of the loop, many a thousandth of a second; the rest, and whatever goes wrong, is
    the link's, in its own time.
    """

    def __init__(
        self,
        book: Book,
        lanes: Lanes,
        kick: asyncio.Event,
        counts: Counter[tuple[str, ...]],
        stopping: Callable[[], bool],
    ) -> None:
        self.flights: deque[Flight] = deque()
        self._stopping = stopping
        self._book = book
        self._lanes = lanes
        self._wire = lanes.first
        self._kick = kick
        self._counts = counts
        #: Whether the schema has ``quota.charge``, and whether what waits needs an exchange, which goes alone.
        self._charges = True
        self._exchange_next = False
        #: So many messages are worth a batch now.
        self._enough = 1
        self._loop = asyncio.get_running_loop()
        self._next_look: asyncio.TimerHandle | None = None
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

    def wake(self) -> None:
        """A message waits: where there are enough, they go once the loop has seen who else has something to say."""
        if self._book.waiting >= self._enough:
            self._enough = maxsize
            self._loop.call_soon(self._gathered)

    def send(self, now: int) -> None:
        """Send what messages wait for, and what else is due."""
        self._send_batches(now)
        book = self._book
        if not self.flights and (book.waiting or now >= self._quiet_until) and (sent := book.build(now)):
            self._exchanged_at = now
            self._fly(sent, now, self._wire)

    def _send_batches(self, now: int) -> None:
        """Send messages that only have to be charged, as many batches as there are connections and messages for."""
        book = self._book
        # What is not about messages needs its turn, too, and that comes when nothing is on its way.
        crowded_out = book.due and now - self._exchanged_at >= STARVED
        self._exchange_next = not self._charges or crowded_out
        self._enough = maxsize
        on_their_way = sum([len(flight.charges) for flight in self.flights])
        while book.waiting:
            if self._exchange_next:
                self._kick.set()
                return
            most = min(most_of(book.waiting, on_their_way), LARGEST_EXCHANGE)
            if self.flights and book.waiting < most:
                break
            wire = self._lanes.free()
            if wire is None:
                # They go when an answer has come.
                if book.waiting >= FEW:
                    self._lanes.widen()
                return
            if batch := gather(book, most, now):
                self._fly(batch, now, wire)
                on_their_way += len(batch.charges)
            else:
                self._exchange_next = True
        self._enough = enough_of(on_their_way) if self.flights else 1

    def _gathered(self) -> None:
        if self._book.connected:
            self._send_batches(monotonic_ns())

    def land(self, now: int) -> None:
        """Take the answers that have come, and were not taken at once."""
        for flight in [flight for flight in self.flights if flight.answer.done()]:
            try:
                row = flight.answer.result()
            except psycopg.Error as error:
                if flight.again or error.sqlstate not in SENT_AGAIN:
                    raise
                self._counts["retried",] += 1
                what = flight.what
                again = one_by_one(what, self._book.processes) if isinstance(what, Batch) else what
                self._fly(again, now, self._wire, again=isinstance(what, Sent))
            else:
                self._landed(flight, row, now)
            self.flights.remove(flight)
        self._book.expire(now)
        self._look_again()
        if self._overdue(now):
            raise LostError(f"no answer within {PATIENCE // 1_000_000} ms")

    def _answered(self, flight: Flight) -> None:
        """An answer has come. That of a batch that fitted is taken at once; what else it means is the link's matter."""
        answer = flight.answer
        if flight not in self.flights or answer.cancelled():
            return
        if isinstance(flight.what, Batch) and answer.exception() is None:
            now = monotonic_ns()
            self.flights.remove(flight)
            self._landed(flight, answer.result(), now)
            self._book.expire(now)
            self._send_batches(now)
            self._look_again()
            if not self.flights and (self._book.due or self._stopping()):
                self._kick.set()
        else:
            self._kick.set()

    def _look(self) -> None:
        """Answer those who have waited too long, while something is on its way."""
        self._next_look = None
        now = monotonic_ns()
        self._book.expire(now)
        self._look_again()
        if self._overdue(now):
            self._kick.set()

    def _look_again(self) -> None:
        """See to it that there is another look where something is on its way, and none else."""
        if self._next_look is None and self.flights:
            self._next_look = self._loop.call_later(LOOK_EVERY / SECOND, self._look)
        elif self._next_look is not None and not self.flights:
            self._next_look.cancel()
            self._next_look = None

    def _overdue(self, now: int) -> bool:
        return bool(self.flights) and now - self.flights[0].at >= PATIENCE

    def lose(self, now: int) -> None:
        """The connection is gone: whatever was on its way is as good as spent."""
        while self.flights:
            self._book.lost(self.flights.popleft().charges, now)
        self._look_again()

    async def rest(self, next_beat: int) -> None:
        """Wait for a reason to speak: an answer, a message, something that is due, the next heartbeat."""
        now = monotonic_ns()
        until = min(next_beat, self._book.next_round)
        if self._book.due and not self.flights:
            until = min(until, self._quiet_until)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(until - now, 0) / SECOND):
                if not self._ready():
                    self._kick.clear()
                    await self._kick.wait()

    def _ready(self) -> bool:
        """Whether the link has something to do at once: an answer, messages that need an exchange, the end."""
        if self.flights:
            return any(flight.answer.done() for flight in self.flights) or self._overdue(monotonic_ns())
        return bool(self._book.waiting or self._stopping())

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

    def _fly(self, what: Sent | Batch, now: int, wire: Wire, *, again: bool = False) -> None:
        if isinstance(what, Batch):
            values = charge_values(what, self._book.processes)
            answer = wire.send(sql("charge"), values, binary=True)
        else:
            values = parameters(what.exchange, DIVISOR * what.exchange.processes)
            answer = wire.send(sql("exchange"), values)
        flight = Flight(what, answer, now, again)
        self.flights.append(flight)
        answer.add_done_callback(lambda _: self._answered(flight))
        self._look_again()

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
