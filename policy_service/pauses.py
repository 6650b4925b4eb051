"""What is paused by hand: a file that a person's `smtpctl pause` writes, and what it means here. Edge: reads that file.

The file is looked at a few times a second, so a pause takes hold without a reload. It is another's
(`smtpctl.transport.agent.pauses`); here only the members are read that decide about mail:

    {"pauses": [{"kind": …, "value": …, "action": "wait" | "refuse", "since": …, "until": …, "ended": …, "scope": {
        "credentials": [], "streams": [], "senders": ["@shop.example"], "headers": [["Name", "value"]],
        "pools": [], "providers": [], "sources": [], "everything": false}}]}
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_service.fresh_file import FreshFile

PATH = Path("/var/lib/smtpctl-operate/pauses.json")

#: How decisions name what a pause decided.
NAME = "paused"

#: Transport of a relay that delivers nothing (`defer_transports`): what is sent there waits in the queue.
TRANSPORT = "paused"


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause: what it is about, and until when."""

    kind: str
    value: str
    refuse: bool
    since: float
    until: float | None
    credentials: frozenset[str]
    streams: frozenset[str]
    senders: frozenset[str]
    headers: frozenset[tuple[str, str]]
    pools: frozenset[str]
    providers: frozenset[str]
    sources: frozenset[str]
    everything: bool

    @property
    def words(self) -> str:
        """What is paused, for a reply."""
        return "all mail" if self.everything else f"mail of {self.kind} {self.value}"

    def in_force(self, now: float) -> bool:
        return self.since <= now and (self.until is None or now < self.until)


Pauses = tuple[Pause, ...]


def parse(text: str | bytes) -> Pauses:
    """The pauses of a file that have not been ended. Raise ValueError when it is not such a file."""
    try:
        return tuple(_pause(record) for record in json.loads(text)["pauses"] if record.get("ended") is None)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a file of pauses: {error!r}") from None


def refusal(pause: Pause) -> str:
    """The action that refuses what is paused."""
    return f"554 5.7.1 Paused by the operator: {pause.words}"


def submission(pauses: Iterable[Pause], credential: str, stream: str, pool: str, sender: str) -> Pause | None:
    """The pause that concerns a message when it is submitted; one that refuses goes before one that lets it wait."""
    domain = sender[sender.rfind("@") :].lower()
    found = None
    for pause in pauses:
        mine = credential in pause.credentials or stream in pause.streams or domain in pause.senders
        # What pools and providers are about waits on the relays, unless it is to be refused.
        mine = mine or (pause.refuse and (pause.everything or pool in pause.pools))
        if mine and (found is None or pause.refuse):
            found = pause
    return found


def campaign(pauses: Iterable[Pause], headers: Iterable[tuple[bytes, bytes]]) -> Pause | None:
    """The pause that concerns a message with these headers."""
    wanted = [pause for pause in pauses if pause.headers]
    if not wanted:
        return None
    there = {(_text(name), " ".join(_text(value).split())) for name, value in headers}
    found = [pause for pause in wanted if pause.headers & there]
    return next((pause for pause in found if pause.refuse), found[0] if found else None)


def outgoing(pauses: Iterable[Pause], pool: str, provider: str, source: str) -> bool:
    """Whether a relay has to keep what it would send from a pool to a provider by a source address."""
    return any(
        pause.everything or pool in pause.pools or provider in pause.providers or source in pause.sources
        for pause in pauses
    )


class PauseFile:
    """The pauses in force now."""

    def __init__(self, path: Path = PATH) -> None:
        self._file: FreshFile[Pauses] = FreshFile(path, parse, ())

    def current(self) -> Pauses:
        """The pauses in force."""
        known = self._file.current()
        if not known:
            return known
        now = time.time()
        return tuple(pause for pause in known if pause.in_force(now))


def _pause(record: dict[str, Any]) -> Pause:
    scope: dict[str, Any] = record["scope"]
    names = ("credentials", "streams", "senders", "pools", "providers", "sources")
    return Pause(
        kind=str(record["kind"]),
        value=str(record["value"]),
        refuse=record["action"] == "refuse",
        since=float(record["since"]),
        until=None if record.get("until") is None else float(record["until"]),
        headers=frozenset((name.lower(), " ".join(value.lower().split())) for name, value in scope.get("headers", ())),
        everything=bool(scope.get("everything")),
        **{name: frozenset(scope.get(name, ())) for name in names},
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace").lower()
