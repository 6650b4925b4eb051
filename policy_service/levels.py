"""How full the limits are, out of the rows of the database. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy_service.gcra import SECOND, backlog, room, wait
from policy_service.rules import ramp
from policy_service.ruleset import Credential, Limit, Ruleset


@dataclass(frozen=True, slots=True)
class Level:
    """One key of one limit. ``used`` counts what has not decayed and what hosts hold leased; ``retry`` seconds."""

    key: str
    limit: str
    used: int
    room: int
    retry: int

    def as_json(self) -> dict[str, object]:
        """The level as a JSON object."""
        return {
            "key": self.key,
            "limit": self.limit,
            "used": self.used,
            "room": self.room,
            "retry_seconds": self.retry,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A row of ``sql/levels.sql``."""

    key: str
    tat: int
    held: int
    lag: int
    now: int
    lag_now: int


def level(key: str, limit: Limit, row: Row | None, units: int = 1) -> Level:
    """How ``key`` stands, and in how many seconds ``units`` more would fit."""
    shape = limit.shape
    if row is None:
        return Level(key, limit.title, 0, shape.burst, 0)
    tat = row.tat + (row.lag_now - row.lag if shape.share else 0)
    full = backlog(tat, row.held, shape.interval, row.now)
    return Level(
        key,
        limit.title,
        used=-(-full // shape.interval),
        room=room(full, shape.interval, shape.burst),
        retry=-(-wait(full, units, shape.interval, shape.burst) // SECOND),
    )


def limit_of(ruleset: Ruleset, key: str, wall: float) -> Limit | None:
    """The limit that a key counts for, or None where the rules have no such limit any more."""
    kind, counted, window, owner = [*key.split(":", 3), "", "", ""][:4]
    parts = ("credential",) if kind == "ramp" else kind.split("+")
    owners = dict(zip(parts, owner.split(","), strict=False))
    for credential in ruleset.credentials.values():
        if not _owns(credential, owners):
            continue
        day = ramp.limit_of_day(credential, wall, ruleset.processes)
        limits = credential.limits if day is None else (*credential.limits, day)
        for limit in limits:
            if (limit.kind, limit.counted, str(limit.shape.window // SECOND)) == (kind, counted, window):
                return limit
    return None


def _owns(credential: Credential, owners: Mapping[str, str]) -> bool:
    """Whether a key of these owners may be one of the credential's."""
    if owners.get("credential", credential.name) != credential.name:
        return False
    if owners.get("stream", credential.stream.name) != credential.stream.name:
        return False
    if "sender" in owners and not credential.may_use(owners["sender"]):
        return False
    return "domain" not in owners or credential.knows(owners["domain"])
