"""Which changes could lock the controller out: those are confirmed over a connection made after them."""

from __future__ import annotations

from collections.abc import Iterable

from smtpctl.model.plans import FileChange
from smtpctl.plan.patterns import matches

#: Packet filter, sshd and what signs in through it, network, sudo, and what could stop PID 1 from running any of them.
PATTERNS = (
    "/etc/nftables*",
    "/etc/ssh/*",
    "/etc/pam.d/*",
    "/etc/security/*",
    "/etc/sudoers*",
    "/etc/hosts.allow",
    "/etc/hosts.deny",
    "/etc/network/*",
    "/etc/systemd/network/*",
    "/etc/sysctl.d/*",
    "/etc/keepalived/*",
    "/etc/fail2ban/*",
    "/etc/systemd/system/ssh*",
    "/etc/systemd/system/nftables*",
    "/root/.ssh/*",
)

#: The same as units: one that was stopped by hand shuts us out when it is started, although no file of it changes.
UNITS = (
    "keepalived.service",
    "networking.service",
    "nftables.service",
    "ssh.service",
    "ssh.socket",
    "systemd-networkd.service",
)


def risks_access(changes: Iterable[FileChange], units: Iterable[str]) -> bool:
    """Whether one of ``changes``, or what happens to one of ``units``, could keep the controller from coming back."""
    return any(unit in UNITS for unit in units) or any(
        matches(change.path, pattern) for change in changes for pattern in PATTERNS
    )
