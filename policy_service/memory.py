"""The shared truth of one process alone: what ``quota.exchange`` does in PostgreSQL, over a dictionary. No edge.

It serves a policy service that has no database, and the tests as the model that the SQL is held against.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy_service.exchange import Answer, Ask, Beat, Exchange, KeyAnswer, Verdict
from policy_service.gcra import SHARED, backlog, room, wait
from policy_service.loan import ABANDONED, LOAN

#: Rows looked at in one round of forgetting.
SWEPT_AT_ONCE = 5000


@dataclass(slots=True)
class Row:
    """One key: its timestamp, and the permits of the last two generations that nobody has accounted for."""

    tat: int = 0
    generation: int = 0
    held: int = 0
    held_before: int = 0
    lag: int = 0


class Memory:
    """Rows by key. ``divisor`` bounds a lease: at most the room of the key divided by it."""

    def __init__(self, divisor: int) -> None:
        self.rows: dict[str, Row] = {}
        self.divisor = divisor
        self._lent_until: dict[str, int] = {}
        self._lag = 0
        self._lag_at = 0
        self._to_sweep: list[str] = []

    def exchange(self, request: Exchange, now: int) -> Answer:
        """Settle ``request`` at ``now`` (nanoseconds, never going back)."""
        lag = self.lag(now, request.processes)
        rows = [self._row(ask, now, lag) for ask in request.asks]
        for report in request.reports:
            _settle(
                rows[report.index], request.asks[report.index], report.generation, report.spent, report.returned, now
            )
        verdicts = [self._charge(charges, rows, request.asks, now) for charges in request.charges]
        answers = [self._grant(row, ask, now) for row, ask in zip(rows, request.asks, strict=True)]
        return Answer(answers, verdicts)

    def charge(self, asks: list[Ask], units: list[int], processes: int, now: int) -> list[int] | None:
        """Charge so many units to each key where all of them fit; how full each is then. None: nothing was charged.

        A row that is missing, or whose leases have run out, is an exchange's to settle.
        """
        lag = self.lag(now, processes)
        settled: list[tuple[Row, int]] = []
        for ask, count in zip(asks, units, strict=True):
            row = self.rows.get(ask.key)
            if row is None or (row.held + row.held_before and now // ask.generation > row.generation):
                return None
            tat = row.tat + (lag - row.lag if ask.shared else 0)
            if wait(backlog(tat, row.held + row.held_before, ask.interval, now), count, ask.interval, ask.burst):
                return None
            settled.append((row, max(tat, now) + count * ask.interval))
        for row, tat in settled:
            row.tat, row.lag = tat, lag
        return [_backlog(row, ask, now) for (row, _), ask in zip(settled, asks, strict=True)]

    def hand_back(self, key: str, nanoseconds: int) -> None:
        """Take off what a message was charged that was not sent."""
        if row := self.rows.get(key):
            row.tat -= nanoseconds

    def sweep(self, now: int) -> None:
        """Look at some rows, and forget those that say nothing."""
        if not self._to_sweep:
            self._to_sweep = list(self.rows)
        for name in self._to_sweep[-SWEPT_AT_ONCE:]:
            row = self.rows[name]
            if row.tat < now and not row.held + row.held_before:
                del self.rows[name]
        del self._to_sweep[-SWEPT_AT_ONCE:]

    def lag(self, now: int, processes: int) -> int:
        """How far the time of shared limits is behind: all the time shares were not lent, by their part of the rate.

        A process that was not heard of for ``ABANDONED`` uses its share no longer, so it counts as lent again.
        """
        gaps = sum(
            max(min(now, lent_until + ABANDONED) - max(self._lag_at, lent_until), 0)
            for lent_until in self._lent_until.values()
        )
        return self._lag - (-gaps // (SHARED * processes))

    def beat(self, process: str, processes: int, not_after: int, now: int) -> Beat:
        """``process`` lends its share for another while, unless its word comes too late."""
        if now > not_after:
            return Beat(now, lent=False)
        self._settle_lag(now, processes)
        self._lent_until[process] = max(self._lent_until.get(process, 0), now + LOAN)
        return Beat(now, lent=True)

    def leave(self, process: str, processes: int, now: int) -> None:
        """``process`` ends, and lends its share until it comes back."""
        self._settle_lag(now, processes)
        self._lent_until.pop(process, None)

    def _settle_lag(self, now: int, processes: int) -> None:
        self._lag = self.lag(now, processes)
        self._lag_at = max(self._lag_at, now)

    def _row(self, ask: Ask, now: int, lag: int) -> Row:
        row = self.rows.setdefault(ask.key, Row())
        if ask.shared:
            row.tat += lag - row.lag
        row.lag = lag
        generation = now // ask.generation
        if generation <= row.generation:
            return row
        if generation == row.generation + 1:
            expired, row.held_before = row.held_before, row.held
        else:
            expired, row.held_before = row.held_before + row.held, 0
        row.held = 0
        row.generation = generation
        # A lease that ran out was spent, for all that is known, at its very end: charge it as if just now.
        if expired:
            row.tat = max(row.tat, now) + expired * ask.interval
        return row

    def _charge(self, charges: list[tuple[int, int]], rows: list[Row], asks: list[Ask], now: int) -> Verdict:
        worst, longest = -1, 0
        for index, units in charges:
            row, ask = rows[index], asks[index]
            needed = wait(_backlog(row, ask, now), units, ask.interval, ask.burst)
            if needed > longest:
                worst, longest = index, needed
        if worst >= 0:
            return Verdict(worst, longest)
        for index, units in charges:
            rows[index].tat = max(rows[index].tat, now) + units * asks[index].interval
        return Verdict(-1, 0)

    def _grant(self, row: Row, ask: Ask, now: int) -> KeyAnswer:
        reserved = min(ask.reserve, room(_backlog(row, ask, now), ask.interval, ask.burst) // 4)
        if reserved:
            row.tat = max(row.tat, now) + reserved * ask.interval
        leased = min(ask.lease, room(_backlog(row, ask, now), ask.interval, ask.burst) // self.divisor)
        row.held += leased
        expires = (row.generation + 2) * ask.generation - now
        return KeyAnswer(_backlog(row, ask, now), leased, reserved, row.generation, expires)


def _backlog(row: Row, ask: Ask, now: int) -> int:
    return backlog(row.tat, row.held + row.held_before, ask.interval, now)


def _settle(row: Row, ask: Ask, generation: int, spent: int, returned: int, now: int) -> None:
    """Take ``spent`` and ``returned`` out of what is held; a generation that ran out was charged already."""
    if generation == row.generation:
        row.held = max(row.held - spent - returned, 0)
    elif generation == row.generation - 1:
        row.held_before = max(row.held_before - spent - returned, 0)
    else:
        return
    if spent:
        row.tat = max(row.tat, now) + spent * ask.interval
