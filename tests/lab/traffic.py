"""Mail at a steady rate to the virtual address, while something happens to the fleet; and what became of it.

Each message is a session of its own, as most applications do it. What a session ends with is kept: nothing is tried
again, so that a refusal shows.
"""

from __future__ import annotations

import smtplib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from smtpctl.lab.application import submit
from tests.lab.support import AppliedFleet

SENDER = "orders@shop.test"
DOMAIN = "gmail.test"

#: Sessions that may be open at a time.
AT_ONCE = 40


@dataclass
class SteadyMail:
    """``rate`` messages a second, from ``start`` to ``stop``. The caller is in the lab's network."""

    applied: AppliedFleet
    rate: float = 20.0
    accepted: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0
    late: int = 0
    _at: dict[str, float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Mail flows while the block runs; after it every session has ended."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            clock = threading.Thread(target=self._tick, args=(pool,))
            clock.start()
            try:
                yield
            finally:
                self._over.set()
                clock.join()

    def copies(self, patience: float = 120.0) -> Counter[str]:
        """How many copies of each accepted message the provider has, once all have come or ``patience`` is over, and
        nothing came for two seconds more."""
        deadline = time.monotonic() + patience
        while True:
            found = self._found()
            if set(self.accepted) <= set(found) or time.monotonic() > deadline:
                time.sleep(2.0)  # a second copy would come after the first
                return self._found()
            time.sleep(0.5)

    def require_whole(self) -> None:
        """No session refused or cut, nothing lost, nothing twice."""
        assert self.failed == []
        copies = self.copies()
        assert [identity for identity in self.accepted if identity not in copies] == []
        assert {identity: number for identity, number in copies.items() if number != 1} == {}

    def slowest_delivery(self) -> float:
        """Seconds, to a whole one, from our message's acceptance to the provider's, of that which took longest."""
        return max(
            parsedate_to_datetime(str(message["Received"]).rpartition(";")[2]).timestamp() - self._at[identity]
            for message in self.applied.lab.mail(DOMAIN)
            if (identity := str(message["Message-ID"])) in self._at
        )

    def _tick(self, pool: ThreadPoolExecutor) -> None:
        """Keep the rate; but a machine that is too busy for it gets no heap of sessions: those are counted as late."""
        due = time.monotonic()
        free = threading.Semaphore(AT_ONCE)
        while not self._over.is_set():
            if free.acquire(blocking=False):
                pool.submit(self._send).add_done_callback(lambda _: free.release())
            else:
                self.late += 1
            due += 1 / self.rate
            self._over.wait(max(0.0, due - time.monotonic()))

    def _send(self) -> None:
        message = self.applied.message(SENDER, f"ada+{uuid.uuid4().hex}@{DOMAIN}")
        began = time.monotonic()
        try:
            submit(self.applied.place(), message, sender=SENDER, recipients=[str(message["To"])])
        except (OSError, smtplib.SMTPException) as error:
            self.failed.append(f"after {time.monotonic() - began:.2f} s: {type(error).__name__}: {error}")
            return
        self.slowest = max(self.slowest, time.monotonic() - began)
        identity = str(message["Message-ID"])
        self._at[identity] = time.time()
        self.accepted.append(identity)

    def _found(self) -> Counter[str]:
        wanted = set(self.accepted)
        return Counter(
            identity for message in self.applied.lab.mail(DOMAIN) if (identity := str(message["Message-ID"])) in wanted
        )
