"""The visits of one run, worked on in parallel; a step runs on all of them, or stops at the first that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from smtpctl.deploy.visit import Report, Visit
from smtpctl.errors import SmtpctlError
from smtpctl.model.artifacts import DesiredHost
from smtpctl.transport.connection import Target, operator

#: More connections at once gain nothing: the key exchanges share this machine's processors.
WORKERS = 32


class Crew:
    """All visits of a run, by host. ``interrupted`` is set by Ctrl-C: the step in hand ends, no other begins."""

    def __init__(self, visits: Sequence[Visit], pool: ThreadPoolExecutor) -> None:
        self.visits = {visit.name: visit for visit in visits}
        self.interrupted = threading.Event()
        self._pool = pool

    def each(self, step: Callable[[Visit], object], visits: Iterable[Visit]) -> list[Visit]:
        """Run ``step`` on ``visits`` in parallel and wait for all; those on which it failed, with their error noted."""
        chosen = list(visits)
        futures = [self._pool.submit(step, visit) for visit in chosen]
        self._wait(futures)
        failed = []
        for visit, future in zip(chosen, futures, strict=True):
            error = future.exception()
            if isinstance(error, SmtpctlError):
                visit.fail(error)
                failed.append(visit)
            elif error is not None:
                raise error
        return failed

    def _wait(self, futures: Sequence[Future[object]]) -> None:
        """Wait for all. Ctrl-C is noted and the waiting goes on: a host is never left between two states."""
        for future in futures:
            while True:
                try:
                    future.exception()
                    break
                except KeyboardInterrupt:
                    self.interrupted.set()


@contextmanager
def crew(targets: Mapping[str, Target], desired: Mapping[str, DesiredHost], report: Report) -> Iterator[Crew]:
    """Visits to all hosts of ``desired``; their connections, and so their locks, end with it."""
    holder = operator()
    visits = [Visit(targets[host], desired[host], holder, report) for host in desired]
    with ThreadPoolExecutor(max(1, min(WORKERS, len(visits)))) as pool:
        try:
            yield Crew(visits, pool)
        finally:
            for visit in visits:
                visit.close()
