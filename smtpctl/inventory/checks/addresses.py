"""Addresses: each in one place, all reachable from each other, and management from somewhere in particular."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.problems import Finding, Path
from smtpctl.model.fleet import Fleet, Role


def _virtual_address(fleet: Fleet) -> str | None:
    interface = fleet.balancing.virtual_address
    return interface.partition("/")[0] if interface else None


def _version(address: str) -> int:
    return ipaddress.ip_network(address, strict=False).version


def _uses(fleet: Fleet) -> Iterator[tuple[str, Path, str]]:
    """(address, path, what it is) for every address of the fleet: those of hosts before those of sources."""
    for name, host in fleet.hosts.items():
        yield host.address, ("hosts", name, "address"), f"the address of host {name!r}"
    virtual = _virtual_address(fleet)
    if virtual is not None:
        yield virtual, ("balancing", "virtual_address"), "the virtual address"
    for name, host in fleet.hosts.items():
        for index, source in enumerate(host.sources):
            yield source.address, ("hosts", name, "sources", index, "address"), f"a source address of {name!r}"


@reads("hosts", "balancing")
def an_address_is_used_once(fleet: Fleet) -> Findings:
    """No two of these are the same: addresses of hosts, source addresses, the virtual address."""
    first: dict[str, str] = {}
    for address, path, what in _uses(fleet):
        if address in first:
            yield Finding(path, f"{address} is {what}, but also {first[address]}", "give each an address of its own")
        else:
            first[address] = what


@reads("hosts", "balancing")
def an_address_can_be_reached(fleet: Fleet) -> Findings:
    """No address is a loopback, link-local, multicast or unspecified one."""
    for address, path, what in _uses(fleet):
        parsed = ipaddress.ip_address(address)
        if parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified:
            hint = "use an address that the other hosts, or the world, can reach"
            yield Finding(path, f"{address} is {what}, but means nothing to another machine", hint)


@reads("hosts", "balancing", "network")
def hosts_speak_one_family(fleet: Fleet) -> Findings:
    """Addresses of hosts and the virtual address are all IPv4 or all IPv6, and so is one management network at least.

    Source addresses may be of either family."""
    first, host = next(iter(fleet.hosts.items()))
    version = _version(host.address)
    uses: list[tuple[str, Path, str]] = [
        (name, ("hosts", name, "address"), other.address) for name, other in fleet.hosts.items()
    ]
    if fleet.balancing.virtual_address:
        uses.append(("the virtual address", ("balancing", "virtual_address"), fleet.balancing.virtual_address))
    for name, path, address in uses:
        if _version(address) != version:
            message = f"{name} has an IPv{_version(address)} address, but {first} an IPv{version} one"
            yield Finding(path, message, "hosts reach each other over one family: use it for all of them")
    if all(_version(network) != version for network in fleet.network.management):
        message = f"no management network is IPv{version}, but the hosts' addresses are"
        yield Finding(("network", "management"), message, "add the network that you reach the hosts from", at_key=True)


@reads("hosts", "network")
def the_prefix_fits_the_family(fleet: Fleet) -> Findings:
    """`network.prefix` is no longer than addresses of the hosts' family are."""
    if fleet.network.prefix > 32 and any(_version(host.address) == 4 for host in fleet.hosts.values()):
        message = f"a prefix of {fleet.network.prefix} bits does not fit IPv4 addresses"
        yield Finding(("network", "prefix"), message, "at most 32, usually 24")


@reads("hosts", "balancing", "network")
def the_virtual_address_is_near_its_balancers(fleet: Fleet) -> Findings:
    """The virtual address lies in the network of every balancer: a neighbour must find it by ARP or NDP."""
    virtual = _virtual_address(fleet)
    if virtual is None:
        return
    for name, host in fleet.hosts_with(Role.BALANCER).items():
        bits = min(fleet.network.prefix, ipaddress.ip_address(host.address).max_prefixlen)
        network = ipaddress.ip_network(f"{host.address}/{bits}", strict=False)
        if _version(virtual) == network.version and ipaddress.ip_address(virtual) not in network:
            message = f"virtual address {virtual} is not in {network}, the network of balancer {name!r}"
            yield Finding(("balancing", "virtual_address"), message, "choose it from there, or correct network.prefix")


@reads("network")
def management_is_not_the_world(fleet: Fleet) -> Findings:
    """No management network is the whole internet."""
    for index, network in enumerate(fleet.network.management):
        if ipaddress.ip_network(network).prefixlen == 0:
            message = f"{network} opens SSH, statistics and the ledger to the whole world"
            yield Finding(("network", "management", index), message, "name the networks that you work from")


CHECKS = (
    an_address_is_used_once,
    an_address_can_be_reached,
    hosts_speak_one_family,
    the_prefix_fits_the_family,
    the_virtual_address_is_near_its_balancers,
    management_is_not_the_world,
)
