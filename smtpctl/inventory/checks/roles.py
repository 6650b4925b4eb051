"""Roles: every one of them is somewhere, and a host has what its roles need."""

from __future__ import annotations

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.problems import Finding
from smtpctl.model.fleet import Fleet, Role

#: What a fleet without the role cannot do.
_PURPOSE = {
    Role.BALANCER: "applications have nothing to connect to",
    Role.SUBMISSION: "nothing signs in, limits and signs",
    Role.RELAY: "no mail leaves",
    Role.FEEDBACK: "bounces and complaints have no MX",
    Role.MAILBOX: "postmaster@ and abuse@ reach nobody (RFC 2142)",
    Role.CONTROL: "there is no ledger, and limits are not shared",
}


@reads("hosts")
def every_role_is_filled(fleet: Fleet) -> Findings:
    """Each of the six roles is on at least one host."""
    for role in Role:
        if not fleet.hosts_with(role):
            hint = f"add {role} to the roles of a host; without it {_PURPOSE[role]}"
            yield Finding(("hosts",), f"no host has the role {str(role)!r}", hint, at_key=True)


@reads("hosts")
def what_keeps_data_is_on_one_host(fleet: Fleet) -> Findings:
    """The roles `control` and `mailbox` are on one host each: a second would have a ledger, or mailboxes, of its own
    that nothing reaches."""
    for role in (Role.CONTROL, Role.MAILBOX):
        first, *others = fleet.hosts_with(role) or [""]
        for name in others:
            message = f"host {name!r} has the role {str(role)!r}, but so has {first!r}"
            path = ("hosts", name, "roles", fleet.hosts[name].roles.index(role))
            yield Finding(path, message, "leave it with one of them: nothing would reach the second")


@reads("hosts")
def a_role_stands_once(fleet: Fleet) -> Findings:
    """A host names a role once."""
    for name, host in fleet.hosts.items():
        for index, role in enumerate(host.roles):
            if role in host.roles[:index]:
                path = ("hosts", name, "roles", index)
                yield Finding(path, f"host {name!r} has the role {str(role)!r} twice", "remove one of the two")


@reads("hosts")
def a_relay_has_sources(fleet: Fleet) -> Findings:
    """A host with the role `relay` has source addresses, and a host without it has none."""
    for name, host in fleet.hosts.items():
        if Role.RELAY in host.roles and not host.sources:
            hint = "give it `sources`: each an address, its HELO name and its pool"
            yield Finding(("hosts", name), f"relay {name!r} has no source address", hint, at_key=True)
        if host.sources and Role.RELAY not in host.roles:
            hint = "add relay to its roles, or move the sources to a relay"
            yield Finding(("hosts", name, "sources"), f"host {name!r} has sources but is no relay", hint, at_key=True)


@reads("hosts", "balancing")
def several_balancers_share_an_address(fleet: Fleet) -> Findings:
    """Two or more balancers have a virtual address to share."""
    balancers = fleet.hosts_with(Role.BALANCER)
    if len(balancers) > 1 and fleet.balancing.virtual_address is None:
        message = f"{' and '.join(balancers)} are balancers, but there is no virtual address between them"
        yield Finding(("balancing",), message, "set balancing.virtual_address, such as 192.0.2.10/24", at_key=True)


CHECKS = (
    every_role_is_filled,
    what_keeps_data_is_on_one_host,
    a_role_stands_once,
    a_relay_has_sources,
    several_balancers_share_an_address,
)
