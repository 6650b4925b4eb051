"""Where each host of a fleet is reached, and with which keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smtpctl.model.fleet import Fleet
from smtpctl.transport.connection import Target


def targets(fleet: Fleet, hosts: Sequence[str], *, identity: Path | None, known_hosts: Path) -> dict[str, Target]:
    """Targets of ``hosts`` by name. Without ``identity`` the keys of ssh-agent and ~/.ssh are tried."""
    return {
        host: Target(
            host=host,
            address=fleet.hosts[host].address,
            port=fleet.ssh.port,
            user=fleet.ssh.user,
            known_hosts=known_hosts,
            identity=identity,
        )
        for host in hosts
    }
