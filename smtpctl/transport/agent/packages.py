"""Installing Debian packages without letting them start anything, and making the system users of staged files.

Both only add, are reported, and are not undone: removing a package again could take more with it than it brought.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from . import StepError, processes

#: Asked by every maintainer script before it starts a service (invoke-rc.d(8), deb-systemd-invoke(1p)).
POLICY = Path("/usr/sbin/policy-rc.d")

#: 101 means "forbidden". Tied to this process, so that a leftover of a killed run forbids nothing.
_SCRIPT = """#!/bin/sh
# smtpctl: services of packages being installed are not started before they are configured.
kill -0 {pid} 2>/dev/null && exit 101
exit 0
"""

_INSTALL = (
    "apt-get",
    "--yes",
    "--quiet=2",
    "--no-install-recommends",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "DPkg::Lock::Timeout=120",
    "install",
)


def install(names: Sequence[str]) -> None:
    """Install ``names``; the lists are updated only when they do not know a package, or its version is gone."""
    ours = not POLICY.exists() or "# smtpctl:" in POLICY.read_text(errors="replace")
    if ours:
        POLICY.write_text(_SCRIPT.format(pid=os.getpid()))
        POLICY.chmod(0o755)
    try:
        _install(names)
    finally:
        if ours:
            POLICY.unlink()


def _install(names: Sequence[str]) -> None:
    first = processes.run([*_INSTALL, *names], timeout=1800)
    if first.code == 0:
        return
    update = processes.run(["apt-get", "--quiet=2", "update"], timeout=300)
    second = processes.run([*_INSTALL, *names], timeout=1800)
    if second.code:
        words = second.output.strip() or update.output.strip()
        raise StepError("packages", f"apt-get install {' '.join(names)}: {words}")


def make_users(files: Sequence[Path]) -> None:
    """Make the users and groups of sysusers.d files that are not yet in their place."""
    if not files:
        return
    result = processes.run(["systemd-sysusers", *map(str, files)], timeout=60)
    if result.code:
        raise StepError("users", f"systemd-sysusers: {result.output.strip()}")
