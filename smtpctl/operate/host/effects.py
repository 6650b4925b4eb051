"""What the beginning and the end of a pause do to the queues of this host. Edge: Postfix's programs.

A pause that the routing knows (pool, provider, source, everything) needs little: what is in the active queue has its
transport already, so it is taken out, and routed anew at its next turn. One that the routing cannot know (credential,
sender, header) puts what is queued on hold, and notes which; its end releases these, and what the policy service and
the From check put on hold since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from smtpctl.transport.agent import spool
from smtpctl.transport.agent.pauses import PauseFolder, Record
from smtpctl.transport.agent.providers import Providers
from smtpctl.transport.agent.queues import closer_look
from smtpctl.transport.agent.selection import Selector

#: How long routing and policy service may take to see a change of the file.
SEEN = 0.5

#: qmgr(8) says this of what it keeps for `defer_transports`.
PAUSED_REPLY = "deferred transport"

Selection = dict[str, Any]


def enter(folder: PauseFolder, record: Record) -> None:
    """Bring the queues of this host to a pause that has begun. Doing it again changes nothing."""
    time.sleep(SEEN)
    for instance in _routed(record):
        _take_out_of_active(instance, _provider_selection(record))
    for instance, selection in _queued(record):
        waiting = {**selection, "queue": ["incoming", "active", "deferred"]}
        for ids in _batches(_chosen(instance, waiting)):
            folder.note_held(record["id"], instance, ids)
            spool.act(instance, "hold", ids)


def leave(folder: PauseFolder, record: Record) -> None:
    """Bring the queues of this host back after a pause: what waited because of it is tried now."""
    time.sleep(SEEN)
    for instance, ids in folder.held(record["id"]).items():
        _release(instance, ids)
    folder.forget_held(record["id"])
    for instance, selection in _queued(record):
        since = {**selection, "queue": ["hold"], "younger": int(time.time() - record["since"]) + 1}
        for ids in _batches(_chosen(instance, since)):
            _release(instance, ids)
    for instance in _routed(record):
        waiting = {**_provider_selection(record), "queue": ["deferred"], "reply": [PAUSED_REPLY]}
        for ids in _batches(_chosen(instance, waiting)):
            spool.act(instance, "retry", ids)


def _release(instance: str, ids: list[str]) -> None:
    for batch in _batches(iter(ids)):
        spool.act(instance, "release", batch)
        spool.act(instance, "retry", batch)


def _routed(record: Record) -> list[str]:
    """Instances whose routing knows of the pause."""
    scope, here = record["scope"], spool.instances()
    if scope.get("everything") or scope.get("providers") or scope.get("sources"):
        return [instance for instance in here if instance not in ("submission", "feedback")]
    return [instance for instance in here if instance in scope.get("pools", ())]


def _queued(record: Record) -> Iterator[tuple[str, Selection]]:
    """Instances with the selection of what the pause puts on hold there."""
    queued: dict[str, Selection | None] = record.get("queued", {})
    for instance in spool.instances():
        selection = queued.get(instance, queued.get("*"))
        if selection is not None:
            yield instance, selection


def _provider_selection(record: Record) -> Selection:
    providers = record["scope"].get("providers")
    return {"provider": providers} if providers else {}


def _take_out_of_active(instance: str, selection: Selection) -> None:
    """Put what is active on hold and release it again: it is deferred then, and asks for its transport anew."""
    for ids in _batches(_chosen(instance, {**selection, "queue": ["active"]})):
        spool.act(instance, "hold", ids)
        spool.act(instance, "release", ids)


def _chosen(instance: str, selection: Selection) -> Iterator[str]:
    """Queue ids that a selection means, without waiting for the part of the queue that it cannot mean."""
    selector = Selector(selection, Providers(instance, {}, "default"), time.time())
    with closing(spool.listing(instance)) as listing:
        # showq(8) lists the deferred queue, the long one, after those that are on their way.
        lines = listing if "active" not in selection["queue"] or len(selection["queue"]) > 1 else _on_the_way(listing)
        matching = ((line, chosen) for line in lines if (chosen := selector.choose(line)) is not None)
        for _, chosen in closer_look(instance, selection, matching):
            yield chosen.id


def _on_the_way(listing: Iterator[bytes]) -> Iterator[bytes]:
    for line in listing:
        if line.startswith((b'{"queue_name": "deferred"', b'{"queue_name": "hold"')):
            return
        yield line


def _batches(ids: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(ids, spool.BATCH)):
        yield batch


Effect = Callable[[PauseFolder, Record], None]
