"""What this machine must have before a lab can be built or booted, each with its remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from smtpctl.errors import LabError

#: Program -> Debian package that brings it.
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "systemctl": "systemd",
    "ip": "iproute2",
    "mount": "mount",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
TO_BUILD = ("mmdebstrap", "systemctl", "unshare")
TO_BOOT = ("systemd-nspawn", "ip", "mount", "nsenter")


def require_root() -> None:
    """Namespaces, mounts and bridges are root's."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it makes namespaces, mounts and a bridge", hint="run it with sudo")


def require_programs(names: Iterable[str]) -> None:
    """Raise unless every program of ``names`` is installed; name all that are missing, and their packages."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        packages = " ".join(sorted({PROGRAMS[name] for name in missing}))
        raise LabError(f"missing on this machine: {', '.join(missing)}", hint=f"apt-get install {packages}")


def require_usable_folder(folder: Path) -> None:
    """Raise unless overlays can have their upper layer in ``folder``: not on an overlay, not where the lab mounts."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_relative_to("/run"):
        raise LabError(f"the lab cannot keep its state in {folder}: /run is hidden inside it", hint=_ELSEWHERE)
    kind = filesystem_of(folder)
    if kind == "overlay":
        raise LabError(f"{folder} lies on an overlay file system, which cannot carry another", hint=_ELSEWHERE)


def filesystem_of(folder: Path) -> str:
    """Type of the file system that ``folder`` lies on, by the longest mount point above it."""
    best, kind = Path("/"), ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, candidate, *_ = line.split()
        mount = Path(target.replace("\\040", " "))
        if folder.resolve().is_relative_to(mount) and len(mount.parts) >= len(best.parts):
            best, kind = mount, candidate
    return kind


_ELSEWHERE = "set SMTPCTL_LAB_DIR to a folder on a disk, such as /srv/smtpctl-lab"
