"""Queues of Postfix instances on this host: wait until they have handed on what they hold. Read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .drain import wait
from .queue_files import names

#: What is being taken in or handed on. What waits for a later try (deferred) survives a restart where it is.
QUEUES = ("maildrop", "incoming", "active")


def settle(request: dict[str, Any]) -> dict[str, Any]:
    """Wait until nothing is in hand in any of ``instances``; how many messages are, after ``seconds``."""

    def in_hand() -> int:
        return sum(
            _count(f"/var/spool/postfix-{instance}/{queue}") for instance in request["instances"] for queue in QUEUES
        )

    wait(lambda: in_hand() == 0, request["seconds"])
    return {"left": in_hand()}


def _count(folder: str) -> int:
    return sum(1 for _ in names(Path(folder)))
