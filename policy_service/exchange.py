"""What a process and the shared truth say to each other: one exchange settles many keys and messages. Values only.

An exchange first settles what earlier leases came to (*reports*), then decides whole messages (*charges*: every key or
none), then fills reserves and leases ahead. The truth is ``quota.exchange`` in PostgreSQL (``sql/schema.sql``), or
``memory.Memory`` in a process without a database; both do the same arithmetic, which a test holds them to.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Ask:
    """What is asked about one key. ``shared`` says that its limit has shares, so that lag counts for it."""

    key: str
    interval: int
    burst: int
    generation: int
    shared: bool = False
    lease: int = 0
    reserve: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """Permits of one generation of a lease that were spent, or are returned unspent. ``index`` points into the asks."""

    index: int
    generation: int
    spent: int
    returned: int


@dataclass(slots=True)
class Exchange:
    """Everything that one statement settles. ``charges`` lists (index into ``asks``, units) of each message.

    ``processes`` is the number of those that share the quotas.
    """

    asks: list[Ask] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    charges: list[list[tuple[int, int]]] = field(default_factory=list)
    processes: int = 1


@dataclass(slots=True)
class KeyAnswer:
    """How a key stands after the exchange. ``expires`` is the end of the granted lease, from the answer's ``now``."""

    backlog: int
    leased: int
    reserved: int
    generation: int
    expires: int


@dataclass(slots=True)
class Verdict:
    """What became of one message: ``refused_by`` is an index into the asks, or -1 when it was charged."""

    refused_by: int
    wait: int


@dataclass(slots=True)
class Answer:
    """The truth's answer, in the order of the asks and of the charges."""

    keys: list[KeyAnswer]
    verdicts: list[Verdict]


@dataclass(frozen=True, slots=True)
class Beat:
    """The truth's answer to a heartbeat: its time, and whether the share is lent from then on."""

    now: int
    lent: bool
