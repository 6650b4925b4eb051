"""Stores batches while the next ones are read. (Edge: a thread.)

Catching up, the shipper parses while the server takes in rows: the two take about as long, and neither needs the other.
What is asked of the ledger is done one after another, in the order of asking; the first failure is told to whoever
waits for it or asks next, and nothing after it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")


class Storing:
    """Does what is asked of the ledger; of batches at most one is on its way."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="storing")
        self._underway: Future[None] | None = None
        self._failure: BaseException | None = None

    def ask(self, question: Callable[[], Answer]) -> Future[Answer]:
        """Ask something, after everything that was asked before."""
        return self._thread.submit(self._do, question)

    def begin(self, store: Callable[[], None]) -> None:
        """Store a batch meanwhile. Waits for the one before, and raises what that one met with."""
        self.finish()
        self._underway = self.ask(store)

    def finish(self) -> None:
        """Wait until all is stored. Raise what storing met with."""
        underway, self._underway = self._underway, None
        if underway is not None:
            underway.result()

    def close(self) -> None:
        """Wait for what is being done, however it ends, and do no more: what was not stored is read again."""
        self._thread.shutdown(cancel_futures=True)

    def _do(self, what: Callable[[], Answer]) -> Answer:
        if self._failure is not None:
            raise self._failure
        try:
            return what()
        except BaseException as error:
            self._failure = error
            raise
