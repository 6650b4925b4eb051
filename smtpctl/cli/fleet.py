"""The hosts that a command is about: chosen by name and role, rendered, and where they are reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.loading import enter_network_of, load, overlay_of
from smtpctl.errors import UsageError

if TYPE_CHECKING:
    from smtpctl.model.artifacts import DesiredHost
    from smtpctl.model.fleet import Fleet
    from smtpctl.model.secrets import Secrets
    from smtpctl.transport.connection import Target

host_option = click.option("--host", "hosts", multiple=True, metavar="HOST", help="Only this host; may be given again.")
role_option = click.option(
    "--role", "roles", multiple=True, metavar="ROLE", help="Only hosts with this role; may be given again."
)


@dataclass(frozen=True)
class Selection:
    """A fleet, and what a command needs of the chosen hosts."""

    fleet: Fleet
    secrets: Secrets
    desired: dict[str, DesiredHost]
    targets: dict[str, Target]


def select(inventory: Path, hosts: tuple[str, ...], roles: tuple[str, ...]) -> Selection:
    """Load, choose and render; and move into the lab's network where the fleet is the lab's."""
    from smtpctl.deploy.targets import targets
    from smtpctl.render import render_fleet

    fleet, secrets = load(inventory)
    names = chosen(fleet, hosts, roles)
    desired = render_fleet(fleet, secrets, overlay=overlay_of(inventory, fleet), hosts=names)
    enter_network_of(fleet)
    identity, known_hosts = keys_of(fleet, inventory)
    where = targets(fleet, names, identity=identity, known_hosts=known_hosts)
    return Selection(fleet, secrets, desired, where)


def chosen(fleet: Fleet, hosts: tuple[str, ...], roles: tuple[str, ...]) -> list[str]:
    """Names of the chosen hosts, in the inventory's order; all when nothing is chosen. Raise UsageError for unknown."""
    known_roles = {role.value for host in fleet.hosts.values() for role in host.roles}
    for host in hosts:
        if host not in fleet.hosts:
            raise UsageError(f"no host {host!r} in the inventory", hint=f"hosts: {', '.join(fleet.hosts)}")
    for role in roles:
        if role not in known_roles:
            raise UsageError(f"no host has a role {role!r}", hint=f"roles: {', '.join(sorted(known_roles))}")
    return [
        name
        for name, host in fleet.hosts.items()
        if not (hosts or roles) or name in hosts or any(role.value in roles for role in host.roles)
    ]


def keys_of(fleet: Fleet, inventory: Path) -> tuple[Path | None, Path]:
    """Private key and file of known host keys: the inventory's, relative to it, or the lab's own."""
    if fleet.ssh.via == "lab":
        from smtpctl.lab import StateFolder

        state = StateFolder.of_environment()
        return state.identity, state.known_hosts
    identity = inventory.parent / Path(fleet.ssh.identity).expanduser() if fleet.ssh.identity else None
    return identity, inventory.parent / Path(fleet.ssh.known_hosts or "~/.ssh/known_hosts").expanduser()
