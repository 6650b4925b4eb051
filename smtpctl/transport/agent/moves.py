"""Queue ids by what they mean, and taking messages out of the active queue. Edge: Postfix's programs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from . import spool
from .providers import Providers
from .queues import closer_look
from .selection import Selector

Selection = dict[str, Any]


def take_out_of_active(instance: str, selection: Selection) -> None:
    """Put what is active on hold and release it again: it is deferred then, and asks for its transport anew."""
    for ids in batches(chosen(instance, {**selection, "queue": ["active"]})):
        spool.act(instance, "hold", ids)
        spool.act(instance, "release", ids)


def chosen(instance: str, selection: Selection) -> Iterator[str]:
    """Queue ids that a selection means, without waiting for the part of the queue that it cannot mean."""
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
