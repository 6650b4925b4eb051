"""Asks the ledger: which journeys an address, a Message-ID or a queue id belongs to, and what is new."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import RowFactory, class_row, dict_row, tuple_row

from smtpctl.ledger.connection import Connection, statement
from smtpctl.ledger.gathering import Gathering
from smtpctl.ledger.journeys import EventStep, Journey

_QUEUE_ID = re.compile(r"[0-9A-F]{6,26}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}z[0-9A-Za-z]{1,16}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the ledger knows of what was asked: journeys, and refusals that never became a message. Latest first."""

    journeys: list[Journey]
    refusals: list[EventStep]


class Reader:
    """Questions to the ledger over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def show(self, wanted: str, last: int) -> Answer:
        """The latest ``last`` journeys of an address, a Message-ID (with or without its brackets) or a queue id."""
        if _QUEUE_ID.fullmatch(wanted):
            return self._of_messages(self._numbers("messages_by_queue_id", wanted=wanted, last=last), last)
        bare = wanted.removeprefix("<").removesuffix(">")
        seeds = self._numbers("messages_by_message_id", wanted=bare, last=last)
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
        return current, sorted(rows, key=lambda row: (row["at"], row["id"]))

    def sources(self) -> list[dict[str, Any]]:
        """How far each host's log has been read."""
        return self._ask(dict, "source_rows")

    def stats(self, since: datetime) -> list[dict[str, Any]]:
        """Attempts since a moment, by stream, provider and status."""
        return self._ask(dict, "stats", since=since)

    def waiting_of(self, credentials: list[str]) -> list[dict[str, Any]]:
        """Host, instance and queue id of what waits on relays and was submitted by one of ``credentials``."""
        return self._ask(dict, "waiting_of_credentials", credentials=credentials)

    def _of_messages(self, seeds: Iterable[int], last: int) -> Answer:
        return Answer(Gathering(self._ask).journeys(seeds)[:last], [])

    def _of_address(self, wanted: str, last: int) -> Answer:
        subject = next(iter(self._numbers("subject_of_address", wanted=wanted)), None)
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

    def _ask(self, kind: type, name: str, **values: object) -> list[Any]:
        """The rows that a named statement gives, as values of ``kind``: tuple, dict, or a class with those fields."""
        factories: dict[type, RowFactory[Any]] = {tuple: tuple_row, dict: dict_row}
        with self._connection.cursor(row_factory=factories.get(kind) or class_row(kind)) as cursor:
            return cursor.execute(statement(name), values).fetchall()
