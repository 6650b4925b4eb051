"""Stores one batch while the next one is read. (Edge: a thread.)

Catching up, the shipper parses while the server takes in rows: the two take about as long, and neither needs the other.
Batches are stored one after another, in their order; the first failure is told to whoever comes next, and nothing after
it is stored. On a log that is not behind no thread is used at all.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Storing:
    """At most one batch on its way to the ledger."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._underway: Future[None] | None = None

    def begin(self, store: Callable[[], None]) -> None:
        """Store a batch meanwhile. Waits for the one before, and raises what that one met with."""
        self.finish()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="storing")
        self._underway = self._thread.submit(store)

    def finish(self) -> None:
        """Wait until all is stored. Raise what storing met with."""
        underway, self._underway = self._underway, None
        if underway is not None:
            underway.result()

    def close(self) -> None:
        """Wait until nothing is underway, however it ends: what was not stored is read again."""
        if self._thread is not None:
            self._thread.shutdown()
