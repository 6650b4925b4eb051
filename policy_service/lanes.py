"""The connections over which messages are charged: the link's own, and another where many messages wait. Edge.

A batch is answered when its commit is on disk, and on one connection the next one would not begin before. Two batches
that meet at a key's row are served by PostgreSQL one after the other, as those of two processes are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import psycopg

from policy_service.wire import Connection, Wire

#: Seconds until the other connection is tried for again after it could not be made.
TRY_AGAIN = 10.0


class Lanes:
    """``first`` is the link's own. The other is opened when it is wanted first, and lasts as long as the link does."""

    def __init__(self, first: Connection, open_: Callable[[], Awaitable[Connection]]) -> None:
        self.first = Wire(first)
        self._open = open_
        self._other: tuple[Connection, Wire] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._not_before = 0.0

    def free(self) -> Wire | None:
        """A connection on which nothing is on its way."""
        if self.first.idle:
            return self.first
        if self._other and self._other[1].idle:
            return self._other[1]
        return None

    def widen(self) -> None:
        """Many messages wait for a connection: have the other one."""
        if self._other is None and self._opening is None and monotonic() >= self._not_before:
            self._opening = asyncio.create_task(self._have_other())

    async def _have_other(self) -> None:
        try:
            connection = await self._open()
        except (psycopg.Error, OSError):
            # The first one does the work alone, more slowly.
            self._not_before = monotonic() + TRY_AGAIN
        else:
            self._other = connection, Wire(connection)
        self._opening = None

    def leave(self) -> None:
        """Forget what is on its way."""
        if self._opening:
            self._opening.cancel()
        self.first.close()
        if self._other:
            self._other[1].close()

    async def close(self) -> None:
        """Close the other one, after ``leave``; the link's own is its owner's to close."""
        if self._opening:
            await asyncio.wait({self._opening})
        if self._other:
            with suppress(psycopg.Error, OSError):
                await self._other[0].close()
