"""Ports: those of pools and sshd, beside the ones that smtpctl uses itself."""

from __future__ import annotations

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.problems import Finding
from smtpctl.model.fleet import Fleet, Pool

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


@reads("pools", "ssh")
def a_pool_port_is_free(fleet: Fleet) -> Findings:
    """A pool's port, and its health-check port 100 above, are used by nothing else of the fleet."""
    taken = dict(OWN_PORTS)
    if fleet.ssh.port != 22:
        taken[fleet.ssh.port] = "sshd"
    for name, pool in fleet.pools.items():
        clash = None
        for port, what in _ports_of(name, pool):
            if port > 65535:
                clash = clash or f"{port} is {what}, but ports end at 65535"
            elif port in taken:
                clash = clash or f"{port} is {what}, but also {taken[port]}"
            taken.setdefault(port, what)
        if clash:
            yield Finding(("pools", name, "port"), clash, "choose another, such as 10025 or 10026")


def _ports_of(name: str, pool: Pool) -> tuple[tuple[int, str], ...]:
    """(port, what it is) for both ports that a pool takes."""
    return (
        (pool.port, f"the port of pool {name!r}"),
        (
            pool.port + HEALTH_PORT_OFFSET,
            f"the health-check port of pool {name!r} ({pool.port} + {HEALTH_PORT_OFFSET})",
        ),
    )


@reads("ssh")
def the_ssh_port_is_free(fleet: Fleet) -> Findings:
    """`ssh.port` is 22, or a port that the fleet does not use."""
    if fleet.ssh.port != 22 and fleet.ssh.port in OWN_PORTS:
        message = f"{fleet.ssh.port} is the port of sshd, but also {OWN_PORTS[fleet.ssh.port]}"
        yield Finding(("ssh", "port"), message, "leave it at 22, or choose a free one, such as 2222")


CHECKS = (a_pool_port_is_free, the_ssh_port_is_free)
