"""Ports: those of pools and sshd, beside the ones that smtpctl uses itself."""

from __future__ import annotations

from collections.abc import Iterator

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.problems import Finding, Path
from smtpctl.model.fleet import Fleet

#: Ports of the fleet's own servers. Roles may share a host, so that none may be taken anywhere.
OWN_PORTS = {
    22: "sshd",
    24: "LMTP of the mailbox role",
    25: "SMTP of the feedback role",
    53: "the resolver",
    443: "the REST API",
    465: "submission over TLS, at the balancer",
    587: "submission, at the balancer",
    993: "IMAP",
    5432: "PostgreSQL",
    8405: "statistics of the balancer",
    8406: "statistics of the loopback balancer",
    9090: "Prometheus",
    9093: "Alertmanager",
    9100: "node metrics",
    9170: "metrics of the policy service",
    9171: "metrics of the ledger shipper",
    9172: "metrics of the feedback processor",
    10024: "LMTP of the feedback processor",
    10050: "provider routing",
    10465: "submission over TLS, behind the balancer",
    10587: "submission, behind the balancer",
    10588: "health checks of submission",
    10589: "readiness of submission",
}

#: A pool's health checks have a port of their own, this far above the pool's.
HEALTH_PORT_OFFSET = 100


def _pool_ports(fleet: Fleet) -> Iterator[tuple[int, Path, str]]:
    """(port, path of what sets it, what it is) for each port that a pool takes."""
    for name, pool in fleet.pools.items():
        yield pool.port, ("pools", name, "port"), f"the port of pool {name!r}"
    for name, pool in fleet.pools.items():
        port = pool.port + HEALTH_PORT_OFFSET
        yield port, ("pools", name, "port"), f"the health-check port of pool {name!r} ({pool.port} + 100)"


@reads("pools", "ssh")
def a_pool_port_is_free(fleet: Fleet) -> Findings:
    """A pool's port, and its health-check port 100 above, are used by nothing else of the fleet."""
    taken = dict(OWN_PORTS)
    if fleet.ssh.port != 22:
        taken[fleet.ssh.port] = "sshd"
    for port, path, what in _pool_ports(fleet):
        if port > 65535:
            yield Finding(path, f"{port} is {what}, but ports end at 65535", "choose a port near 10025")
        elif port in taken:
            yield Finding(path, f"{port} is {what}, but also {taken[port]}", "choose another, such as 10025 or 10026")
        taken.setdefault(port, what)


@reads("ssh")
def the_ssh_port_is_free(fleet: Fleet) -> Findings:
    """`ssh.port` is 22, or a port that the fleet does not use."""
    if fleet.ssh.port != 22 and fleet.ssh.port in OWN_PORTS:
        message = f"{fleet.ssh.port} is the port of sshd, but also {OWN_PORTS[fleet.ssh.port]}"
        yield Finding(("ssh", "port"), message, "leave it at 22, or choose a free one, such as 2222")


CHECKS = (a_pool_port_is_free, the_ssh_port_is_free)
