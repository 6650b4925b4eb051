"""A host asked for its Postfix, over SSH. Edge; writes nothing there."""

from __future__ import annotations

import ipaddress
import socket

from smtpctl.errors import SmtpctlError
from smtpctl.operate.adoption.draft import Reached
from smtpctl.operate.adoption.facts import Server, server_of
from smtpctl.transport.connection import Target, operator
from smtpctl.transport.host import Host


def read_server(target: Target) -> tuple[Server, Reached]:
    """What the host tells of itself, and how it was reached. Raise SmtpctlError where it is a fleet's already."""
    with Host(target, operator()) as host:
        facts = host.ask({"do": "handmade"}).header["facts"]
    server = server_of(facts)
    if server.managed:
        raise SmtpctlError(
            f"{target.host} is managed by smtpctl already", hint="its inventory is where the last apply came from"
        )
    address, controller = _both_ends(target)
    return server, Reached(address, target.user, target.port, controller)


def _both_ends(target: Target) -> tuple[str, str]:
    """Addresses of the host and of this machine towards it. A datagram socket asks the routing table, and sends
    nothing."""
    family, kind, _, _, place = socket.getaddrinfo(target.address, target.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(place)
        return (
            str(ipaddress.ip_address(probe.getpeername()[0])),
            str(ipaddress.ip_address(probe.getsockname()[0])),
        )
