"""Which changes could lock the controller out: those are confirmed over a connection made after them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from smtpctl.model.plans import FileChange

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


def risks_access(changes: Iterable[FileChange]) -> bool:
    """Whether one of ``changes`` could keep the controller from coming back."""
    return any(fnmatchcase(change.path, pattern) for change in changes for pattern in PATTERNS)
