"""Asks the ledger: which journeys an address, a Message-ID or a queue id belongs to, and what is new.

In a private ledger texts hold tokens. A reader with ``Names`` finds addresses and puts them in place of their tokens,
in the very last step: the database compares tokens only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from psycopg import sql
from psycopg.rows import RowFactory, class_row, dict_row, tuple_row

from smtpctl.ledger.connection import Connection, statement
from smtpctl.ledger.gathering import Gathering
from smtpctl.ledger.journeys import EventStep, Journey
from smtpctl.ledger.keystore import Opener
from smtpctl.ledger.spans import Span, growing, of_hours
from smtpctl.ledger.texts import texts_in, with_texts
from smtpctl.ledger.tokens import Hider, LookupKey, hashes_in, lookups, revealed

_QUEUE_ID = re.compile(r"[0-9A-F]{6,26}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}z[0-9A-Za-z]{1,16}")

#: What is counted -> the statement and the view that count it.
_TOP = {
    "domain": ("top_days", "bounce_rates"),
    "relay_name": ("top_days", "relays"),
    "host": ("top", "routes"),
    **dict.fromkeys(("provider", "pool", "stream", "credential"), ("top", "hourly")),
    **dict.fromkeys(("reply", "category", "dsn"), ("top", "replies")),
}

#: After every row, those of a host whose clock is wrong too.
_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
#: How long before an attempt its message, or the one that was submitted for it, may have begun.
_IN_QUEUES = timedelta(days=11)
#: Subjects of a domain that are looked up one by one; of more, rows are so many that the latest hours hold some.
_MOST_PEOPLE = 2000

Value = TypeVar("Value")


class Names:
    """What it takes to find and to read addresses in a private ledger: keys of the hash, and reading keys."""

    def __init__(self, keys: Sequence[LookupKey], opener: Opener | None, providers: Iterable[bytes] = ()) -> None:
        self._keys = keys
        self._opener = opener
        self._hider = Hider(keys[0], providers)

    def hashes(self, address: str) -> list[bytes]:
        """What an address may be found by."""
        return lookups(self._keys, address)

    def message_id(self, identity: str) -> str:
        """A Message-ID as the ledger has it."""
        return self._hider.message_id(identity.encode()).decode()

    def open(self, rows: Iterable[tuple[Any, ...]]) -> dict[bytes, str]:
        """Addresses by their hashes."""
        if self._opener is None:
            return {}
        return self._opener.open((bytes(hashed), bytes(public), bytes(sealed)) for hashed, public, sealed in rows)


@dataclass(frozen=True, kw_only=True)
class Search:
    """What attempts are looked for; all that is named has to hold."""

    address: str | None = None
    domain: str | None = None
    credential: str | None = None
    stream: str | None = None
    provider: str | None = None
    status: str | None = None
    category: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the ledger knows of what was asked: journeys, and refusals that never became a message. Latest first."""

    journeys: list[Journey]
    refusals: list[EventStep]


