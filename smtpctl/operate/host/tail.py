"""New lines of a log, over its rotation. Edge: one file. What was written while nobody read is not looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

#: Bytes read at a turn: a flood of lines must not keep the rest from its turn.
MOST = 4 << 20


class Tail:
    """Follows ``path`` from its present end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self._open(at_end=True)

    def close(self) -> None:
        """Let go of the file; the next look opens what has its name then."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def lines(self) -> Iterator[bytes]:
        """Whole lines that have come since the last time."""
        if self._file is None:
            self._open(at_end=False)
        if self._file is None:
            return
        data = self._rest + self._file.read(MOST)
        *lines, self._rest = data.split(b"\n")
        yield from lines
        if not lines and self._has_moved():
            self.close()

    def _open(self, *, at_end: bool) -> None:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return
        if at_end:
            self._file.seek(0, os.SEEK_END)

    def _has_moved(self) -> bool:
        """Whether another file has the name now, or this one was cut short."""
        if self._file is None:
            return True
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        here = os.fstat(self._file.fileno())
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino) or there.st_size < self._file.tell()
