"""Requests of a controller that changes a host, this one or another: give way to it, take over, and back again.

Imported only where it is asked for; a plan is over sooner without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import address, settling
from .drain import Drains


class Way:
    """What one controller has asked for here."""

    def __init__(self) -> None:
        self._drains = Drains()
        self._handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "drain": self._drains.drain,
            "drained": self._drains.drained,
            "checked": self._drains.checked,
            "ready": self._drains.ready,
            "settle queues": settling.settle,
            "can take": address.can_take,
            "holds": address.holds,
            "leave": address.leave,
            "let in": address.let_in,
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"answer": "done", **self._handlers[request["what"]](request)}

    def release(self) -> None:
        """The controller is gone: send mail again wherever it has stopped it."""
        self._drains.release()
