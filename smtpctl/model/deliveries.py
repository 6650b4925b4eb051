"""What a mail log says, as rows: messages, deliveries (attempts), events; and what a reply means.

``maillog`` makes these values and ``ledger`` stores them; neither knows the other. Text is bytes here, as the log has
it: nothing between the file and the database needs it decoded. An address stands in a row as it is written; the ledger
puts its number there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

#: A moment is whole microseconds since this one, which is also the origin of PostgreSQL's timestamps.
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
DAY = 86_400 * SECOND


def moment_of(when: datetime) -> int:
    """``when`` (with a time zone) in microseconds since EPOCH."""
    return (when - EPOCH) // timedelta(microseconds=1)


def datetime_of(moment: int) -> datetime:
    """The UTC time of a moment."""
    return EPOCH + timedelta(microseconds=moment)


#: Makes a named tuple of its fields in a third of the time that calling its class takes; nothing checks them. For what
#: is made for every line of a log.
new_tuple = tuple.__new__


class Hardness(StrEnum):
    """Whether trying again, or ever writing to that address again, makes sense."""

    HARD = "hard"
    SOFT = "soft"
    UNDETERMINED = "undetermined"


class Verdict(NamedTuple):
    """What a failing reply means."""

    hardness: Hardness
    category: str


class Place(NamedTuple):
    """Where in the fleet: an instance, and what the fleet knows of it."""

    instance: bytes
    role: bytes | None = None
    pool: bytes | None = None
    stream: bytes | None = None


class Client(NamedTuple):
    """Who handed a message in. ``credential`` is what it signed in with."""

    name: bytes | None = None
    address: bytes | None = None
    credential: bytes | None = None


class Route(NamedTuple):
    """The way out: a transport, the address that it sends from, the recipient's domain, and the provider behind it."""

    transport: bytes
    source_address: bytes | None
    domain: bytes
    provider: bytes | None


class Relay(NamedTuple):
    """The next hop: ``name[address]:port``; a transport or socket has only a name, and ``none`` not even that."""

    name: bytes | None
    address: bytes | None
    port: int | None


class Delays(NamedTuple):
    """Seconds since the message arrived, and their parts (Postfix's ``delay=`` and ``delays=a/b/c/d``)."""

    total: float
    before_manager: float
    in_manager: float
    connecting: float
    transferring: float


class Outcome(NamedTuple):
    """How an attempt ended: Postfix's word, the enhanced status code, what TLS there was, and what a failure means."""

    status: bytes
    dsn: bytes
    tls: bytes | None
    verdict: Verdict | None


class Message(NamedTuple):
    """One queue entry of one instance, as far as the log has told."""

    id: int
    started_at: int
    ended_at: int | None
    place: Place
    queue_id: bytes
    origin: bytes | None
    client: Client
    message_id: bytes | None
    sender: bytes | None
    size: int | None
    recipients: int | None
    activations: int
    first_active_at: int | None
    parent: int | None
    parent_kind: bytes | None
    end_kind: bytes | None


class Change(NamedTuple):
    """What became known of a message after it was stored. None: as it was."""

    id: int
    started_at: int
    ended_at: int | None
    place: Place | None
    queue_id: bytes | None
    origin: bytes | None
    client: Client | None
    message_id: bytes | None
    sender: bytes | None
    size: int | None
    recipients: int | None
    activations: int | None
    first_active_at: int | None
    parent: int | None
    parent_kind: bytes | None
    end_kind: bytes | None

    def only_advances(self) -> bool:
        """Whether it only says that the queue manager took the message up again, or removed it."""
        if self[3:11] != _NOTHING_ELSE or self[12:15] != _NOTHING_ELSE[:3]:
            return False
        return self.end_kind == (None if self.ended_at is None else b"removed")


_NOTHING_ELSE = (None,) * 8


class Delivery(NamedTuple):
    """One attempt to hand one recipient on."""

    id: int
    at: int
    message: int
    place: Place
    recipient: bytes
    original_recipient: bytes | None
    route: Route
    relay: Relay
    connection_use: int | None
    delays: Delays | None
    outcome: Outcome
    reply_code: int | None
    reply: bytes
    queued_as: bytes | None


class Event(NamedTuple):
    """Something else that happened: a decision, a signature, a start or stop, a gap in the log."""

    id: int
    at: int
    instance: bytes
    kind: str
    message: int | None
    sender: bytes | None
    recipient: bytes | None
    detail: dict[str, str | int]


class UnknownLine(NamedTuple):
    """A line that was not understood: its shape (what varies taken out), and the line itself."""

    at: int
    shape: bytes
    sample: bytes


@dataclass(slots=True)
class Rows:
    """What one stretch of a log adds to the ledger, in the order in which it came up. ``changes`` are of messages that
    were added before."""

    messages: list[Message] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    unknown: list[UnknownLine] = field(default_factory=list)
