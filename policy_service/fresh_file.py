"""A small file that changes under a running daemon: looked at a few times a second, when somebody asks. Edge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import Generic, TypeVar

from policy_service.log import ERROR, NOTICE, log

Value = TypeVar("Value")

#: How old what is known of a file may be: well under the five seconds in which a pause takes hold.
LOOK_EVERY = 200_000_000


class FreshFile(Generic[Value]):
    """The value of a file now; ``absent`` while there is none. A bad one leaves the last value standing."""

    def __init__(self, path: Path, parse: Callable[[bytes], Value], absent: Value) -> None:
        self._path = path
        self._parse = parse
        self._absent = self._value = absent
        self._looked = -LOOK_EVERY
        self._mark: tuple[int, int, int] | None = None

    def current(self) -> Value:
        """The value; looks at the file when it has not for a while."""
        now = monotonic_ns()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            try:
                self._look()
            except (OSError, ValueError) as error:
                log(ERROR, "file-unreadable", file=self._path, text=error)
        return self._value

    def _look(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._value, self._mark = self._absent, None
            return
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        if mark != self._mark:
            self._mark = mark
            self._value = self._parse(self._path.read_bytes())
            log(NOTICE, "file-loaded", file=self._path)
