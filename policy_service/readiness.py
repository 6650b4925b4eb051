"""Whether this host may take submissions: all that accepting a message needs is asked, every second, behind. Edge.

The answer to ``/readyz`` is what the last round found; a round that is too old counts as a failure. The database is no
part of it: without it mail flows under the reserve, and taking a host out of rotation would help nobody.
"""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentTypeError
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from policy_service.http import Page
from policy_service.listen import Endpoint, endpoint

ROUND = 1.0
#: A machine that stands still for a second is no reason to go out of rotation: while the other host is drained, that
#: refuses everybody. What is gone refuses at once; this is for what hangs.
PATIENCE = 2.5
#: Findings older than this say nothing any more.
STALE = 5.0

#: Any request gets an answer; this one charges nothing.
_PROBE = b"request=smtpd_access_policy\nprotocol_state=VRFY\n\n"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that must answer: it is connected to, ``say`` is sent, and what comes back starts with ``expect``."""

    where: Endpoint
    expect: bytes = b""
    say: bytes = b""
    #: Said after the answer, so that the peer need not log a lost connection.
    bye: bytes = b""

    @property
    def name(self) -> str:
        return str(self.where)


def requirement(text: str) -> Requirement:
    """Read ``unix:PATH``, ``unix-greeting:PATH:START``, ``tcp:HOST:PORT`` or ``tcp-greeting:HOST:PORT:START``."""
    kind, _, rest = text.partition(":")
    if kind in ("unix", "tcp"):
        return Requirement(endpoint(text))
    if kind == "unix-greeting":
        path, _, start = rest.rpartition(":")
        return Requirement(endpoint(f"unix:{path}"), start.encode())
    if kind == "tcp-greeting":
        where, _, start = rest.rpartition(":")
        return Requirement(endpoint(f"tcp:{where}"), start.encode(), bye=b"QUIT\r\n")
    raise ArgumentTypeError(
        f"{text!r} is not unix:PATH, tcp:HOST:PORT, unix-greeting:PATH:START or tcp-greeting:HOST:PORT:START"
    )


def own(where: Endpoint) -> Requirement:
    """The requirement that our own delegation listener answers."""
    return Requirement(where, b"action=", say=_PROBE)


async def problem(required: Requirement, patience: float = PATIENCE) -> str | None:
    """Ask once. None when it answers as it should, else what is wrong."""
    try:
        async with asyncio.timeout(patience):
            return await _ask(required)
    except TimeoutError:
        return f"no answer within {patience:g} s"
    except OSError as error:
        return error.strerror or str(error)


async def _ask(required: Requirement) -> str | None:
    where = required.where
    if where.path:
        reader, writer = await asyncio.open_unix_connection(where.path)
    else:
        reader, writer = await asyncio.open_connection(where.host, where.port)
    try:
        if required.say:
            writer.write(required.say)
        if not required.expect:
            return None
        try:
            found = await reader.readexactly(len(required.expect))
        except asyncio.IncompleteReadError as error:
            found = error.partial
        if required.bye:
            writer.write(required.bye)
            await reader.read()
        return None if found == required.expect else f"greeted with {found!r}, not {required.expect!r}"
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class Readiness:
    """Asks all requirements, round after round, and remembers."""

    def __init__(self, required: Sequence[Requirement]) -> None:
        self._required = tuple(required)
        self._problems: dict[str, str] = {"readiness": "not checked yet"}
        self._checked = 0.0
        self.draining = False

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await self.check()
            await asyncio.sleep(ROUND)

    async def check(self) -> None:
        """One round, all at once."""
        found = await asyncio.gather(*(problem(required) for required in self._required))
        self._problems = {
            required.name: text for required, text in zip(self._required, found, strict=True) if text is not None
        }
        self._checked = monotonic()

    def problems(self) -> dict[str, str]:
        """What is not as it should be, by name; empty when mail can be taken."""
        if self.draining:
            return {"service": "stopping"}
        if self._checked and monotonic() - self._checked > STALE:
            return {"readiness": f"last checked {monotonic() - self._checked:.0f} s ago"}
        return self._problems

    def page(self) -> Page:
        """The answer to ``/readyz``."""
        problems = self.problems()
        body = {"version": 1, "ready": not problems, "problems": problems}
        return Page(503 if problems else 200, "application/json", json.dumps(body) + "\n")
