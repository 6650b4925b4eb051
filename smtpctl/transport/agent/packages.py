"""Installing Debian packages without letting them start anything, and making the system users of staged files.

Both only add, are reported, and are not undone: removing a package again could take more with it than it brought.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
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


#: A line of a simulated upgrade: ``Inst postfix [3.10.4-1] (3.10.5-1 Debian:13.2/stable [amd64])``.
_OFFER = re.compile(r"^Inst (\S+) \[(\S+)\] \((\S+) ")


def upgradable(patterns: Sequence[str]) -> list[tuple[str, str, str]]:
    """(package, installed version, offered version) of installed packages whose names match one of ``patterns``, and
    of what they bring along; after fresh lists."""
    update = processes.run(["apt-get", "--quiet=2", "update"], timeout=300)
    if update.code:
        raise StepError("packages", f"apt-get update: {update.output.strip()}")
    installed = processes.run(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Package}\n"], timeout=30)
    names = [line[3:] for line in installed.output.splitlines() if line.startswith("ii ")]
    chosen = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not chosen:
        return []
    offered = processes.run([*_INSTALL, "--only-upgrade", "--simulate", "--quiet=1", *chosen], timeout=120)
    if offered.code:
        raise StepError("packages", f"apt-get --simulate: {offered.output.strip()}")
    return [match.groups() for line in offered.output.splitlines() if (match := _OFFER.match(line))]  # type: ignore[misc]


def fetch(versions: Mapping[str, str]) -> None:
    """Have the packages of these ``versions`` at hand, so that their upgrade waits for no network."""
    _upgrade(versions, "--download-only")


def upgrade(versions: Mapping[str, str]) -> None:
    """Upgrade to just these ``versions``; nothing is started or stopped by it."""
    with _nothing_starts():
        _upgrade(versions)


def _upgrade(versions: Mapping[str, str], *options: str) -> None:
    names = [f"{package}={version}" for package, version in versions.items()]
    result = processes.run([*_INSTALL, "--only-upgrade", *options, *names], timeout=1800)
    if result.code:
        raise StepError("packages", f"apt-get install {' '.join(names)}: {result.output.strip()}")


def install(names: Sequence[str]) -> None:
    """Install ``names``; the lists are updated only when they do not know a package, or its version is gone."""
    with _nothing_starts():
        _install(names)


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Maintainer scripts start, restart and stop nothing meanwhile. A policy of the machine itself stays."""
    ours = not POLICY.exists() or "# smtpctl:" in POLICY.read_text(errors="replace")
    if ours:
        POLICY.write_text(_SCRIPT.format(pid=os.getpid()))
        POLICY.chmod(0o755)
    try:
        yield
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
