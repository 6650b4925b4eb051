"""Agents of several hosts asked at once. Edge: connections and threads.

A host that fails is reported and the others go on: at three in the morning half an answer is better than none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from smtpctl.errors import SmtpctlError
from smtpctl.transport.connection import Target, operator
from smtpctl.transport.host import Host

#: Connections at once, as in deploy.
WORKERS = 32

Answer = TypeVar("Answer")


class Visits:
    """Open connections by host, and what kept the others away."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self.hosts: dict[str, Host] = {}
        self.errors: dict[str, SmtpctlError] = {}

    def connect(self, targets: Mapping[str, Target]) -> None:
        """Connect to all at once."""
        holder = operator()
        work = {name: self._pool.submit(Host, target, holder) for name, target in targets.items()}
        for name, future in work.items():
            try:
                self.hosts[name] = future.result()
            except SmtpctlError as error:
                self.errors[name] = error

    def each(self, ask: Callable[[str, Host], Answer], only: Collection[str] = ()) -> dict[str, Answer]:
        """What ``ask`` gives for every host that can be reached, or for those of ``only``. One that fails is asked
        nothing more."""
        hosts = {name: host for name, host in self.hosts.items() if not only or name in only}
        work = {name: self._pool.submit(ask, name, host) for name, host in hosts.items()}
        answers: dict[str, Answer] = {}
        for name, future in work.items():
            try:
                answers[name] = future.result()
            except SmtpctlError as error:
                self.errors[name] = error
                self.hosts.pop(name).close()
        return answers


@contextmanager
def visits(targets: Mapping[str, Target]) -> Iterator[Visits]:
    """Connections to ``targets``, closed at the end."""
    with ThreadPoolExecutor(max(1, min(WORKERS, len(targets)))) as pool:
        made = Visits(pool)
        try:
            made.connect(targets)
            yield made
        finally:
            for host in made.hosts.values():
                host.close()
