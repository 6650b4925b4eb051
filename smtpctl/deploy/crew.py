"""The visits of one run, worked on in parallel; a step runs on all of them, or stops at the first that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from smtpctl.deploy.visit import Report, Visit
from smtpctl.errors import SmtpctlError
from smtpctl.model.artifacts import DesiredHost
from smtpctl.transport.calls import WORKERS
from smtpctl.transport.connection import Target, operator

#: A step that is going on, by visit.
Work = list[tuple[Visit, Future[object]]]


class Crew:
    """All visits of a run, by host. ``interrupted`` is set by Ctrl-C: the step in hand ends, no other begins."""

    def __init__(self, visits: Sequence[Visit], pool: ThreadPoolExecutor) -> None:
        self.visits = {visit.name: visit for visit in visits}
        self.interrupted = threading.Event()
        self._pool = pool

    def keep(self, names: Iterable[str]) -> None:
        """Go on with the visits to these hosts only; the others end with the run, with nothing done."""
        wanted = set(names)
        self.visits = {name: visit for name, visit in self.visits.items() if name in wanted}

    def whole(self) -> list[Visit]:
        """Visits on which nothing has failed."""
        return [visit for visit in self.visits.values() if visit.error is None]

    def desired(self) -> dict[str, DesiredHost]:
        """What is desired of every host of which anything is."""
        return {name: visit.desired for name, visit in self.visits.items() if visit.desired is not None}

    def each(self, step: Callable[[Visit], object], visits: Iterable[Visit]) -> list[Visit]:
        """Run ``step`` on ``visits`` in parallel and wait for all; those on which it failed, with their error noted."""
        return self.finish(self.begin(step, visits))

    def begin(self, step: Callable[[Visit], object], visits: Iterable[Visit]) -> Work:
        """Start ``step`` on ``visits`` in parallel."""
        return [(visit, self._pool.submit(step, visit)) for visit in visits]

    def finish(self, work: Work) -> list[Visit]:
        """Wait for all of ``work``; the visits on which it failed, with their error noted."""
        self._wait([future for _, future in work])
        failed = []
        for visit, future in work:
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
def crew(targets: Mapping[str, Target], report: Report) -> Iterator[Crew]:
    """Visits to all of ``targets``; their connections, and so their locks, end with it."""
    holder = operator()
    visits = [Visit(target, holder, report) for target in targets.values()]
    with ThreadPoolExecutor(max(1, min(WORKERS, len(visits)))) as pool:
        try:
            yield Crew(visits, pool)
        finally:
            for visit in visits:
                visit.close()
