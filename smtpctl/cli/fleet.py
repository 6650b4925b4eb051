"""The hosts that a command is about: chosen by name and role, rendered, and where they are reached."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.loading import enter_network_of, load, overlay_of, own_cache, place_of
from smtpctl.errors import UsageError
from smtpctl.kept import sealed
from smtpctl.model.frozen import Frozen

if TYPE_CHECKING:
    from concurrent.futures import Future

    from smtpctl.model.artifacts import DesiredHost
    from smtpctl.model.fleet import Fleet
    from smtpctl.model.plans import HostPlan
    from smtpctl.model.rollouts import Rollout, Turn
    from smtpctl.model.secrets import Secrets
    from smtpctl.transport.connection import Target
    from smtpctl.transport.host import Host

host_option = click.option("--host", "hosts", multiple=True, metavar="HOST", help="Only this host; may be given again.")
role_option = click.option(
    "--role", "roles", multiple=True, metavar="ROLE", help="Only hosts with this role; may be given again."
)


#: The desired state of larger fleets is not kept: it would take a hundred megabytes.
MOST_KEPT = 100


class Selection(Frozen):
    """A fleet, and where the chosen hosts of it, and all of its hosts (``neighbours``), are reached."""

    inventory: Path
    fleet: Fleet
    secrets: Secrets
    targets: dict[str, Target]
    neighbours: dict[str, Target]

    def call(self) -> dict[str, Future[Host]]:
        """Sign in to the chosen hosts, as far as that gains time, while the rest of a command is imported."""
        from smtpctl.transport.calls import call_all

        return call_all(self.targets)

    def render(self) -> dict[str, DesiredHost]:
        """The desired state of the chosen hosts; that of a whole fleet is kept, and rendered when anything changed."""
        overlay, cache, hosts = overlay_of(self.inventory, self.fleet), own_cache(), list(self.targets)

        def rendered() -> dict[str, DesiredHost]:
            from smtpctl.render import render_fleet

            return render_fleet(self.fleet, self.secrets, overlay=overlay, hosts=hosts, cache=cache)

        if overlay or self.secrets.placeholders or hosts != list(self.fleet.hosts) or len(hosts) > MOST_KEPT:
            return rendered()
        secret = repr(sorted(self.secrets.items())).encode()
        return sealed(cache, f"desired-{place_of(self.inventory)}", repr(self.fleet).encode(), secret, rendered)

    def order(self, plans: Mapping[str, HostPlan]) -> Sequence[Sequence[str]]:
        """The waves in which hosts with ``plans`` change."""
        return self.rollout(plans).waves

    def turns(self, plans: Mapping[str, HostPlan]) -> Mapping[str, Turn]:
        """What gives way before each of them."""
        return self.rollout(plans).turns

    def rollout(self, plans: Mapping[str, HostPlan]) -> Rollout:
        """Both."""
        from smtpctl.plan import rollout

        return rollout(self.fleet, plans)


def select(
    inventory: Path, hosts: Collection[str] = (), roles: Collection[str] = (), *, placeholders: bool = False
) -> Selection:
    """Load and choose; and move into the lab's network where the fleet is the lab's."""
    from smtpctl.deploy.targets import targets

    fleet, secrets = load(inventory, placeholders=placeholders)
    names = chosen(fleet, hosts, roles)
    enter_network_of(fleet)
    identity, known_hosts = keys_of(fleet, inventory)
    everywhere = targets(fleet, list(fleet.hosts), identity=identity, known_hosts=known_hosts)
    return Selection(inventory, fleet, secrets, {name: everywhere[name] for name in names}, everywhere)


def chosen(fleet: Fleet, hosts: Collection[str], roles: Collection[str]) -> list[str]:
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
