"""The lab's address plan: one network, 10.78.0.0/16, in a namespace of its own. Two labs may use it at once."""

from __future__ import annotations

import ipaddress

NETWORK = ipaddress.IPv4Network("10.78.0.0/16")
PREFIX = NETWORK.prefixlen

#: Pseudo-host for whoever works on the lab from this machine: the bridge's own address.
CONTROLLER = "ctl"
CONTROLLER_ADDRESS = "10.78.0.1"

#: The host that plays the internet: name servers and mailbox providers.
INTERNET = "inet"
INTERNET_ADDRESS = "10.78.0.2"

#: Mailbox providers answer here, one address each.
PROVIDER_NETWORK = ipaddress.IPv4Network("10.78.1.0/24")


def is_free(address: str) -> bool:
    """Whether a host of an inventory may have ``address``: inside the lab's network and not one of its own."""
    candidate = ipaddress.ip_address(address)
    return (
        isinstance(candidate, ipaddress.IPv4Address)
        and candidate in NETWORK
        and candidate not in PROVIDER_NETWORK
        and address not in (CONTROLLER_ADDRESS, INTERNET_ADDRESS)
    )


def reverse_name(address: str) -> str:
    """The name of the PTR record of ``address``, fully qualified (RFC 1035 §3.5)."""
    return ipaddress.ip_address(address).reverse_pointer + "."
