"""Gathers the rows of journeys: from some messages along every link, until nothing new is found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from smtpctl.ledger.journeys import BounceStep, DeliveryStep, EventStep, Hop, Journey, Stop, assemble

#: Asks a named question: (kind of row, name of the statement, values) -> rows.
Ask = Callable[..., list[Any]]
#: Messages of one answer. A journey has a handful; a newsletter's bounce address has millions.
_MOST = 2000
#: Messages about another one: they go to other people than it, so they are shown whole.
_NOTIFICATIONS = frozenset(("bounce", "delay", "success", "postmaster"))


class Gathering:
    """Rows that belong together. With ``recipients`` only what concerns those, and the names that aliases turn them
    into; notifications about a message are gathered whole."""

    def __init__(self, ask: Ask, recipients: Collection[int] = ()) -> None:
        self._ask = ask
        self._names = set(recipients)
        self._limited = bool(recipients)
        self._whole: set[int] = set()
        self._stops: dict[int, Stop] = {}
        self._deliveries: dict[int, DeliveryStep] = {}
        self._hops: dict[int, Hop] = {}

    def journeys(self, seeds: Iterable[int]) -> list[Journey]:
        """The journeys that the messages ``seeds`` are part of, the latest first."""
        frontier = set(seeds)
        while frontier and len(self._stops) < _MOST:
            frontier = self._gather(frontier) - self._stops.keys()
        stops = list(self._stops.values())
        names = list(self._names) if self._limited else None
        events = self._ask(EventStep, "stop_events", messages=list(self._stops), recipients=names)
        bounces = self._ask(
            BounceStep,
            "stop_bounces",
            message_ids=_both_forms(stop.message_id for stop in stops),
            queue_ids=[stop.queue_id for stop in stops],
            recipients=names,
        )
        return assemble(stops, self._deliveries.values(), events, list(self._hops.values()), bounces)

    def _gather(self, frontier: set[int]) -> set[int]:
        """Take in some messages; return those that they are linked to."""
        for stop in self._ask(Stop, "stops", messages=list(frontier)):
            self._stops[stop.id] = stop
            if stop.parent_kind in _NOTIFICATIONS:
                self._whole.add(stop.id)
        notifications = frontier & self._whole
        linked = self._follow(notifications, None) | self._follow(
            frontier - notifications, list(self._names) if self._limited else None
        )
        return linked | {row[0] for row in self._ask(tuple, "relatives", messages=list(frontier))}

    def _follow(self, messages: set[int], recipients: list[int] | None) -> set[int]:
        """Take in the deliveries of some messages; return the messages at the other ends of hops."""
        if not messages:
            return set()
        found = []
        for row in self._ask(dict, "stop_deliveries", messages=list(messages), recipients=recipients):
            number = row.pop("recipient_number")
            if recipients is not None:
                self._names.add(number)
            found.append(row["id"])
            self._deliveries[row["id"]] = DeliveryStep(**row)
        hops = self._ask(Hop, "next_hops", messages=list(messages), deliveries=found)
        hops += self._ask(Hop, "previous_hops", messages=list(messages), recipients=recipients)
        for hop in hops:
            self._hops[hop.delivery] = hop
            if self._limited and hop.message in self._whole:
                self._whole.add(hop.next)
        return {number for hop in hops for number in (hop.message, hop.next)}


def _both_forms(message_ids: Iterable[str | None]) -> list[str]:
    """Message-IDs bare, as the log has them here, and in the brackets that a mail has them in."""
    bare = {message_id for message_id in message_ids if message_id}
    return [*bare, *(f"<{message_id}>" for message_id in bare)]
