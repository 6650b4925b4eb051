"""Hosts that are signed in to while this program still gets ready.

To import what a command needs takes as long as a host needs to answer. So hosts are called as soon as they are known:
first all get a TCP connection, for which sshd starts a process; meanwhile paramiko is imported; then all are signed in
to, in threads, while the caller imports the rest of itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from smtpctl.transport.connection import Target, call, operator

if TYPE_CHECKING:
    from concurrent.futures import Future

    from smtpctl.transport.host import Host

#: Hosts that are worked on at once, by the processors of this machine. With 32 on two processors, which ran the hosts
#: of a lab as well, a plan of sixty hosts took half as long again, and 40 % more of their time.
WORKERS = 6 * (os.cpu_count() or 1)


def call_all(targets: Mapping[str, Target]) -> dict[str, Future[Host]]:
    """Agents on ``targets``, each as soon as it is there; of no more hosts than are signed in to at once, since sshd
    does not wait for long (LoginGraceTime, sshd_config(5))."""
    begun = [(name, target, call(target)) for name, target in islice(targets.items(), WORKERS)]

    from concurrent.futures import ThreadPoolExecutor

    from smtpctl.transport import handshake  # noqa: F401 - imported now, while sshd starts
    from smtpctl.transport.host import Host

    holder = operator()
    pool = ThreadPoolExecutor(max(1, len(begun)))
    called = {name: pool.submit(Host, target, holder, raw) for name, target, raw in begun}
    pool.shutdown(wait=False)
    return called
