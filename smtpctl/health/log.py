"""What the host's mail log says of one probe message, from a moment on. Only reads."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Self

#: Between two looks.
PAUSE = 0.05

#: What Postfix logs of a message that it could not hand on yet, or never.
_FAILED = re.compile(r"status=(deferred|bounced|undeliverable)\b.*")


class ProbeError(Exception):
    """The probe failed; the text holds the server's own words."""


class Tail:
    """The lines that the mail log gets after this object was made. A context manager, which closes the log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._file.seek(0, 2)
        self._lines: list[str] = []
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def lines(self) -> list[str]:
        """All lines so far. A log that was rotated meanwhile goes on in the file of its name."""
        self._take()
        if self._path.exists() and self._path.stat().st_ino != self._inode():
            self._file.close()
            self._file = self._path.open("rb")
            self._take()
        return self._lines

    def _take(self) -> None:
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        self._lines += [line.decode(errors="replace") for line in whole]

    def _inode(self) -> int:
        return os.fstat(self._file.fileno()).st_ino


def queue_id(tail: Tail, message_id: str, end: float) -> str:
    """The queue id that the message got. Raise ProbeError after ``end`` (monotonic)."""
    mark = re.compile(rf"/cleanup\[\d+\]: (\w+): message-id=<{re.escape(message_id)}>")
    while True:
        for line in tail.lines():
            if match := mark.search(line):
                return match[1]
        if time.monotonic() > end:
            raise ProbeError("no cleanup(8) took the message in: does the mail log still get Postfix's lines?")
        time.sleep(PAUSE)


def wait_for(tail: Tail, queue: str, wanted: list[str], end: float) -> None:
    """Wait until a line of that message holds each of ``wanted``. Raise ProbeError at once when it cannot be handed on.

    The reply is in the error, and no address.
    """
    while True:
        own = [line for line in tail.lines() if f": {queue}: " in line]
        for line in own:
            if failed := _FAILED.search(line):
                raise ProbeError(f"the probe message was not handed on: {failed[0]}")
        lacking = [words for words in wanted if not any(words in line for line in own)]
        if not lacking:
            return
        if time.monotonic() > end:
            last = own[-1].partition(f": {queue}: ")[0].rpartition(" ")[2] if own else "nothing"
            raise ProbeError(
                f"the mail log does not say of the probe message: {', '.join(lacking)} (last to speak of it: {last})"
            )
        time.sleep(PAUSE)
