"""The link to PostgreSQL: what is on its way over one connection, with a bound, and coming back. Edge.

While an exchange is on its way, messages gather for the next one: the busier the process, the more one statement
carries. A message waits no longer than ``LONGEST_WAIT``, then the reserve answers it; what the database charges for it
later stays charged. An exchange that takes longer than ``PATIENCE`` is given up together with its connection. Until a
new one stands nobody waits at all.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from time import monotonic_ns
from typing import LiteralString

import psycopg
from psycopg.errors import SerializationFailure, UndefinedFunction

from policy_service.batch import Batch, charged, gather, most_of, one_by_one
from policy_service.exchange import Answer, Exchange, KeyAnswer, Verdict
from policy_service.gcra import SECOND, Shape
from policy_service.leases import LARGEST_EXCHANGE, PATIENCE, Book, Charge, Sent
from policy_service.loan import BEAT_EVERY, LOAN
from policy_service.log import NOTICE, WARNING, log
from policy_service.wire import Connection, Row, Value, Wire, integers, integers_of, texts

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


#: Exchanges and batches on their way at once: the next one is there when the database has done with one.
AT_ONCE = 2

#: Nanoseconds after which what is due and nobody waits for goes before messages.
STARVED = 50_000_000

#: What failed so was rolled back for certain: not everything fits (quota.charge), or others were in the way.
SENT_AGAIN = ("SC001", "40001", "40P01")


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
        wire = Wire(connection)
        talk = Talk(self._book, wire, self.kick, self.counts, lambda: self._stopping)
        useful = False
        try:
            await talk.warm()
            while True:
                now = monotonic_ns()
                self._book.tend(now)
                talk.land(now)
                if self._stopping and not talk.flights:
                    await self._leave(talk)
                    return True
                await self._beat(talk, now)
                await self._hand_back(talk)
                if not self._book.connected:
                    self._book.connected = True
                    self.contact.set()
                    self._say(NOTICE, "database-connected")
                useful = True
                talk.send(monotonic_ns())
                await talk.rest(self._book.loan.next_beat)
        except (psycopg.Error, OSError, LostError) as error:
            self._say(WARNING, "database-lost", text=_first_line(error))
            self.counts["lost",] += 1
            return useful
        finally:
            wire.close()
            talk.lose(monotonic_ns())
            self._book.disconnect(monotonic_ns())
            with suppress(psycopg.Error, OSError):
                await connection.close()

    async def _leave(self, talk: Talk) -> None:
        """Hand back what is held, and lend the share until somebody comes back."""
        if sent := self._book.build_return(monotonic_ns()):
            await talk.bounded("exchange", parameters(sent.exchange, DIVISOR * sent.exchange.processes))
        if self._book.entitled:
            await talk.bounded("leave", {"process": self._process, "processes": self._book.processes})

    async def _beat(self, talk: Talk, now: int) -> None:
        """Lend the share for another while when it is time, which also shows that the connection stands."""
        loan = self._book.loan
        while now >= loan.next_beat:
            sent = monotonic_ns()
            not_after = loan.beat_sent(sent)
            values: dict[str, Value] = {
                "process": self._process,
                "processes": self._book.processes,
                "loan": LOAN,
                # Who has no share only asks for the time.
                "not_after": not_after if self._book.entitled else 0,
            }
            try:
                moment, lent = await talk.bounded("beat", values)
            except (psycopg.Error, OSError, LostError):
                loan.beat_lost(monotonic_ns())
                raise
            loan.beat_answered(int(moment or 0), sent, monotonic_ns(), lent=lent == b"t")
            if not self._book.entitled:
                loan.next_beat = now + BEAT_EVERY

    async def _hand_back(self, talk: Talk) -> None:
        """Give back what messages were charged that were not sent."""
        loan = self._book.loan
        told = [one for one in self._book.handed_back() if loan.truth_time(one.not_after)]
        if told:
            values: dict[str, Value] = {
                "keys": texts([one.key for one in told]),
                "nanoseconds": integers([one.nanoseconds for one in told]),
                "not_after": integers([loan.truth_time(one.not_after) for one in told]),
            }
            await talk.bounded("hand_back", values)
            self.counts["handed_back",] += len(told)

    async def _pause(self, seconds: float) -> None:
        """Wait before connecting again; the book is not connected, so nobody waits meanwhile."""
        self.kick.clear()
        if not self._stopping:
            await asyncio.sleep(seconds)
        self._book.tend(monotonic_ns())

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
        if self.flights:
            seconds = LOOK_EVERY
        elif self._book.due:
            seconds = max(self._quiet_until - now, 0) / SECOND
        else:
            seconds = OCCASION
        seconds = min(seconds, max(next_beat - now, 0) / SECOND)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
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
            await asyncio.wait({answer}, timeout=LOOK_EVERY)
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


def charge_values(batch: Batch, processes: int) -> dict[str, Value]:
    """A batch as ``quota.charge`` takes it."""
    # The same shape is nearly always the same object; where it is not, it stands there twice.
    places: dict[int, int] = {}
    shapes: list[Shape] = []
    indexes = []
    for key in batch.keys:
        place = places.get(id(key.shape))
        if place is None:
            shapes.append(key.shape)
            place = places[id(key.shape)] = len(shapes)
        indexes.append(place)
    return {
        "keys": texts([key.name for key in batch.keys]),
        "shapes": integers(indexes),
        "units": integers(batch.units),
        "intervals": integers([shape.interval for shape in shapes]),
        "bursts": integers([shape.burst for shape in shapes]),
        "generations": integers([shape.generation for shape in shapes]),
        "shared": "{" + ",".join("t" if shape.reserve else "f" for shape in shapes) + "}",
        "processes": processes,
    }


def parameters(request: Exchange, divisor: int) -> dict[str, Value]:
    """An exchange as the arrays of ``quota.exchange``; the long ones in the form that the server need not read."""
    asks, reports = request.asks, request.reports
    charges = [
        (message, index, units) for message, charge in enumerate(request.charges, start=1) for index, units in charge
    ]
    return {
        "keys": texts([ask.key for ask in asks]),
        "intervals": integers([ask.interval for ask in asks]),
        "bursts": integers([ask.burst for ask in asks]),
        "generations": integers([ask.generation for ask in asks]),
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
    lists = [answer[name] or () for name in ("backlog", "leased", "reserved", "generation", "expires")]
    keys = zip(*lists, strict=True)
    verdicts = zip(answer["refused_by"], answer["wait"], strict=True)
    return Answer(
        [KeyAnswer(*key) for key in keys], [Verdict(refused_by - 1, needed) for refused_by, needed in verdicts]
    )


def _numbers(values: Sequence[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
