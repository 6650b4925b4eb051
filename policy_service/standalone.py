"""The book's other truth: this process's own memory, where no database is given. Edge: it reads the clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from time import monotonic_ns

from policy_service.gcra import SECOND
from policy_service.leases import Book
from policy_service.memory import Memory

#: A lease is never more than this part of a key's room.
DIVISOR = 8


class Alone:
    """Keeps a book in touch with ``Memory`` until ``stop``. Quotas are this process's own, and end with it."""

    def __init__(self, book: Book) -> None:
        self.kick = asyncio.Event()
        self.contact = asyncio.Event()
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._book = book
        self._memory = Memory(DIVISOR)
        self._stopping = False

    async def run(self) -> None:
        """Settle whatever waits, whenever something does; until ``stop``."""
        self._book.connected = True
        self.contact.set()
        while not self._stopping:
            now = monotonic_ns()
            self._book.tend(now)
            for one in self._book.handed_back():
                self._memory.hand_back(one.key, one.nanoseconds)
            self._memory.sweep(now)
            while sent := self._book.build(now):
                self._book.apply(sent, self._memory.exchange(sent.exchange, now))
            with suppress(TimeoutError):
                await asyncio.wait_for(self.kick.wait(), max(self._book.next_round - now, 0) / SECOND)
            self.kick.clear()
        self._book.disconnect(monotonic_ns())

    def wake(self) -> None:
        """A message waits."""
        self.kick.set()

    def stop(self) -> None:
        """End."""
        self._stopping = True
        self.kick.set()
