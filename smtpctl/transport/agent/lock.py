"""The lock of a host: a kernel lock on the folder /var/lib/smtpctl. It dies with its holder and leaves no trace.

Who holds it, and since when, is read from the holder's own process: its argument list and its age. So nothing is
written for it, and nothing stale can be left.
"""

from __future__ import annotations

import fcntl
import os
import time

from . import MARKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

#: An agent whose controller has just gone needs a moment to end, and a plan takes less than this.
PATIENCE = 2.0

#: Between two tries.
PAUSE = 0.05


class LockedError(Exception):
    """Somebody else changes this host now; the text names them."""


class Lock:
    """Held while the object lives and ``release`` was not called."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def shared(folder: Path | str) -> Lock | None:
    """The lock of a reader. None on a host that has no such folder: nobody ever changed anything there."""
    try:
        return _take(folder, fcntl.LOCK_SH)
    except FileNotFoundError:
        return None


def exclusive(folder: Path | str, *, wait: bool = False) -> Lock:
    """The lock of a writer; the folder has to exist. ``wait`` until it is free, or raise LockedError soon."""
    return _take(folder, fcntl.LOCK_EX, wait=wait)


def _take(folder: Path | str, how: int, *, wait: bool = False) -> Lock:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if wait:
        fcntl.flock(descriptor, how)
        return Lock(descriptor)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return Lock(descriptor)
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(descriptor)
                raise LockedError(describe_holder()) from None
            time.sleep(PAUSE)


def describe_holder() -> str:
    """``NAME, for N s``: the other agent process that holds a lock here."""
    for pid in _lock_holders():
        arguments = _arguments(pid)
        if pid != os.getpid() and MARKER in arguments:
            who = arguments[arguments.index(MARKER) + 1]
            return f"{who}, for {_age(pid):.0f} s (process {pid})"
    return "a process that has just ended"


def _lock_holders() -> list[int]:
    rows = [line.split() for line in _content("/proc/locks").splitlines()]
    return [int(row[4]) for row in rows if row[1] == "FLOCK" and row[4].isdigit()]


def _arguments(pid: int) -> list[str]:
    try:
        return _content(f"/proc/{pid}/cmdline").split("\0")
    except OSError:
        return []


def _content(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read()


def _age(pid: int) -> float:
    try:
        started = int(_content(f"/proc/{pid}/stat").rpartition(")")[2].split()[19])
    except OSError:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
