"""One key of one limit, as this process knows it: what it may spend now, and what it holds. Pure.

Most keys hold nothing, so a key is small, and what belongs to leases stands in a ``Holding`` of its own. Spending is
one subtraction from ``free``: which lease a permit came from, and how much is asked for, is worked out afterwards
(``settle``), a few times a second or when ``free`` runs out. That is the same as taking the oldest first at once,
since between two settlings no lease begins or ends.

Time is this process's monotonic clock in nanoseconds, handed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp
from typing import TypeAlias

from policy_service.exchange import Report
from policy_service.gcra import SECOND, Shape, wait

#: What the truth said of a key's level is believed this long for refusing without asking again.
LEVEL_BELIEVED = SECOND

#: Demand is what was charged within about the limit's memory. Below so many units it is never leased ahead: a key that
#: is asked for now and then is exact on whichever host it is used.
LEAST_DEMAND = 3.0

#: Most units leased at once; the database's column is a 32-bit integer.
LARGEST_LEASE = 2**30


@dataclass(slots=True)
class Lease:
    """Permits of one generation. ``spent`` of them were used and not yet reported."""

    generation: int
    available: int
    spent: int
    end: int


class Holding:
    """The leases of a key. ``base`` is what ``free`` was when it was settled last, ``backup`` what stands behind it.

    ``unreported_since``: when some were spent first that the truth was not told of yet.
    """

    __slots__ = ("backup", "base", "leases", "unreported_since")

    def __init__(self) -> None:
        self.leases: list[Lease] = []
        self.base = 0
        self.backup = 0
        self.unreported_since = 0


class Key:
    """What this process knows of one key. ``limit`` is the caller's own name for it.

    ``free`` permits may be spent until ``until``. ``used`` is when units were charged last, and what ``demand``, the
    units charged lately, is reckoned of.
    """

    __slots__ = (
        "backlog",
        "backlog_at",
        "demand",
        "free",
        "holding",
        "limit",
        "name",
        "refilled",
        "reserve",
        "shape",
        "until",
        "used",
    )

    def __init__(self, name: str, shape: Shape, limit: object, now: int = 0) -> None:
        self.name = name
        self.shape = shape
        self.limit = limit
        self.clear()
        self.used = now

    def clear(self) -> None:
        """Know nothing but who it is: nothing to spend, nothing held."""
        self.free = 0
        self.until = 0
        self.holding: Holding | None = None
        self.reserve = 0
        self.refilled = 0
        self.backlog = 0
        self.backlog_at = 0
        self.used = 0
        self.demand = 0.0

    def cover(self, units: int, now: int) -> bool:
        """Whether ``units`` may be spent now, after bringing up what stands behind."""
        holding = self.holding
        if holding is None:
            return False
        if now >= self.until:
            self._expire(now)
        if self.free < units and holding.backup:
            self.free += holding.backup
            holding.base += holding.backup
            holding.backup = 0
        return self.free >= units and now < self.until

    def settle(self, now: int) -> None:
        """Take what was spent out of the leases, the oldest first, and note it as demand."""
        holding = self.holding
        if holding is None or holding.base == self.free:
            return
        spent = holding.base - self.free
        holding.base = self.free
        holding.unreported_since = holding.unreported_since or now
        self.note_demand(spent, now)
        for lease in holding.leases:
            taken = min(spent, lease.available)
            lease.available -= taken
            lease.spent += taken
            spent -= taken

    def unspend(self, units: int, now: int) -> bool:
        """Take ``units`` back into a lease that they were spent from, where nobody was told of it; after ``settle``."""
        holding = self.holding
        if holding is None or now >= self.until:
            return False
        for lease in holding.leases:
            if lease.spent >= units:
                lease.spent -= units
                lease.available += units
                self._arrange(holding)
                return True
        return False

    def available(self) -> int:
        """Leased permits that are not spent, after ``settle``."""
        return self.free + self.holding.backup if self.holding is not None else 0

    def take_lease(self, generation: int, units: int, end: int, now: int) -> None:
        """A lease was granted: half of all permits stand behind, so that more are asked for while there are some."""
        self.settle(now)
        holding = self.holding = self.holding or Holding()
        for lease in holding.leases:
            if lease.generation == generation:
                lease.available += units
                break
        else:
            holding.leases.append(Lease(generation, units, 0, end))
        self._arrange(holding)

    def low(self, now: int) -> bool:
        """Whether clearly less than what is wanted is left, as when half of the permits are spent."""
        return 5 * self.available() < 3 * self.wanted(now)

    def _expire(self, now: int) -> None:
        """Leases past their end are gone: the truth has charged them."""
        holding = self.holding
        if holding is None:
            return
        self.settle(now)
        holding.leases = [lease for lease in holding.leases if lease.end > now]
        self._arrange(holding)

    def _arrange(self, holding: Holding) -> None:
        leases = holding.leases
        if not leases:
            self.holding = None
            self.free = self.until = 0
            return
        total = sum(lease.available for lease in leases)
        holding.backup = total // 2
        self.free = holding.base = total - holding.backup
        self.until = min(lease.end for lease in leases)

    def report(self, index: int, *, keep: bool, now: int) -> Iterable[Report]:
        """What became of the permits; they are out of the key's hands by this, but for those that it keeps."""
        self._expire(now)
        holding = self.holding
        if holding is None:
            return []
        reports = []
        for lease in holding.leases:
            returned = 0 if keep else lease.available
            if lease.spent or returned:
                reports.append(Report(index, lease.generation, lease.spent, returned))
            lease.spent = 0
            lease.available -= returned
        holding.leases = [lease for lease in holding.leases if lease.available]
        holding.unreported_since = 0
        self._arrange(holding)
        return reports

    def note_demand(self, units: int, now: int) -> None:
        """Keep the units that were charged lately, older ones counting less and less, where that ever matters."""
        if self.demand:
            self.demand = self.demand * exp(min(self.used - now, 0) / self.shape.memory) + units
        elif self.shape.leasable:
            self.demand = float(units)
        if now > self.used:
            self.used = now

    def wanted(self, now: int) -> int:
        """Permits to lease ahead: so much of late demand as a lease will see; none for a key asked for now and then."""
        if not self.demand or not self.shape.leasable:
            return 0
        demand = self.demand * exp(min(self.used - now, 0) / self.shape.memory)
        return min(int(demand * self.shape.ahead), LARGEST_LEASE) if demand >= LEAST_DEMAND else 0

    def roomy(self, now: int) -> bool:
        """Whether less than half of the burst was taken when the truth spoke last, and that was not long ago."""
        return now - self.backlog_at <= LEVEL_BELIEVED and 2 * self.backlog < self.shape.burst * self.shape.interval

    def refusal(self, units: int, now: int) -> int:
        """Nanoseconds until ``units`` fit by what the truth said last; 0 when they may, or nothing recent is known."""
        age = now - self.backlog_at
        if not self.backlog or age > LEVEL_BELIEVED:
            return 0
        shape = self.shape
        beyond = (units - shape.burst) * shape.interval
        # Nearly always there is room even if nothing had decayed.
        return wait(max(self.backlog - age, 0), units, shape.interval, shape.burst) if self.backlog + beyond > 0 else 0


#: Keys, and how much of each.
Units: TypeAlias = tuple[tuple[Key, int], ...]


def spend(charges: Iterable[tuple[Key, int]], now: int) -> bool:
    """Spend the units of every key at once where free permits suffice for all; else spend nothing."""
    for key, units in charges:
        if key.free < units or now >= key.until:
            return False
    for key, units in charges:
        key.free -= units
    return True
