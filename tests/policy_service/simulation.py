"""A simulated fleet, and a window counter by brute force: what the tests of the quotas are built on."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from policy_service.batch import Batch, charged, gather, most_of, one_by_one
from policy_service.charges import GRANTED, Outcome, Sent
from policy_service.gcra import SECOND, Shape
from policy_service.leases import LONGEST_WAIT, PATIENCE, Book
from policy_service.memory import Memory

MILLISECOND = 1_000_000


def fullest_window(admitted: list[tuple[int, int]], window: int) -> int:
    """The most units that any half-open window of that length holds. ``admitted``: (time, units)."""
    times = sorted(admitted)
    fullest = total = 0
    first = 0
    for time, units in times:
        total += units
        while times[first][0] <= time - window:
            total -= times[first][1]
            first += 1
        fullest = max(fullest, total)
    return fullest


@dataclass
class Faults:
    """How often what goes wrong: chances by exchange or by step."""

    lost_request: float = 0.0
    lost_answer: float = 0.0
    executed_late: float = 0.0
    crash: float = 0.0


@dataclass
class Process:
    """One process of the fleet: its book, and its own monotonic clock."""

    book: Book
    offset: int
    busy: bool = False
    connected_again: int = 0
    generation: int = 0


@dataclass
class Fleet:
    """Processes over one truth, in simulated time. ``admitted`` records (time, units) by key name."""

    shapes: dict[str, Shape]
    processes: int
    random: random.Random
    faults: Faults
    divisor: int = 0
    now: int = 10**18
    cut_off: set[int] = field(default_factory=set)
    truth_down: bool = False
    admitted: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    granted: int = 0
    refused: int = 0
    away: int = 0
    longest_reply: int = 0

    def __post_init__(self) -> None:
        self.truth = Memory(self.divisor or 8 * self.processes)
        self.members = [self._member() for _ in range(self.processes)]
        self.admitted = {name: [] for name in self.shapes}
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._decided_at = 0
        for index in range(self.processes):
            self._later(self.random.randrange(100 * MILLISECOND), self._tending(index))

    def send(self, index: int, units: dict[str, int]) -> None:
        """A message asks process ``index`` to be charged."""
        member = self.members[index]
        asked = self.now
        keys = [
            (member.book.key(name, self.shapes[name], name, asked + member.offset), count)
            for name, count in units.items()
        ]

        def tell(outcome: Outcome) -> None:
            self._count(units, outcome, asked)

        outcome = member.book.charge(keys, tell, self.now + member.offset)
        if outcome is not None:
            self._count(units, outcome, asked)
        else:
            self._later(LONGEST_WAIT, lambda: member.book.expire(self.now + member.offset))
        self._work(index)

    def advance(self, duration: int) -> None:
        """Let time pass and everything happen that is due in it."""
        end = self.now + duration
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end

    def crash(self, index: int) -> None:
        """Kill -9 and start again: everything that the process knew is gone."""
        generation = self.members[index].generation
        self.members[index] = self._member()
        self.members[index].generation = generation + 1

    def _member(self) -> Process:
        book = Book()
        book.connected = True
        book.processes = self.processes
        return Process(book, offset=self.random.randrange(10**18))

    def _count(self, units: dict[str, int], outcome: Outcome, asked: int) -> None:
        self.longest_reply = max(self.longest_reply, self.now - asked)
        if outcome is GRANTED:
            self.granted += 1
            for name, count in units.items():
                # A message that the truth decided was admitted when the truth said so.
                self.admitted[name].append((self._decided_at or self.now, count))
        elif getattr(outcome, "away", False):
            self.away += 1
        else:
            self.refused += 1

    def _work(self, index: int) -> None:
        member = self.members[index]
        if member.busy or not member.book.connected:
            return
        if self.now + member.offset >= member.book.loan.next_beat:
            self._beat(index)
        elif member.book.waiting or member.book.due:
            self._exchange(index)

    def _exchange(self, index: int) -> None:
        member = self.members[index]
        book, now = member.book, self.now + member.offset
        batch = gather(book, most_of(book.waiting, 0), now) if self.random.random() < 0.7 else None
        sent = one_by_one(batch, self.processes) if batch else book.build(now)
        if sent is None:
            return
        member.busy = True
        generation = member.generation
        if not self._reachable(index) or self.random.random() < self.faults.lost_request:
            self._later(PATIENCE, lambda: self._lost(index, generation, sent))
        elif self.random.random() < self.faults.executed_late:
            self._later(PATIENCE, lambda: self._lost(index, generation, sent))
            self._later(PATIENCE + self.random.randrange(20 * SECOND), lambda: self._late(sent, batch))
        else:
            self._later(
                self.random.randrange(100_000, 3 * MILLISECOND), lambda: self._executed(index, generation, sent, batch)
            )

    def _beat(self, index: int) -> None:
        """A heartbeat; it may be lost on either way, or come late."""
        member = self.members[index]
        member.busy = True
        generation, loan, asked = member.generation, member.book.loan, self.now + member.offset
        not_after = loan.beat_sent(asked)

        def lost() -> None:
            if self.members[index].generation == generation:
                member.busy = False
                loan.beat_lost(self.now + member.offset)
                member.book.disconnect(self.now + member.offset)
                member.connected_again = self.now + 50 * MILLISECOND

        def executed() -> None:
            answer = self.truth.beat(f"p{index}", self.processes, not_after, self.now)
            if self.random.random() < self.faults.lost_answer:
                self._later(PATIENCE, lost)
                return

            def arrived() -> None:
                if self.members[index].generation == generation:
                    member.busy = False
                    loan.beat_answered(answer.now, asked, self.now + member.offset, lent=answer.lent)
                    self._work(index)

            self._later(self.random.randrange(100_000, 3 * MILLISECOND), arrived)

        if not self._reachable(index) or self.random.random() < self.faults.lost_request:
            self._later(PATIENCE, lost)
        elif self.random.random() < self.faults.executed_late:
            self._later(PATIENCE, lost)
            late = PATIENCE + self.random.randrange(5 * SECOND)
            self._later(late, lambda: self._late_beat(index, not_after))
        else:
            self._later(self.random.randrange(100_000, 3 * MILLISECOND), executed)

    def _late_beat(self, index: int, not_after: int) -> None:
        self.truth.beat(f"p{index}", self.processes, not_after, self.now)

    def _reachable(self, index: int) -> bool:
        return not (self.truth_down or index in self.cut_off)

    def _late(self, sent: Sent, batch: Batch | None) -> None:
        if self._charge(sent, batch) is None:
            self.truth.exchange(sent.exchange, self.now)

    def _charge(self, sent: Sent, batch: Batch | None) -> list[int] | None:
        """Charge a batch as a whole, where it is one and everything fits."""
        return self.truth.charge(sent.exchange.asks, batch.units, self.processes, self.now) if batch else None

    def _executed(self, index: int, generation: int, sent: Sent, batch: Batch | None) -> None:
        backlogs = self._charge(sent, batch)
        answer = self.truth.exchange(sent.exchange, self.now) if backlogs is None else None
        decided = self.now
        if self.random.random() < self.faults.lost_answer:
            self._later(PATIENCE, lambda: self._lost(index, generation, sent))
            return

        def arrived() -> None:
            member = self.members[index]
            if member.generation != generation:
                return
            member.busy = False
            self._decided_at = decided
            if answer:
                member.book.apply(sent, answer)
            elif batch and backlogs:
                charged(member.book, batch, backlogs)
            self._decided_at = 0
            self._work(index)

        self._later(self.random.randrange(100_000, 3 * MILLISECOND), arrived)

    def _lost(self, index: int, generation: int, sent: Sent) -> None:
        member = self.members[index]
        if member.generation != generation:
            return
        member.busy = False
        member.book.lost(sent.charges, self.now + member.offset)
        member.book.disconnect(self.now + member.offset)
        member.connected_again = self.now + 50 * MILLISECOND

    def _tending(self, index: int) -> Callable[[], None]:
        def tend() -> None:
            member = self.members[index]
            if (
                self._reachable(index)
                and not member.book.connected
                and self.now >= member.connected_again
                and not member.busy
            ):
                member.book.connected = True
            member.book.tend(self.now + member.offset)
            member.book.expire(self.now + member.offset)
            self._work(index)
            self._later(100 * MILLISECOND, tend)

        return tend

    def _later(self, delay: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._order), action))
