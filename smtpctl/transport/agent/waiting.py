"""Mail that a change would leave behind: what waits in Postfix instances, and for transports of one. Read-only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from . import queue_files, spool


def waiting(instances: Collection[str] | None, transports: Mapping[str, Collection[str]]) -> dict[str, dict[str, int]]:
    """Messages by instance, of all instances with None; and by transport, of those that the policy service's answer
    (access(5), FILTER) has bound to one of ``transports`` of an instance. What is empty is left out."""
    asked = spool.instances() if instances is None else instances
    found = {instance: sum(1 for _ in _ids(instance)) for instance in asked}
    bound: Counter[str] = Counter()
    for instance, names in transports.items():
        chosen = (transport for _, transport in spool.transports(instance, _ids(instance)))
        bound.update(transport for transport in chosen if transport in names)
    return {"instances": {name: count for name, count in found.items() if count}, "transports": dict(bound)}


def _ids(instance: str) -> list[str]:
    spool_folder = Path(f"/var/spool/postfix-{instance}")
    return [name for queue in queue_files.QUEUES for name in queue_files.names(spool_folder / queue)]
