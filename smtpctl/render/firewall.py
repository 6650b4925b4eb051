"""nftables rules from what the roles of a host say they need: nothing else comes in, nothing else goes out."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from smtpctl.model.fleet import Fleet, Role
from smtpctl.render.roles import FirewallRule

#: Distance between a pool's port and the port of its health checks (logged nowhere).
HEALTH_PORT_OFFSET = 100


def pool_ports(fleet: Fleet) -> tuple[int, ...]:
    """Ports of all pools and of their health checks, sorted."""
    ports = [pool.port for pool in fleet.pools.values()]
    return tuple(sorted(ports + [port + HEALTH_PORT_OFFSET for port in ports]))


def rule_lines(fleet: Fleet, rules: Iterable[FirewallRule], *, direction: str) -> tuple[str, ...]:
    """Statements for an nftables chain. ``direction`` is ``saddr`` for what comes in, ``daddr`` for what goes out.

    Every rule becomes one line an address family; equal lines from several roles stand once, in order.
    """
    return tuple(dict.fromkeys(line for rule in rules for line in _lines(fleet, rule, direction)))


def _lines(fleet: Fleet, rule: FirewallRule, direction: str) -> Iterator[str]:
    match = f'meta skuid "{rule.user}" ' if rule.user else ""
    if rule.protocol == "vrrp":
        traffic = "meta l4proto vrrp"
    else:
        ports: list[int] = []
        for port in rule.ports:
            ports += pool_ports(fleet) if port == "pools" else [port]
        traffic = f"{rule.protocol} dport {{ {', '.join(map(str, sorted(set(ports))))} }}"
    if "anywhere" in rule.parties:
        yield f"{match}{traffic} accept"
        return
    for family, addresses in _by_family(_addresses(fleet, rule.parties)):
        yield f"{match}{family} {direction} {{ {', '.join(addresses)} }} {traffic} accept"


def _addresses(fleet: Fleet, parties: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for party in parties:
        if party == "management":
            found |= set(fleet.network.management)
        else:
            hosts = fleet.hosts if party == "fleet" else fleet.hosts_with(Role(party))
            found |= {host.address for host in hosts.values()}
    return found


def _by_family(addresses: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    ordered = sorted(map(_placed, addresses))
    for version, family in ((4, "ip"), (6, "ip6")):
        own = [text for (of, _, _), text in ordered if of == version]
        if own:
            yield family, own


@lru_cache(maxsize=8192)
def _placed(address: str) -> tuple[tuple[int, int, int], str]:
    """An address or network with its place in the order: by family, number and prefix."""
    network = ipaddress.ip_network(address)
    single = network.prefixlen == network.max_prefixlen
    text = str(network.network_address) if single else str(network)
    return (network.version, int(network.network_address), network.prefixlen), text
