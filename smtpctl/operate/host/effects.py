"""What the beginning and the end of a pause do to the queues of this host. Edge: Postfix's programs.

A pause that the routing knows (pool, provider, source, everything) needs little: what is in the active queue has its
transport already, so the queue manager begins anew and asks for every route again. One that the routing cannot know
(credential, sender, header) puts what is queued on hold, and notes which; its end releases these, and what the policy
service and the From check put on hold since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from smtpctl.transport.agent import spool
from smtpctl.transport.agent.moves import batches, chosen, forget_routes
from smtpctl.transport.agent.pauses import PauseFolder, Record

#: How long routing and policy service may take to see a change of the file.
SEEN = 0.5

#: What a queue says of mail that waits for a pause: qmgr(8) of what it keeps for `defer_transports`, and the transport
#: itself of what somebody had tried meanwhile (templates/relay, master.cf).
PAUSED_REPLIES = ["deferred transport", "paused by the operator"]

Selection = dict[str, Any]


def enter(folder: PauseFolder, record: Record) -> None:
    """Bring the queues of this host to a pause that has begun. Doing it again changes nothing."""
    if not _concerns_queues(record):
        return
    time.sleep(SEEN)
    for instance in _routed(record):
        forget_routes(instance)
    for instance, selection in _queued(record):
        waiting = {**selection, "queue": ["incoming", "active", "deferred"]}
        for ids in batches(chosen(instance, waiting)):
            folder.note_held(record["id"], instance, ids)
            spool.act(instance, "hold", ids)


def leave(folder: PauseFolder, record: Record) -> None:
    """Bring the queues of this host back after a pause: what waited because of it is tried now."""
    if not _concerns_queues(record):
        return
    time.sleep(SEEN)
    here = spool.instances()  # a pool that was removed meanwhile has nothing to let go
    for instance, ids in folder.held(record["id"]).items():
        if instance in here:
            _release(instance, ids)
    folder.forget_held(record["id"])
    for instance, selection in _queued(record):
        since = {**selection, "queue": ["hold"], "younger": int(time.time() - record["since"]) + 1}
        for ids in batches(chosen(instance, since)):
            _release(instance, ids)
    for instance in _routed(record):
        forget_routes(instance)
        waiting = {**_provider_selection(record), "queue": ["deferred"], "reply": PAUSED_REPLIES}
        for ids in batches(chosen(instance, waiting)):
            spool.act(instance, "retry", ids)


def _concerns_queues(record: Record) -> bool:
    """Whether there is anything to do: an address that is locked out is the firewall's affair."""
    return bool(record["scope"].keys() - {"clients"} or record.get("queued"))


def _release(instance: str, ids: list[str]) -> None:
    for batch in batches(iter(ids)):
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


Effect = Callable[[PauseFolder, Record], None]
