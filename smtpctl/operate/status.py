"""Asks all hosts what they say of themselves. Edge: connections."""

from __future__ import annotations

from typing import Any

from smtpctl.model.fleet import Fleet
from smtpctl.operate.health import Status
from smtpctl.operate.visits import Visits
from smtpctl.transport.host import Host


def virtual_address(fleet: Fleet) -> str:
    """The address that balancers hold one at a time, without its prefix length; empty where there is none."""
    return str(fleet.balancing.virtual_address or "").partition("/")[0]


def ask_hosts(fleet: Fleet, visits: Visits) -> Status:
    """The part of the status that hosts know."""
    address = virtual_address(fleet)

    def ask(name: str, host: Host) -> dict[str, Any]:
        return host.ask({"do": "state", "virtual_address": address}).header

    status = Status()
    for name, state in visits.each(ask).items():
        status.hosts[name] = state
        status.drift[name] = len(state["changed"])
    status.silent.update({name: str(error) for name, error in visits.errors.items()})
    return status
