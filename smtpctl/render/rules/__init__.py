"""Rules over the rendered files of hosts that no server's own checker can hold: they look across files and servers.

A checker sees one configuration. That Postfix expects a PROXY header which HAProxy does not send, that two servers of
a host want one port, or that a signing table names a key which is not there, is valid to each of them. Pure: the time
that certificates are held against is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from smtpctl.model.artifacts import DesiredHost
from smtpctl.model.faults import Fault
from smtpctl.render.rules import certificates, maps, ports, proxy, signing, sockets, transports
from smtpctl.render.rules.view import HostView, view_of

Rule = Callable[[HostView, Mapping[str, HostView], datetime], Iterable[Fault]]

RULES: tuple[Rule, ...] = (
    ports.clashes,
    sockets.unanswered,
    sockets.unasked,
    proxy.disagreements,
    maps.missing,
    transports.unknown,
    signing.without_keys,
    certificates.unfit,
)


def faults(desired: Mapping[str, DesiredHost], now: datetime) -> dict[str, tuple[Fault, ...]]:
    """Faults of each host that has any. What lies on hosts that are not among ``desired`` is taken to be right."""
    views = {name: view_of(host) for name, host in desired.items()}
    found = {name: tuple(fault for rule in RULES for fault in rule(view, views, now)) for name, view in views.items()}
    return {name: some for name, some in found.items() if some}
