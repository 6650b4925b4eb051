"""Follows a log file over its rotations, and knows its place again after any restart. (Edge: reads files.)

A file is known by what it holds, not by its name or inode: inodes are used again within seconds. Two fingerprints go
with every position: of the first bytes of the file (which file is it?) and of the last bytes before the position (is
what was read still there?). Positions move from newline to newline; a last line without one waits, unless its file is
closed.

- Renamed rotation: the open file is read to its end, then its successor from the start. The successor of the file
  that is now ``log.1`` is the new ``log``, once something stands in it: until then the writer may not have moved.
- Copy and truncate: the rest is read from the copy when there is one. What was written between copy and truncation is
  lost before it can be read; ``gap`` says so.
- Compressed history (``.gz``, ``.xz``) is read like any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from smtpctl.maillog.files import LogFile, has_content, modified, open_log, rotated_files
from smtpctl.maillog.positions import HEAD, TAIL, Chunk, Mark, Position, Step

#: Bytes that are read at least where a file lost its end; room for a line.
_LEAST = 4096


class Follower:
    """Reads a log from a position on. ``read`` never waits: it says what is there now.

    Without a position it begins with the oldest file that was written to after ``since`` (seconds since 1970): that is
    the current one when nothing was ever followed, and an older one when the log was rotated before its first line was
    read.
    """

    def __init__(self, path: Path, position: Position | None = None, since: float = math.inf) -> None:
        self.path = path
        self._since = since
        self._position = position or Position()
        self._file: LogFile | None = None
        self._head = b""
        self._tail = b""
        self._gap = ""

    def close(self) -> None:
        """Let go of the open file. Make sure of what was read there first: after that nobody can."""
        if self._file is not None:
            self._file.sync()
            self._file.close()
            self._file = None

    def sync(self) -> None:
        """Make what was read durable where it stands: rows must not outlive the lines that they came from."""
        if self._file is not None:
            self._file.sync()

    def behind(self) -> int:
        """Bytes of the open file that were not read yet."""
        return 0 if self._file is None or self._file.closed else max(0, self._file.size() - self._position.offset)

    def read(self, limit: int, *, one_line: bool = False) -> Chunk | None:
        """Up to ``limit`` bytes of whole lines after the last chunk, or one line; None when there is nothing new."""
        if self._file is None and not self._find():
            return None
        while True:
            if not self._is_intact() and not self._find():
                return None
            chunk = self._next_lines(limit, one_line)
            if chunk is not None:
                return chunk
            successor = self._successor()
            if successor is None:
                return None
            rest = self._last_line()
            if rest is not None:
                return rest
            self._switch(successor)

    # Reading

    def _next_lines(self, limit: int, one_line: bool) -> Chunk | None:
        assert self._file is not None  # noqa: S101 - narrows for the type checker
        place = self._position
        if place.read_before:
            limit = min(limit, max(place.read_before - place.offset, _LEAST))
        data = self._file.read_at(place.offset, limit)
        end = (data.find(b"\n") if one_line else data.rfind(b"\n")) + 1
        if end == 0:
            if len(data) < limit:
                return None
            end = len(data)  # a line longer than the limit: cut, or it would stop everything
        return self._advance(data[:end])

    def _last_line(self) -> Chunk | None:
        """What stands after the last newline of a closed file."""
        assert self._file is not None  # noqa: S101
        data = self._file.read_at(self._position.offset, 1 << 20)
        return self._advance(data) if data else None

    def _advance(self, data: bytes) -> Chunk:
        if len(self._head) < HEAD:
            self._head = (self._head + data)[:HEAD]
        self._tail = (self._tail + data[-TAIL:])[-TAIL:]
        again = self._position.offset < self._position.read_before
        self._position = self._position.advanced(data, self._head, self._tail)
        gap, self._gap = self._gap, ""
        return Chunk(data if data.endswith(b"\n") else data + b"\n", self._position, gap, again)

    def _is_intact(self) -> bool:
        """Whether what was read last still stands before the position. A truncated file that grew again differs."""
        if self._file is None:
            return False
        if self._file.closed:
            return True
        start = self._position.offset - len(self._tail)
        return self._file.read_at(start, len(self._tail)) == self._tail

    # Finding and changing files

    def _find(self) -> bool:
        """Open the file that the position is in; else the current file from its start. False when there is none."""
        self.close()
        if self._position.offset == 0:
            self._head = self._tail = b""
            self._file = self._first()
            return self._file is not None
        for path in [self.path, *reversed(list(self._history()))]:
            file = open_log(path)
            if file is None:
                continue
            if self._holds_position(file):
                self._file = file
                return True
            file.close()
        return self._resume_elsewhere()

    def _first(self) -> LogFile | None:
        recent = [path for path in self._history() if modified(path) >= self._since]
        return open_log(recent[0] if recent and self._position.generation == 0 else self.path)

    def _holds_position(self, file: LogFile) -> bool:
        place = self._position
        head = file.read_at(0, place.head.length)
        tail = file.read_at(place.offset - place.tail.length, place.tail.length)
        if Mark.of(head) != place.head or Mark.of(tail) != place.tail:
            return False
        self._head, self._tail = head, tail
        return True

    def _resume_elsewhere(self) -> bool:
        """No file holds the position. One that still begins with what was read lost its end: go on where it is last
        known to be the same. Without any, the current file is new: go on at its start."""
        place = self._position
        for path in [self.path, *reversed(list(self._history()))]:
            file = open_log(path)
            step = _last_step(file, place) if file else None
            if file and step:
                self._gap = (
                    f"{path} was read to byte {place.offset} and lost what stood there; it is the same up to byte "
                    f"{step.offset} or a little further"
                )
                self._file, self._head = file, file.read_at(0, min(HEAD, step.offset))
                self._tail = file.read_at(step.offset - step.mark.length, step.mark.length)
                self._position = place.back_to(step, self._head)
                return True
            if file:
                file.close()
        self._file = open_log(self.path)
        if self._file is None:
            return False
        self._gap = f"the file that was read to byte {place.offset} is gone: {self.path} and its history do not hold it"
        self._position = Position(place.generation + 1)
        self._head = self._tail = b""
        return True

    def _successor(self) -> Path | None:
        """The file that follows the open one, once nothing more can be written to the open one; else None."""
        assert self._file is not None  # noqa: S101
        if self._file.is_same(self.path):
            return None
        files = [*self._history(), self.path]
        index = next((index for index, path in enumerate(files) if self._is_open_file(path)), -1)
        for path in files[index + 1 :]:
            if path == self.path and not has_content(path):
                return None  # rotated, but the writer has not moved yet
            if self._file.closed or self._file.size() == self._position.offset or not self._more_lines():
                return path
        return None

    def _more_lines(self) -> bool:
        """Whether whole lines came into the open file since it was read last."""
        assert self._file is not None  # noqa: S101
        return b"\n" in self._file.read_at(self._position.offset, 1 << 20)

    def _is_open_file(self, path: Path) -> bool:
        assert self._file is not None  # noqa: S101
        if self._file.is_same(path):
            return True
        if path.suffix not in (".gz", ".xz"):
            return False
        other = open_log(path)  # our file may have been compressed meanwhile
        if other is None:
            return False
        try:
            return len(self._head) > 0 and other.read_at(0, len(self._head)) == self._head
        finally:
            other.close()

    def _switch(self, path: Path) -> None:
        self.close()
        self._position = Position(self._position.generation + 1)
        self._head = self._tail = b""
        self._file = open_log(path)

    def _history(self) -> Iterator[Path]:
        """Rotated files, oldest first."""
        return iter(rotated_files(self.path))


def _last_step(file: LogFile, place: Position) -> Step | None:
    """The last step of ``place`` before which the file still says what was read."""

    def stands(step: Step) -> bool:
        return Mark.of(file.read_at(step.offset - step.mark.length, step.mark.length)) == step.mark

    if not place.steps or not stands(place.steps[0]):
        return None
    return next(filter(stands, reversed(place.steps)), None)
