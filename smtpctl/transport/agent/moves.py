"""Queue ids by what they mean, and having Postfix forget how it routed. Edge: Postfix's programs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from . import StepError, processes, spool

Selection = dict[str, Any]


def forget_routes(instance: str) -> None:
    """Have the queue manager route everything anew: it asks nobody twice within 30 s for the same recipient
    (resolve_clnt(3)), and not at all for what is active. A reload ends it; the next one begins with the whole active
    queue as if it had just come (qmgr(8)). An instance that does not run has nothing to forget."""
    result = processes.run(["systemctl", "try-reload-or-restart", f"postfix@{instance}.service"], timeout=30)
    if result.code:
        raise StepError("queue", f"{instance}: {result.output}")


def chosen(instance: str, selection: Selection) -> Iterator[str]:
    """Queue ids that a selection means, without waiting for the part of the queue that it cannot mean."""
    # A daemon that keeps pauses starts in half the time without what only a pause needs.
    from .providers import Providers
    from .queues import closer_look
    from .selection import Selector

    selector = Selector(selection, Providers(instance, {}, "default"), time.time())
    with closing(spool.listing(instance)) as listing:
        # showq(8) lists the deferred queue, the long one, after those that are on their way.
        lines = listing if "active" not in selection["queue"] or len(selection["queue"]) > 1 else _on_the_way(listing)
        matching = ((line, found) for line in lines if (found := selector.choose(line)) is not None)
        for _, found in closer_look(instance, selection, matching):
            yield found.id


def _on_the_way(listing: Iterator[bytes]) -> Iterator[bytes]:
    for line in listing:
        if line.startswith((b'{"queue_name": "deferred"', b'{"queue_name": "hold"')):
            return
        yield line


def batches(ids: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(ids, spool.BATCH)):
        yield batch
