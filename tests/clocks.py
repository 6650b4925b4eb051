"""Another time of day for one process: libfaketime."""

from __future__ import annotations

from pathlib import Path

#: Where a process under libfaketime keeps what its children share; the process id is at the end of each name.
_SHARED = Path("/dev/shm")


def faked(**settings: str) -> dict[str, str]:
    """The environment of such a process, with ``settings`` of libfaketime(1); nothing where libfaketime is missing."""
    found = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    return {"LD_PRELOAD": str(found), **settings} if found else {}


def forget_killed() -> None:
    """Remove what killed processes left: whoever gets the same process id later cannot begin under the wrapper."""
    for pattern in ("faketime_shm_*", "sem.faketime_sem_*"):
        for file in _SHARED.glob(pattern):
            if not Path("/proc", file.name.rpartition("_")[2]).exists():
                file.unlink(missing_ok=True)
