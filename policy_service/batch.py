"""Many messages at once, where nothing but their charges is to be said to the shared truth. Values and choices, pure.

Where everything in a batch fits, its order does not matter: the units of each key are added up, and one statement
charges them all (``quota.charge``). Where something does not, nothing was charged, and the same messages go through an
exchange, which decides one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from policy_service.charges import GRANTED, Charge, Sent
from policy_service.exchange import Ask, Exchange
from policy_service.key import Key
from policy_service.leases import Book

#: Messages that it is not worth to wait for.
FEW = 8

_name = attrgetter("name")


@dataclass(slots=True, eq=False)
class Batch:
    """Messages on their way to be charged, with the units of each key, in the keys' order."""

    keys: list[Key]
    units: list[int]
    charges: Sequence[Charge]
    at: int


def most_of(waiting: int, on_their_way: int) -> int:
    """Messages of the next batch: half of all, so that one half is gathered while the other is decided."""
    return max((waiting + on_their_way + 1) // 2, FEW)


def enough_of(on_their_way: int) -> int:
    """So many messages that wait make the next batch, beside so many that are on their way."""
    return max(on_their_way, FEW)


def gather(book: Book, most: int, now: int) -> Batch | None:
    """The next batch of messages that wait; None where their keys have more to say than charges, or none waits."""
    charges = book.first_waiting(most)
    units: dict[Key, int] = {}
    for charge in charges:
        for key, count in charge.units:
            units[key] = units.get(key, 0) + count
    if not charges or not book.plain(units, now):
        return None
    book.take_waiting(len(charges))
    # Code points have the order of their bytes in UTF-8, which is the order of the rows.
    keys = sorted(units, key=_name)
    return Batch(keys, [units[key] for key in keys], charges, now)


def charged(book: Book, batch: Batch, backlogs: Sequence[int]) -> None:
    """Everything fitted."""
    at = batch.at
    for known, backlog in zip(batch.keys, backlogs, strict=True):
        key = book.current(known, at)
        key.backlog, key.backlog_at = backlog, at
    for charge in batch.charges:
        for key, count in charge.units:
            key.note_demand(count, at)
        charge.answer(GRANTED)


def one_by_one(batch: Batch, processes: int) -> Sent:
    """The same messages as an exchange."""
    request = Exchange(processes=processes)
    positions: dict[Key, int] = {}
    for index, key in enumerate(batch.keys):
        positions[key] = index
        shape = key.shape
        request.asks.append(Ask(key.name, shape.interval, shape.burst, shape.generation, shape.reserve > 0))
    for charge in batch.charges:
        request.charges.append([(positions[key], units) for key, units in charge.units])
    return Sent(request, batch.keys, list(batch.charges), batch.at)
