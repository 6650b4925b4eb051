"""The link to PostgreSQL: a connection that comes back, and what is said over it while it stands. Edge.

Until a new connection stands nobody waits for the database at all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from functools import partial
from time import monotonic_ns

import psycopg

from policy_service.lanes import Lanes
from policy_service.leases import Book
from policy_service.loan import BEAT_EVERY, LOAN
from policy_service.log import NOTICE, WARNING, log
from policy_service.statements import parameters, sql
from policy_service.talk import DIVISOR, LostError, Talk
from policy_service.wire import Connection, Value, integers, texts

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
        self._said: str | None = None
        self._talk: Talk | None = None

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

    def wake(self) -> None:
        """A message waits."""
        if self._talk:
            self._talk.wake()

    def stop(self) -> None:
        """Hand back what is held and end."""
        self._stopping = True
        self.kick.set()

    async def _serve(self, connection: Connection) -> bool:
        """Exchange until the connection is lost; True when it was of use."""
        lanes = Lanes(connection, partial(connect, self._conninfo))
        talk = self._talk = Talk(self._book, lanes, self.kick, self.counts, lambda: self._stopping)
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
            self._talk = None
            lanes.leave()
            talk.lose(monotonic_ns())
            self._book.disconnect(monotonic_ns())
            await lanes.close()
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


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
