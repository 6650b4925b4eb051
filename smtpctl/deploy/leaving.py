"""Hosts that the inventory no longer has: looked at before the others forget them. Edge: connections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from smtpctl.deploy.visit import Report, Visit
from smtpctl.errors import SmtpctlError, TransportError
from smtpctl.model.records import Event
from smtpctl.plan.leaving import leaving
from smtpctl.transport.connection import Target, operator
from smtpctl.transport.host import Host


def require_empty(visits: Iterable[Visit], report: Report) -> None:
    """Raise SmtpctlError for a host that is to be forgotten and has mail. One that does not answer has none that
    anybody could have: that is reported."""
    for name, target in _forgotten(visits).items():
        try:
            with Host(target, operator()) as host:
                instances = host.ask({"do": "waiting", "instances": None, "transports": {}}).header["instances"]
        except TransportError as error:
            report(Event(name, "leaves", f"not looked at, what waits there stays there: {error}"))
            continue
        if instances:
            there = ", ".join(f"{count} in postfix@{instance}" for instance, count in instances.items())
            raise SmtpctlError(
                f"{name} is no longer in the inventory, and mail waits there: {there}",
                hint=f"put it back, `smtpctl queue drain {name}` if it is a relay, and come again when it is empty; "
                "a host that is switched off is forgotten as it is",
            )
        report(Event(name, "leaves", "its queues are empty: switch it off after this"))


def _forgotten(visits: Iterable[Visit]) -> dict[str, Target]:
    """Where the hosts are that any of ``visits`` knows and is to forget; signed in to as the others are."""
    found: dict[str, Target] = {}
    for visit in visits:
        if visit.desired is None or visit.observed is None:
            continue
        for full_name, address in leaving(visit.desired, visit.observed).items():
            name = full_name.partition(".")[0]
            found[name] = replace(visit.target, host=name, address=address)
    return found
