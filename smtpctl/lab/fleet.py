"""Reading an inventory for the lab: its hosts at their addresses, checked against the lab's address plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smtpctl.errors import LabError
from smtpctl.inventory import load_fleet
from smtpctl.lab.addresses import (
    CONTROLLER,
    CONTROLLER_ADDRESS,
    INTERNET,
    INTERNET_ADDRESS,
    NETWORK,
    PROVIDER_NETWORK,
    is_free,
)
from smtpctl.lab.plan import Plan, PlannedHost
from smtpctl.model.fleet import Fleet


def default_inventory() -> Path:
    """The lab's inventory: of the repository this runs from, else the one inside the wheel."""
    package = Path(__file__).resolve().parent.parent
    candidates = (package.parent / "inventory/lab.yml", package / "_data/inventory/lab.yml")
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise LabError(f"no inventory at {candidates[0]} or {candidates[1]}", hint="name one with --inventory FILE")


def plan_lab(inventory: Path, image: Path) -> Plan:
    """The plan for the fleet of ``inventory``: its hosts in their order, then the internet host."""
    fleet = load_fleet(inventory)
    _check_addresses(fleet)
    internet = PlannedHost(INTERNET, fleet.host_name(INTERNET), INTERNET_ADDRESS)
    return Plan(str(image), str(inventory.absolute()), (*_planned_hosts(fleet), internet))


def _planned_hosts(fleet: Fleet) -> Sequence[PlannedHost]:
    return [PlannedHost(name, fleet.host_name(name), host.address) for name, host in fleet.hosts.items()]


def _check_addresses(fleet: Fleet) -> None:
    for name, host in fleet.hosts.items():
        if name in (CONTROLLER, INTERNET):
            raise LabError(f"host name {name!r} is the lab's own", hint="give the host of the inventory another name")
        if not is_free(host.address):
            raise LabError(
                f"host {name} has address {host.address}, which a lab host cannot have",
                hint=f"use one of {NETWORK}, but not {CONTROLLER_ADDRESS}, {INTERNET_ADDRESS} or {PROVIDER_NETWORK}",
            )
