"""A message's way over the hosts, put together from rows. Pure.

Two kinds of link lead from one message (a queue entry of one instance) to another: a hop, when a delivery's reply names
the queue id that the next instance gave; and a child, when one instance made the message out of another (a bounce, a
forwarded copy). A journey is all messages that links connect, in the order of the links: clocks of hosts differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class DeliveryStep:
    """One attempt; a row of ``deliveries``, with addresses in clear."""

    id: int
    at: datetime
    message: int
    recipient: str
    original_recipient: str | None
    domain: str
    provider: str | None
    transport: str
    source_address: Address | None
    relay_name: str | None
    relay_address: Address | None
    relay_port: int | None
    delay: float | None
    delay_queue: float | None
    delay_manager: float | None
    delay_connect: float | None
    delay_transfer: float | None
    tls: str | None
    status: str
    dsn: str | None
    reply_code: int | None
    reply: str | None
    queued_as: str | None
    hardness: str | None
    category: str | None


@dataclass(frozen=True, slots=True)
class EventStep:
    """Something else that happened; a row of ``events``."""

    id: int
    at: datetime
    host: str
    instance: str
    kind: str
    message: int | None
    sender: str | None
    recipient: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BounceStep:
    """A report that arrived by mail; a row of ``bounces``."""

    id: int
    received_at: datetime
    host: str
    recipient: str | None
    reporting_mta: str | None
    remote_mta: str | None
    action: str
    status: str | None
    diagnostic: str | None
    hardness: str
    category: str
    original_message_id: str | None
    original_queue_id: str | None


@dataclass(frozen=True, slots=True)
class Hop:
    """A delivery whose reply names the next message."""

    delivery: int
    message: int
    next: int


@dataclass(slots=True)
class Stop:
    """One message of a journey with what happened to it; a row of ``messages``."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    host: str
    instance: str
    queue_id: str
    origin: str | None
    role: str | None
    pool: str | None
    stream: str | None
    credential: str | None
    client_name: str | None
    client_address: Address | None
    message_id: str | None
    sender: str | None
    sender_domain: str | None
    size: int | None
    recipients: int | None
    activations: int
    first_active_at: datetime | None
    parent: int | None
    parent_kind: str | None
    end_kind: str | None
    deliveries: list[DeliveryStep] = field(default_factory=list)
    events: list[EventStep] = field(default_factory=list)


@dataclass(slots=True)
class Journey:
    """Messages in the order of their links, and what came back."""

    stops: list[Stop]
    hops: dict[int, int]
    bounces: list[BounceStep] = field(default_factory=list)

    @property
    def first(self) -> Stop:
        """Where the fleet accepted the message."""
        return self.stops[0]

    @property
    def message_id(self) -> str | None:
        """The Message-ID, from the first message that has one."""
        return next((stop.message_id for stop in self.stops if stop.message_id), None)

    def main_stops(self) -> list[Stop]:
        """The stops of the message itself, without notifications about it, wherever those went."""
        notices: set[int] = set()
        for stop in self.stops:
            if stop.id in notices or stop.parent_kind not in (None, "forward", "requeue", "filter"):
                notices |= {stop.id} | {self.hops[step.id] for step in stop.deliveries if step.id in self.hops}
        return [stop for stop in self.stops if stop.id not in notices]

    def last_attempts(self) -> list[DeliveryStep]:
        """For each recipient the latest attempt that left the fleet, or is still to."""
        latest: dict[tuple[int, str], DeliveryStep] = {}
        for stop in self.main_stops():
            for step in sorted(stop.deliveries, key=lambda step: step.at):
                latest[stop.id, step.recipient] = step
        return [step for step in latest.values() if step.id not in self.hops]

    def outcome(self) -> str:
        """One word: delivered, bounced, deferred, expired, …; ``mixed`` when recipients differ."""
        ends = {self._outcome_of(step) for step in self.last_attempts()}
        if not ends:
            return self.first.end_kind or "queued"
        return ends.pop() if len(ends) == 1 else "mixed"

    def _outcome_of(self, step: DeliveryStep) -> str:
        if any(bounce.action == "failed" and bounce.recipient in (None, step.recipient) for bounce in self.bounces):
            return "bounced"
        if step.status == "sent" and step.reply and step.queued_as is None and step.transport == "discard":
            return "discarded"
        ended_by_age = next((s.end_kind for s in self.stops if s.id == step.message and s.end_kind), "")
        if step.status == "deferred" and "expired" in ended_by_age:
            return "expired"
        return {"sent": "delivered"}.get(step.status, step.status)

    def latency(self) -> float | None:
        """Seconds from acceptance to the last answer that took the message; None while there is none."""
        taken = [step.at for step in self.last_attempts() if step.status == "sent"]
        return (max(taken) - self.first.started_at).total_seconds() if taken else None


def assemble(
    stops: Iterable[Stop],
    deliveries: Iterable[DeliveryStep],
    events: Iterable[EventStep],
    hops: Sequence[Hop],
    bounces: Sequence[BounceStep],
) -> list[Journey]:
    """Given rows, return journeys, the latest first."""
    by_id = {stop.id: stop for stop in stops}
    for delivery in sorted(deliveries, key=lambda step: (step.at, step.id)):
        by_id[delivery.message].deliveries.append(delivery)
    for event in sorted(events, key=lambda step: (step.at, step.id)):
        if event.message in by_id:
            by_id[event.message].events.append(event)
    links = [(hop.message, hop.next) for hop in hops if hop.message in by_id and hop.next in by_id]
    links += [(stop.parent, stop.id) for stop in by_id.values() if stop.parent in by_id and stop.parent is not None]
    next_of = {hop.delivery: hop.next for hop in hops if hop.next in by_id}
    journeys = [Journey(_ordered(group, links, by_id), dict(next_of)) for group in _connected(by_id, links)]
    for journey in journeys:
        journey.bounces = [bounce for bounce in bounces if _is_about(bounce, journey)]
    return sorted(journeys, key=lambda journey: journey.first.started_at, reverse=True)


def _is_about(bounce: BounceStep, journey: Journey) -> bool:
    if bounce.original_queue_id and any(stop.queue_id == bounce.original_queue_id for stop in journey.stops):
        return True
    wanted = (bounce.original_message_id or "").strip("<>")
    return bool(wanted) and any(stop.message_id == wanted for stop in journey.stops)


def _connected(by_id: dict[int, Stop], links: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Groups of messages that links connect."""
    leader = {number: number for number in by_id}

    def find(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    for one, other in links:
        leader[find(one)] = find(other)
    groups: dict[int, list[int]] = {}
    for number in by_id:
        groups.setdefault(find(number), []).append(number)
    return list(groups.values())


def _ordered(group: list[int], links: Iterable[tuple[int, int]], by_id: dict[int, Stop]) -> list[Stop]:
    """The group's messages: each after the one that it came from, and in order of time among equals."""
    depth = dict.fromkeys(group, 0)
    here = [(one, other) for one, other in links if one in depth and other in depth]
    for _ in group:  # a chain is no longer than the group; a loop of mail would otherwise never end
        changed = False
        for one, other in here:
            if depth[other] < depth[one] + 1 <= len(group):
                depth[other] = depth[one] + 1
                changed = True
        if not changed:
            break
    return sorted((by_id[number] for number in group), key=lambda stop: (depth[stop.id], stop.started_at))
