"""When which key is looked at next: each when something may be due about it, none oftener. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count

from policy_service.key import Key


class Agenda:
    """Keys by the time of their next look, in nanoseconds; each stands here once at most."""

    def __init__(self) -> None:
        self._looks: list[tuple[int, int, Key]] = []
        self._listed: set[Key] = set()
        # Of two looks at the same time the first one listed comes first; keys themselves have no order.
        self._numbers = count()

    def add(self, key: Key, when: int) -> None:
        """List a key, unless it is listed already."""
        if key not in self._listed:
            self._listed.add(key)
            heappush(self._looks, (when, next(self._numbers), key))

    def waits(self, now: int) -> bool:
        """Whether some key's time has come."""
        return bool(self._looks) and self._looks[0][0] <= now

    def due(self, now: int, most: int) -> Iterator[Key]:
        """Take off the keys whose time has come, the longest due first, and no more than ``most``."""
        while most and self.waits(now):
            most -= 1
            key = heappop(self._looks)[2]
            self._listed.remove(key)
            yield key