class Reader:
    """Questions to the ledger over one connection."""

    def __init__(self, connection: Connection, names: Names | None = None) -> None:
        self._connection = connection
        self._names = names

    def show(self, wanted: str, last: int) -> Answer:
        """The latest ``last`` journeys of an address, a Message-ID (with or without its brackets) or a queue id."""
        answer = self._show(wanted, last)
        return self.revealed(answer)

    def _show(self, wanted: str, last: int) -> Answer:
        if _QUEUE_ID.fullmatch(wanted):
            return self._of_messages(self._numbers("messages_by_queue_id", wanted=wanted, last=last), last)
        bare = wanted.removeprefix("<").removesuffix(">")
        hidden = bare if self._names is None else self._names.message_id(bare)
        seeds = self._numbers("messages_by_message_id", wanted=hidden, last=last)
        if seeds or wanted.startswith("<"):
            return self._of_messages(seeds, last)
        return self._of_address(wanted, last)

    def news(self, since: dict[int, int] | None) -> tuple[dict[int, int], list[dict[str, Any]]]:
        """What was stored after ``since`` (source to row number): the new numbers, and deliveries and refusals in order
        of time. Rows of a source are numbered in the order of their commits, so none is missed and none comes twice."""
        current = {row["id"]: row["next_row"] for row in self.sources()}
        rows: list[dict[str, Any]] = []
        for source, following in current.items():
            begin = following if since is None else since.get(source, 1)
            if begin < following:
                base = source << 40
                rows += self._ask(dict, "new_rows", first=base + begin, last=base + following - 1)
        return current, self.revealed(sorted(rows, key=lambda row: (row["at"], row["id"])))

    def sources(self) -> list[dict[str, Any]]:
        """How far each host's log has been read."""
        return self._ask(dict, "source_rows")

    def stats(self, since: datetime) -> list[dict[str, Any]]:
        """Attempts since a moment, by stream, provider and status."""
        return self._ask(dict, "stats", since=since)

    def audit(self, since: datetime) -> list[tuple[str, str, str, int]]:
        """What became of the messages since a moment, and of all that wait: (host, instance, outcome, how many)."""
        return self._ask(tuple, "audit", since=since)

    def waiting(self) -> list[tuple[str, str, str]]:
        """Host, instance and queue id of every message that is in a queue."""
        return self._ask(tuple, "audit_waiting")

    def record_audit(self, detail: dict[str, Any]) -> None:
        """Write down that an audit found differences."""
        self._connection.execute("SELECT ledger.record_audit(%s)", (json.dumps(detail),))

    def accepted(self, since: datetime) -> dict[str, int]:
        """Messages that were submitted since a moment, by stream."""
        return {row["stream"]: row["messages"] for row in self._ask(dict, "accepted_by_stream", since=since)}

    def incidents(self, since: datetime) -> list[dict[str, Any]]:
        """Security events since a moment, by what they are and whom they are about; the latest first."""
        return self.revealed(self._ask(dict, "incidents", since=since))

    def incident(self, kind: str, subject: str, since: datetime, last: int) -> dict[str, Any]:
        """The latest ``last`` events of an incident, and who has acknowledged it."""
        about = {"kind": kind, "subject": subject}
        events = self._ask(dict, "incident_events", since=since, last=last, **about)
        return {"events": self.revealed(events), "acknowledged": self._ask(dict, "incident_acknowledgements", **about)}

    def acknowledge(self, kind: str, subject: str, who: str, why: str) -> None:
        """Write down that somebody has seen an incident."""
        self._connection.execute(statement("acknowledge"), {"kind": kind, "subject": subject, "who": who, "why": why})

    def outgoing(self, since: datetime) -> list[dict[str, Any]]:
        """Attempts towards the outside since a moment, by stream, provider and status."""
        return self._ask(dict, "outgoing_by_provider", since=since)

    def waiting_of(self, credentials: list[str]) -> list[dict[str, Any]]:
        """Host, instance and queue id of what waits on relays and was submitted by one of ``credentials``."""
        return self._ask(dict, "waiting_of_credentials", credentials=credentials)

    def refusals_of(self, credential: str, since: datetime, last: int) -> list[dict[str, Any]]:
        """What the policy service refused or put off of a credential since a moment, the latest first."""
        rows = self._ask(dict, "refusals_of_credential", credential=credential, since=since, last=last)
        return self.revealed(rows)

    def subject(self, address: str) -> int | None:
        """The number of an address; also of a token."""
        hashes = hashes_in(address) or ([] if self._names is None else self._names.hashes(address))
        return next(iter(self._numbers("subject_of_address", wanted=address.lower(), hashes=hashes)), None)

    def about(self, address: str) -> dict[str, Any]:
        """What stands about a person beside journeys: reports, complaints, suppressions."""
        subject = self.subject(address)
        tables = ("bounces", "complaints", "suppressions")
        return {table: self.revealed(self._ask(dict, f"{table}_of_subject", subject=subject)) for table in tables}

    def revealed(self, value: Value) -> Value:
        """``value`` (rows, steps, lists of them) with addresses in place of tokens, where the keys are at hand."""
        found: dict[bytes, str] = {}
        while self._names is not None:  # an address may itself hold a token: a bounce address does
            hashes = {hashed for text in texts_in(value) for hashed in hashes_in(text)} - found.keys()
            more = self._names.open(self._ask(tuple, "sealed_subjects", hashes=sorted(hashes))) if hashes else {}
            if not more:
                break
            found |= more
            value = with_texts(value, partial(revealed, addresses=found))
        return value

    def search(self, wanted: Search, before: tuple[datetime, int] | None, rows: int) -> list[dict[str, Any]]:
        """The next ``rows`` attempts of what is wanted, the latest first, that come after the row ``before``."""
        subject = None
        if wanted.address is not None:
            subject = self.subject(wanted.address)
            if subject is None:
                return []
        people = None if wanted.domain is None else self._people(wanted.domain)
        if people == []:
            return []
        values = {name: getattr(wanted, name) for name in Search.__dataclass_fields__}
        before_at, before_id = before or (None, None)
        values |= {"subject": subject, "people": people, "before_at": before_at, "before_id": before_id}
        found: list[dict[str, Any]] = []
        for since, until in self._spans(wanted, before_at, rows, indexed=bool(subject or people)):
            known = {"known_since": since - _IN_QUEUES, "known_until": until + timedelta(hours=1)}
            place = {"since": since, "until": until, "rows": rows - len(found), **known}
            found += self._ask(dict, "search", **(values | place))
            if len(found) >= rows:
                break
        return self.revealed(found)

    def _people(self, domain: str) -> list[int] | None:
        """The subjects of a domain, by whom its rows are found in an index; none where they are too many for that."""
        numbers = self._numbers("subjects_of_domain", domain=domain, most=_MOST_PEOPLE + 1)
        return numbers if len(numbers) <= _MOST_PEOPLE else None

    def _spans(self, wanted: Search, before: datetime | None, rows: int, *, indexed: bool) -> Iterator[Span]:
        """The times to look at, the latest first. What an index finds takes one look; of a kind that sums know, only
        hours that hold some are looked at."""
        ((first, summed),) = self._ask(tuple, "first_day")
        begin = max(filter(None, (wanted.since, first)), default=datetime.now(UTC))
        end = min(wanted.until or _NEVER, _NEVER if before is None else before + timedelta(microseconds=1))
        if indexed:
            return iter([(begin, end)] if begin < end else [])
        kind = {name: getattr(wanted, name) for name in ("stream", "provider", "status", "category")}
        if summed and any(kind.values()):
            return of_hours(self._ask(tuple, "search_hours", since=begin, until=end, **kind), begin, end, rows)
        return growing(begin, end, datetime.now(UTC))

    def top(self, what: str, since: datetime, rows: int) -> list[dict[str, Any]]:
        """The most frequent values of a column of what went towards the outside; of replies, categories and codes those
        of failures. Since the begin of the hour; for domains and relays, of the day (UTC)."""
        name, view = _TOP[what]
        query = statement(name).format(what=sql.Identifier(what), view=sql.Identifier("ledger", view))
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, {"since": since, "rows": rows}).fetchall()

    def _of_messages(self, seeds: Iterable[int], last: int) -> Answer:
        return Answer(Gathering(self._ask).journeys(seeds)[:last], [])

    def _of_address(self, wanted: str, last: int) -> Answer:
        subject = self.subject(wanted)
        if subject is None:
            return Answer([], [])
        received = self._numbers("messages_by_recipient", wanted=subject, last=last)
        journeys = Gathering(self._ask, {subject}).journeys(received)
        known = {stop.id for journey in journeys for stop in journey.stops}
        sent = self._numbers("messages_by_sender", wanted=subject, last=last)
        journeys += Gathering(self._ask).journeys(number for number in sent if number not in known)
        journeys.sort(key=lambda journey: journey.first.started_at, reverse=True)
        refusals = self._ask(EventStep, "refusals", subject=subject, last=last)
        return Answer(journeys[:last], refusals)

    def _numbers(self, name: str, **values: object) -> list[int]:
        return [row[0] for row in self._ask(tuple, name, **values)]

    def _ask(self, kind: type, name: str, /, **values: object) -> list[Any]:
        """The rows that a named statement gives, as values of ``kind``: tuple, dict, or a class with those fields."""
        factories: dict[type, RowFactory[Any]] = {tuple: tuple_row, dict: dict_row}
        with self._connection.cursor(row_factory=factories.get(kind) or class_row(kind)) as cursor:
            # planned for these values: conditions that are not named, and days that are out of time, fall away
            return cursor.execute(statement(name), values, prepare=False).fetchall()
