"""Where domains take their mail, as far as it was learnt. A memory of bounded size; time is handed in. Pure.

Asking it never waits. What it does not know, or has known for too long, it puts on a list of domains to ask for; who
works that list off says what came of it. A domain that was learnt once keeps its exchange until better is known: an
outage of the DNS must not send a provider's mail past its limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import intern

#: Domains that are remembered; about 25 MB.
CAPACITY = 100_000
#: Domains on the list at once. A domain that finds no place is asked for the next time that mail for it comes.
MOST_WANTED = 10_000

#: Bounds on the time that an exchange is believed, whatever its zone says (seconds).
SHORTEST, LONGEST = 300, 86400
#: A question that failed is asked again after so long.
RETRY = 60


class Learnt:
    """Exchanges by domain: the mail host that a domain prefers, empty where it takes no mail."""

    def __init__(self, capacity: int = CAPACITY, most_wanted: int = MOST_WANTED) -> None:
        self._capacity = capacity
        self._most_wanted = most_wanted
        self._known: dict[str, tuple[str, float]] = {}
        self._failed: dict[str, float] = {}
        self._wanted: dict[str, None] = {}
        #: Counts changes, so that who keeps this over restarts knows when there is something to keep.
        self.changes = 0

    def __len__(self) -> int:
        return len(self._known)

    def exchange(self, domain: str, now: float) -> str:
        """Where ``domain`` (lower case) takes its mail; empty when nothing is known, or it takes none."""
        exchange, until = self._known.get(domain, ("", 0.0))
        if until <= now and self._failed.get(domain, 0.0) <= now and len(self._wanted) < self._most_wanted:
            self._wanted[domain] = None
        return exchange

    def take(self) -> str | None:
        """The next domain to ask for."""
        if not self._wanted:
            return None
        domain = next(iter(self._wanted))
        del self._wanted[domain]
        return domain

    def learn(self, domain: str, exchange: str, ttl: float, now: float) -> None:
        """``domain`` takes its mail at ``exchange``."""
        self._failed.pop(domain, None)
        self._put(domain, exchange, now + min(max(ttl, SHORTEST), LONGEST))
        self.changes += 1

    def fail(self, domain: str, now: float) -> None:
        """Nothing was found out about ``domain``."""
        self._failed.pop(domain, None)
        self._failed[domain] = now + RETRY
        if len(self._failed) > self._most_wanted:
            del self._failed[next(iter(self._failed))]

    def entries(self) -> Iterator[tuple[str, str, float]]:
        """Everything that is known, oldest first: domain, exchange, until when it is believed."""
        for domain, (exchange, until) in list(self._known.items()):
            yield domain, exchange, until

    def restore(self, entries: Iterable[tuple[str, str, float]], now: float) -> None:
        """Know again what was known; nothing is believed longer than it could be had it been learnt now."""
        for domain, exchange, until in entries:
            self._put(domain, exchange, min(until, now + LONGEST))

    def _put(self, domain: str, exchange: str, until: float) -> None:
        self._known.pop(domain, None)
        # Many domains share an exchange.
        self._known[domain] = (intern(exchange), until)
        if len(self._known) > self._capacity:
            # The one that was learnt the longest ago: one in use is learnt again whenever its time is over.
            del self._known[next(iter(self._known))]
