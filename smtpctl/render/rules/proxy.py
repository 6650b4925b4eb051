"""HAProxy and the server behind it agree on the PROXY header, and there is a server behind it at all.

A Postfix that expects the header waits for it in vain and then drops the connection; one that does not expect it reads
it as a command (postconf(5), smtpd_upstream_proxy_protocol).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from smtpctl.model.faults import Fault
from smtpctl.render.rules.haproxy_files import Server
from smtpctl.render.rules.view import HostView, Listener, is_loopback


def disagreements(view: HostView, views: Mapping[str, HostView], now: datetime) -> Iterator[Fault]:
    """Servers of HAProxy that nobody is behind, and those whose other side thinks otherwise of the header."""
    for balancer in view.balancers:
        for server in balancer.servers:
            other = _host_of(server.address, view, views)
            if other is None:
                continue
            for port in (server.port, server.check_port):
                unknown = is_loopback(server.address)  # what listens there need not be of ours
                if port is not None and not unknown and other.listens(server.address, port) is None:
                    yield Fault(
                        balancer.path,
                        f"{server.section}: server {server.name} is {server.address} port {port}, "
                        f"where nothing on {other.host} listens",
                        "give both sides the same port",
                    )
            listener = other.listens(server.address, server.port)
            if listener and listener.takes_proxy is not None and listener.takes_proxy != server.sends_proxy:
                yield _disagreement(balancer.path, server, other, listener)


def _disagreement(path: str, server: Server, other: HostView, listener: Listener) -> Fault:
    where = f"{listener.what} on {other.host} ({listener.path}, port {listener.port})"
    if server.sends_proxy:
        return Fault(
            path,
            f"{server.section}: server {server.name} sends a PROXY header, and {where} does not expect one",
            "add `-o smtpd_upstream_proxy_protocol=haproxy` there, or take send-proxy-v2 away here",
        )
    return Fault(
        path,
        f"{server.section}: server {server.name} sends no PROXY header, and {where} waits for one",
        "add send-proxy-v2 here, or take smtpd_upstream_proxy_protocol away there",
    )


def _host_of(address: str, view: HostView, views: Mapping[str, HostView]) -> HostView | None:
    """The host with that address, where it is among those that were rendered."""
    if is_loopback(address):
        return view
    return next((one for one in (view, *views.values()) if address in one.addresses), None)
