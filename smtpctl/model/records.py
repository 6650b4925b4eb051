"""What came of an apply, host by host, and what a host remembers of earlier ones. Plain values."""

from __future__ import annotations

from enum import StrEnum

from smtpctl.model.frozen import Frozen


class OnFailure(StrEnum):
    """What a roll-out does when a host fails: stop there, go on with the others, or take the ones before back too."""

    STOP = "stop"
    GO_ON = "continue"
    ROLL_BACK = "rollback-all"


class Outcome(StrEnum):
    """How an apply ended on one host."""

    UNCHANGED = "unchanged"
    APPLIED = "applied"
    FAILED = "failed"
    UNDONE = "undone"
    UNTOUCHED = "untouched"
    UNKNOWN = "unknown"
    ROLLED_BACK = "rolled-back"


class HostResult(Frozen):
    """One host's line of the result. ``step`` and ``detail`` say where and why it failed, in the server's own words;
    ``hint`` says what to do."""

    host: str
    outcome: Outcome
    revision: str
    seconds: float
    step: str = ""
    detail: str = ""
    hint: str = ""


class HistoryEntry(Frozen):
    """An apply that a host remembers. ``undone`` is when it was led back, or 0; ``reason`` says why; ``problems`` is
    what could not be led back. ``changed`` holds (change, path) of its files. All hosts that one command changed
    have its ``run``."""

    host: str
    number: int
    revision: str
    previous: str
    kind: str
    who: str
    begun: float
    changed: tuple[tuple[str, str], ...]
    undone: float = 0.0
    reason: str = ""
    problems: str = ""
    run: str = ""


class Event(Frozen):
    """Something begins or ends on a host while a run is going on."""

    host: str
    step: str
    detail: str = ""
