"""CPU time and memory of a process and all its descendants, as the kernel counts them. Edge: it reads /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def cpu_seconds(root: int) -> float:
    """What the tree of ``root`` has used so far, its ended and awaited children with it."""
    return sum(_of_process(process) for process in tree(root))


def resident_megabytes(root: int) -> float:
    """Proportional memory of the tree: a page that several share counts once."""
    kibibytes = 0
    for process in tree(root):
        with suppress(OSError):
            for line in (_PROC / str(process) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kibibytes += int(line.split()[1])
    return kibibytes / 1024


def tree(root: int) -> Iterator[int]:
    """``root`` and its descendants; what ends meanwhile is left out."""
    yield root
    with suppress(OSError):
        for task in (_PROC / str(root) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def _of_process(process: int) -> float:
    nanoseconds, ticks = 0, 0
    with suppress(OSError):
        folder = _PROC / str(process)
        # schedstat is exact; the ticks of stat are good enough for children that have ended.
        for task in (folder / "task").iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[0])
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = int(after_name[13]) + int(after_name[14])
    return nanoseconds / 1e9 + ticks / _TICK
