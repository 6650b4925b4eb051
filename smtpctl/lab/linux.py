"""The few Linux calls that Python 3.11 lacks: namespaces, the parent-death signal, and finding the cgroup v2 tree.

``os.setns`` and ``os.unshare`` exist from Python 3.12 on; until then they are called through the C library.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from smtpctl.errors import LabError

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(call: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Give the calling process new namespaces (unshare(2)). A new PID namespace holds for its children only."""
    _check("unshare", _libc.unshare(flags))


def setns(path: Path, kind: int) -> None:
    """Move the calling thread into the namespace behind ``path`` (setns(2)); threads it starts later follow."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check("setns", _libc.setns(descriptor, kind))
    finally:
        os.close(descriptor)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (prctl(2))."""
    _check("prctl", _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0))


def start_time(pid: int) -> str:
    """When process ``pid`` started, in clock ticks since boot; empty when it is gone or a zombie.

    A process id is used again after a while; the pair of id and start time is not (proc_pid_stat(5), field 22).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def cgroup_root() -> Path:
    """Where this machine has mounted cgroup v2."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, target, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(target)
    raise LabError(
        "no writable cgroup v2 tree is mounted; the hosts' systemd needs one",
        hint="mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
    )


def own_cgroup() -> Path:
    """The cgroup v2 folder that the calling process is in."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return cgroup_root() / line.removeprefix("0::").lstrip("/")
    return cgroup_root()


def find_cgroup(name: str) -> Path | None:
    """The cgroup called ``name``, wherever it is; None when there is none."""
    for folder, children, _ in os.walk(cgroup_root()):
        if name in children:
            return Path(folder, name)
    return None


def cgroup_processes(cgroup: Path) -> list[int]:
    """Processes of ``cgroup`` itself, not of the ones below it; none when it is gone."""
    try:
        return [int(line) for line in (cgroup / "cgroup.procs").read_text().split()]
    except OSError:
        # ENOENT before, ENODEV while it is removed
        return []


def is_populated(cgroup: Path) -> bool:
    """Whether ``cgroup`` or one below it has a process that has not ended (cgroups(7), cgroup.events)."""
    try:
        return "populated 1" in (cgroup / "cgroup.events").read_text().splitlines()
    except OSError:
        # ENOENT before, ENODEV while it is removed
        return False


def kill_cgroup(cgroup: Path, *, deadline: float = 10.0) -> None:
    """Kill every process of ``cgroup`` and below, and remove the folders. A cgroup that is gone is fine."""
    end = time.monotonic() + deadline
    while cgroup.exists():
        folders = [Path(folder) for folder, _, _ in os.walk(cgroup, topdown=False)]
        for folder in folders:
            for pid in cgroup_processes(folder):
                kill(pid)
        for folder in folders:
            _remove(folder)
        if not cgroup.exists():
            return
        if time.monotonic() > end:
            raise LabError(f"cgroup {cgroup} will not empty: processes {cgroup_processes(cgroup)} stay after SIGKILL")
        time.sleep(0.01)


def kill(pid: int) -> None:
    """SIGKILL for ``pid``; gone is as good."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # still populated: the caller looks again until its deadline
        return


def is_first_of_its_namespace(process: int) -> bool:
    """Whether a process has number 1 in its own PID namespace. (Its number out here says nothing: numbers wrap.)"""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
    return numbers[-1] == "1"
