"""Asks the ledger: which journeys an address, a Message-ID or a queue id belongs to, and what is new."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg.rows import class_row, dict_row

from smtpctl.ledger.connection import Connection, statement
from smtpctl.ledger.journeys import BounceStep, DeliveryStep, EventStep, Hop, Journey, Stop, assemble

_QUEUE_ID = re.compile(r"[0-9A-F]{6,26}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}z[0-9A-Za-z]{1,16}")
#: Messages of one answer. A journey has a handful; a newsletter's bounce address has millions.
_MOST = 2000

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the ledger knows of what was asked: journeys, and refusals that never became a message."""

    journeys: list[Journey]
    refusals: list[EventStep]


class Reader:
    """Questions to the ledger over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def show(self, wanted: str, last: int) -> Answer:
        """The latest ``last`` journeys of an address, a Message-ID (with or without its brackets) or a queue id."""
        if _QUEUE_ID.fullmatch(wanted):
            return self._journeys(self._ids("messages_by_queue_id", wanted=wanted, last=last))
        bare = wanted.removeprefix("<").removesuffix(">")
        seeds = self._ids("messages_by_message_id", wanted=bare, last=last)
        if seeds or wanted.startswith("<"):
            return self._journeys(seeds)
        return self._of_address(wanted, last)

    def _of_address(self, wanted: str, last: int) -> Answer:
        subject = self._one("SELECT id FROM ledger.subjects WHERE address = lower(%s)", wanted)
        if subject is None:
            return Answer([], [])
        received = self._ids("messages_by_recipient", wanted=subject, last=last)
        answer = self._journeys(received, {subject})
        sent = self._ids("messages_by_sender", wanted=subject, last=last)
        known = {stop.id for journey in answer.journeys for stop in journey.stops}
        journeys = answer.journeys + self._journeys([number for number in sent if number not in known]).journeys
        journeys.sort(key=lambda journey: journey.first.started_at, reverse=True)
        refusals = self._rows(EventStep, "refusals", subject=subject, last=last)
        return Answer(journeys[:last], [refusal for refusal in refusals if refusal.message is None])

    def _journeys(self, seeds: Collection[int], recipients: Collection[int] = ()) -> Answer:
        """The journeys of some messages. With ``recipients`` only what concerns those, and the names they turn into."""
        names = set(recipients)
        stops: dict[int, Stop] = {}
        deliveries: dict[int, DeliveryStep] = {}
        hops: dict[int, Hop] = {}
        frontier = set(seeds)
        while frontier and len(stops) < _MOST:
            found = list(frontier)
            for stop in self._rows(Stop, "stops", messages=found):
                stops[stop.id] = stop
            for row in self._dicts("stop_deliveries", messages=found, recipients=list(names) or None):
                number = row.pop("recipient_number")
                if recipients:
                    names.add(number)
                deliveries[row["id"]] = DeliveryStep(**row)
            mine = [step.id for step in deliveries.values() if step.message in frontier]
            for hop in self._rows(Hop, "next_hops", deliveries=mine):
                hops[hop.delivery] = hop
            for hop in self._rows(Hop, "previous_hops", messages=found, recipients=list(names) or None):
                hops[hop.delivery] = hop
            relatives = self._ids("relatives", messages=found)
            linked = {number for hop in hops.values() for number in (hop.message, hop.next)}
            frontier = (linked | set(relatives)) - stops.keys()
        events = self._rows(EventStep, "stop_events", messages=list(stops), recipients=list(names) or None)
        bounces = self._rows(
            BounceStep,
            "stop_bounces",
            message_ids=_both_forms(stop.message_id for stop in stops.values()),
            queue_ids=[stop.queue_id for stop in stops.values()],
            recipients=list(names) or None,
        )
        return Answer(assemble(stops.values(), deliveries.values(), events, list(hops.values()), bounces), [])

    def news(self, since: dict[int, int] | None) -> tuple[dict[int, int], list[dict[str, Any]]]:
        """What was stored after ``since`` (source to row number): the new numbers, and deliveries and refusals in order
        of time. Rows of a source are numbered in the order of their commits, so none is missed and none comes twice."""
        current = {row["id"]: row["next_row"] for row in self._dicts("source_rows")}
        rows: list[dict[str, Any]] = []
        for source, following in current.items():
            begin = following if since is None else since.get(source, 1)
            if begin < following:
                base = source << 40
                rows += self._dicts("new_rows", first=base + begin, last=base + following - 1)
        return current, sorted(rows, key=lambda row: (row["at"], row["id"]))

    def sources(self) -> list[dict[str, Any]]:
        """How far each host's log has been read."""
        return self._dicts("source_rows")

    def stats(self, since: datetime) -> list[dict[str, Any]]:
        """Attempts since a moment, by stream, provider and status."""
        return self._dicts("stats", since=since)

    def _one(self, query: str, *values: object) -> Any:
        row = self._connection.execute(query.encode(), values).fetchone()
        return row[0] if row else None

    def _ids(self, name: str, **values: object) -> list[int]:
        return [row[0] for row in self._connection.execute(statement(name), values).fetchall()]

    def _dicts(self, name: str, **values: object) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement(name), values).fetchall()

    def _rows(self, kind: type[Row], name: str, **values: object) -> list[Row]:
        with self._connection.cursor(row_factory=class_row(kind)) as cursor:
            return cursor.execute(statement(name), values).fetchall()


def _both_forms(message_ids: Iterable[str | None]) -> list[str]:
    """Message-IDs bare, as the log has them here, and in the brackets that a mail has them in."""
    bare = {message_id for message_id in message_ids if message_id}
    return [*bare, *(f"<{message_id}>" for message_id in bare)]
