"""Follows what the database says of suppressed recipients and held credentials, behind the answers. Edge.

Over a connection of its own, so that a large list never stands before a quota. Nothing waits for it: until the first
list has come nothing is suppressed, and while the database is away what was known last holds.
"""

from __future__ import annotations

import asyncio
import sys
from array import array
from time import time
from typing import Any

import psycopg
from psycopg.errors import InsufficientPrivilege, UndefinedFunction, UndefinedTable

from policy_service.database import connect
from policy_service.log import NOTICE, WARNING, log
from policy_service.standing import Standing
from policy_service.statements import sql
from policy_service.wire import Connection

#: Seconds between two looks, and after a failure.
EVERY = 2.0
AGAIN = 5.0

#: How long one statement may take (seconds).
PATIENCE = 30.0

#: Hashes fetched in one answer.
AT_ONCE = 50_000


class Follower:
    """Keeps ``standing`` as the database has it."""

    def __init__(self, standing: Standing, conninfo: str) -> None:
        self._standing = standing
        self._conninfo = conninfo
        self._since = 0
        self._listed = False
        self._to_hold: list[tuple[str, float, str]] = []
        self._said = ""

    def hold(self, credential: str, until: float, reason: str) -> None:
        """Tell the other hosts that a credential is held."""
        self._to_hold.append((credential, until, reason))

    async def run(self) -> None:
        """Connect and follow, until cancelled."""
        while True:
            try:
                connection = await connect(self._conninfo)
                async with connection:
                    await self._follow(connection)
            except (UndefinedTable, UndefinedFunction, InsufficientPrivilege) as error:
                # The control host's schema is older than this service: quotas go on as they are.
                self._say("schema-old", f"suppression and holds are not shared: {str(error).partition(chr(10))[0]}")
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._say("follow-lost", str(error).partition("\n")[0])
            await asyncio.sleep(AGAIN)

    async def _follow(self, connection: Connection) -> None:
        while True:
            for credential, until, reason in self._to_hold:
                values = {"credential": credential, "until": until, "reason": reason}
                await asyncio.wait_for(connection.execute(sql("hold"), values), PATIENCE)
            self._to_hold.clear()
            await self._suppressions(connection)
            held = await self._rows(connection, "held", {"now": time()})
            self._standing.hold({str(credential): float(until) for credential, until in held})
            if self._said:
                self._said = ""
                log(NOTICE, "following", suppressed=len(self._standing))
            await asyncio.sleep(EVERY)

    async def _suppressions(self, connection: Connection) -> None:
        """The whole list at first, afterwards what was changed in transactions since the last look."""
        ((secret, horizon),) = await self._rows(connection, "suppression_state", {})
        if not self._listed:
            hashes = array("Q")
            after = b""
            while True:
                ((part,),) = await self._rows(connection, "suppressed", {"after": after, "limit": AT_ONCE})
                if not part:
                    break
                hashes.extend(numbers(bytes(part)))
                after = bytes(part[-16:])
            self._standing.load(bytes(secret), hashes)
            self._listed = True
        else:
            for digest, on in await self._rows(connection, "suppression_changes", {"since": self._since}):
                self._standing.change(int.from_bytes(bytes(digest)[:8], "big"), suppressed=on)
        self._since = int(horizon)

    async def _rows(self, connection: Connection, name: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        cursor = await asyncio.wait_for(connection.execute(sql(name), values), PATIENCE)
        return await cursor.fetchall()

    def _say(self, event: str, text: str) -> None:
        """Log a change of state once, not every attempt."""
        if event != self._said:
            self._said = event
            log(WARNING, event, text=text)


def numbers(hashes: bytes) -> array[int]:
    """The first eight bytes of each sixteen, as numbers."""
    found = array("Q", hashes)
    if sys.byteorder == "little":
        found.byteswap()
    return found[::2]
