"""The arithmetic of one limit: GCRA (ITU-T I.371 virtual scheduling) in whole nanoseconds. Pure; holds no state.

``N per T, burst b``: never more than N in any half-open window of length T, and at most b at once. A key has one
timestamp, its *theoretical arrival time* (TAT). Charging n units at time t is allowed when

    max(TAT, t) + n * interval <= t + b * interval

and moves TAT there. Let the first admission of a window happen at t1, the last at t2 < t1 + T. What was admitted
between them moved TAT from t1 or later to t2 + b * interval or earlier, so its sum is at most b + (t2 - t1) / interval,
which with ``interval = T / (N - b + 1)`` is less than b + N - b + 1: it is N at most. The interval is rounded up, so no
rounding loosens a limit.

Two more amounts stand outside the timestamp, and both only ever make the limit stricter:

- *held* permits, leased to a process and not yet known to be spent, count as part of b and do not decay;
- each of H processes may have up to r units in *reserve*, charged when it took them and spent whenever it needs them.
  They can meet in one window with everything else, so the interval is T / (N - b - H*r + 1);
- where there is a reserve, half of the rate belongs to the H processes, an equal *share* each, and is lent to the
  timestamp for as long as they are in touch with it. While a share is not lent, the time of the timestamp goes slower
  by 1/2H (it has a *lag*), and the process refills its reserve at just that rate. At any instant a share adds to one
  side only, so what both admit in a window stays what one of them could.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

SECOND = 1_000_000_000

#: Windows shorter than this are never leased ahead: every decision about them is the database's.
SHORTEST_LEASED_WINDOW = 10 * SECOND

#: How long demand is remembered, to tell what will be needed: a sixtieth of the window, within these bounds. So much of
#: it is leased ahead as is spent before the lease ends: all, in windows of 80 seconds and more.
SHORTEST_MEMORY = 4 * SECOND
LONGEST_MEMORY = 60 * SECOND

#: A full key decays within this (a hundred years), so that no timestamp leaves 64 bits.
LONGEST_BACKLOG = 100 * 365 * 86400 * SECOND

#: One part in so many of the rate is made of the processes' shares.
SHARED = 2

#: Most units of one reserve, of a limit in bytes: it passes through a 32-bit integer.
LARGEST_RESERVE = 2**30

#: What all reserves of a limit together may cost of its rate, in thousandths.
RESERVE_PER_MILLE = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """A limit made ready for arithmetic. ``window``, ``interval``, ``generation``, ``share``, ``memory``: nanoseconds.

    ``share`` is the interval of one process's share of the rate, 0 where the limit is too small to have shares.
    """

    count: int
    window: int
    burst: int
    interval: int
    generation: int
    reserve: int
    share: int
    #: Whether permits may be leased ahead of their use.
    leasable: bool
    #: How long demand is remembered, and what part of that is leased ahead.
    memory: int
    ahead: float

    @property
    def full(self) -> int:
        """A backlog above this leaves no room for one unit."""
        return (self.burst - 1) * self.interval


@lru_cache(maxsize=1000)
def shape(count: int, seconds: int, burst: int, processes: int, *, strict: bool = False) -> Shape:
    """Given ``count per seconds, burst``, shared by ``processes``, return the arithmetic's constants.

    ``strict``: nothing is leased ahead, every message is the truth's decision. Raise ValueError where the burst is not
    within 1 and the count.
    """
    if count < 1 or seconds < 1 or processes < 1:
        raise ValueError(f"count {count}, seconds {seconds} and processes {processes} must be 1 or more")
    if not 1 <= burst <= count:
        raise ValueError(f"burst {burst} is not between 1 and the count {count}: such a limit could never be met")
    reserve = reserve_of(count, burst, processes)
    window = seconds * SECOND
    steps = count - burst - processes * reserve + 1
    interval = -(-window // steps)
    if burst * interval > LONGEST_BACKLOG:
        raise ValueError(f"burst {burst} leaves so little of the count {count} that it would take centuries to decay")
    # A lease lives for one to two generations, that is for a tenth of the window at most.
    generation = max(window // 20, SECOND // 2)
    memory = min(max(window // 60, SHORTEST_MEMORY), LONGEST_MEMORY)
    return Shape(
        count=count,
        window=window,
        burst=burst,
        interval=interval,
        generation=generation,
        reserve=reserve,
        share=interval * SHARED * processes if reserve else 0,
        leasable=window >= SHORTEST_LEASED_WINDOW and not strict,
        memory=memory,
        ahead=min(generation / memory, 1.0),
    )


def reserve_of(count: int, burst: int, processes: int) -> int:
    """Units that each process may keep aside: half a per cent of the rate's share, one unit where 1 % allows it."""
    steps = count - burst + 1
    reserve = min(steps * RESERVE_PER_MILLE // (1000 * processes), LARGEST_RESERVE)
    if reserve == 0 and steps >= 100 * processes:
        return 1
    return reserve


def default_burst(count: int, recipients_per_message: int) -> int:
    """The burst of a limit that names none: a hundredth of it, or one whole message, within the limit."""
    return min(count, max(count // 100, recipients_per_message, 1))


def backlog(tat: int, held: int, interval: int, now: int) -> int:
    """How full a key is, in nanoseconds of its rate: what is charged and not yet decayed, and what is held."""
    return max(tat - now, 0) + held * interval


def wait(backlog_now: int, units: int, interval: int, burst: int) -> int:
    """Nanoseconds until ``units`` fit, nothing else being charged; 0 when they fit now."""
    return max(backlog_now + (units - burst) * interval, 0)


def room(backlog_now: int, interval: int, burst: int) -> int:
    """Units that fit now; never negative."""
    return max((burst * interval - backlog_now) // interval, 0)
