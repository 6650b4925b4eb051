"""No two servers of a host want one port."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import combinations

from smtpctl.model.faults import Fault
from smtpctl.render.rules.view import HostView


def clashes(view: HostView, views: Mapping[str, HostView], now: datetime) -> Iterator[Fault]:
    """Two listeners on one port, of one address or one of them on every address."""
    for one, other in combinations(view.listeners, 2):
        if one.port == other.port and (one.address == other.address or one.everywhere or other.everywhere):
            yield Fault(
                other.path,
                f"{other.what} and {one.what} ({one.path}) both want port {one.port}",
                "give one of them another port",
            )
