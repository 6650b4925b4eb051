"""Notices that a file has become another one. Edge: it looks at the file once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

EVERY = 1.0

Signature = tuple[int, int, int]


class Watched:
    """A file, and which state of it was read last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: Signature | None = None
        self.reading()

    def reading(self) -> None:
        """The file is read now, whatever comes of it: that state of it is not news any more."""
        self._read = self._signature()

    async def run(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` when the file is another one and has stayed so for a look, so that a writer may finish."""
        seen = self._read
        while True:
            await asyncio.sleep(EVERY)
            found = self._signature()
            if found is not None and found == seen and found != self._read:
                changed()
            seen = found

    def _signature(self) -> Signature | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
