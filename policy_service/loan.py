"""A process's own share of the rate: lent to the shared truth while in touch with it, its own when cut off. Pure.

Invariant: at no instant do both count the share. So every doubt is settled against the process: a loan lasts from the
moment a heartbeat was *sent*, whatever became of it, until the last moment at which the truth may believe that it ends.

Time is this process's monotonic clock in nanoseconds, handed in.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy_service.gcra import SECOND

#: A heartbeat lends the share for so long.
LOAN = 10 * SECOND

#: Time between heartbeats.
BEAT_EVERY = 2 * SECOND

#: The truth does not act on a heartbeat that comes later than this after it was sent.
LATE = SECOND

#: A process cut off for so long stops using its share, and the truth counts on it again.
ABANDONED = 24 * 3600 * SECOND


@dataclass(slots=True)
class Loan:
    """Who counts the share now. ``own_from`` and ``own_until`` bound the time in which the process may use it itself.

    A process that never reached the truth has no share: one that ran here before may have lent it for good.
    """

    own_from: int = 0
    own_until: int = 0
    next_beat: int = 0
    _offset: int | None = None
    _before: tuple[int, int] = (0, 0)

    def beat_sent(self, now: int) -> int:
        """A heartbeat goes out: from now on the share is lent. Returns the truth's time after which it is too late.

        The first one comes too late always: its answer tells the truth's time, without which nothing bounds a delay.
        """
        self._before = (self.own_from, self.own_until)
        self.own_until = min(self.own_until, now)
        self.next_beat = now + BEAT_EVERY
        return 0 if self._offset is None else now + self._offset + LATE

    def beat_answered(self, truth_now: int, sent: int, now: int, *, lent: bool) -> None:
        """The truth has answered. Its clock was read between ``sent`` and ``now``."""
        # The earliest it can be there now: a deadline reckoned by it comes rather too early.
        self._offset = truth_now - now
        if lent:
            self.own_from = now + LOAN
            self.own_until = sent + LOAN + ABANDONED
        else:
            self.own_from, self.own_until = self._before
            self.next_beat = now

    def beat_lost(self, now: int) -> None:
        """No answer came. The truth may have lent the share until ``LATE`` from now at the latest."""
        if self._before[1]:
            self.own_from = now + LATE + LOAN
            self.own_until = self._before[1]

    def truth_time(self, moment: int) -> int:
        """The truth's time at a moment of ours, rather too early; 0 where its clock is not known yet."""
        return 0 if self._offset is None else moment + self._offset

    def refill(self, since: int, now: int, interval: int) -> tuple[int, int]:
        """Whole units that the share gave from ``since`` to ``now``, and the time up to which they are counted."""
        start, end = max(since, self.own_from), min(now, self.own_until)
        if not interval or end <= start:
            return 0, since
        units = (end - start) // interval
        return units, start + units * interval
