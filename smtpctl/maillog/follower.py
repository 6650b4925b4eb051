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

import gzip
import hashlib
import lzma
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

_HEAD = 1024
_TAIL = 1024
_ROTATED = re.compile(
    r"\.(?P<number>\d{1,4})(?:\.gz|\.xz)?|[.-](?P<date>\d{8}(?:-\d+)?|\d{4}-\d\d-\d\d\S*?)(?:\.gz|\.xz)?"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Fingerprint of ``length`` bytes."""

    length: int
    digest: str

    @classmethod
    def of(cls, data: bytes) -> Mark:
        return cls(len(data), hashlib.blake2b(data, digest_size=16).hexdigest())


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a log: ``offset`` bytes into the file that begins with ``head``, just after ``tail``."""

    generation: int = 0
    offset: int = 0
    head: Mark = Mark(0, "")
    tail: Mark = Mark(0, "")

    @property
    def marks(self) -> dict[str, list[int | str]]:
        """The fingerprints as plain values, for a checkpoint."""
        return {"head": [self.head.length, self.head.digest], "tail": [self.tail.length, self.tail.digest]}

    @classmethod
    def restore(cls, generation: int, offset: int, marks: dict[str, list[int | str]]) -> Position:
        """The position that ``marks`` was taken from."""
        head, tail = (Mark(int(marks[name][0]), str(marks[name][1])) for name in ("head", "tail"))
        return cls(generation, offset, head, tail)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines, each with its newline, and the position after them. ``gap`` says what could not be read before."""

    data: bytes
    position: Position
    gap: str = ""


class _File(Protocol):
    closed: bool

    def size(self) -> int: ...
    def read_at(self, offset: int, length: int) -> bytes: ...
    def is_same(self, path: Path) -> bool: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...


class _Plain:
    """A file as it is."""

    closed = False

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def is_same(self, path: Path) -> bool:
        try:
            other = path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(self._descriptor), other)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class _Compressed:
    """A finished file of history. Its size is known once it has been read; offsets are of what was compressed."""

    closed = True

    def __init__(self, path: Path) -> None:
        self._stream: gzip.GzipFile | lzma.LZMAFile = (
            gzip.GzipFile(path) if path.suffix == ".gz" else lzma.LZMAFile(path)  # noqa: SIM115 - closed by close()
        )
        self._path = path
        self._size: int | None = None

    def size(self) -> int:
        if self._size is None:
            self._size = self._stream.seek(0, os.SEEK_END) if self._path.suffix == ".xz" else self._count()
        return self._size

    def _count(self) -> int:
        self._stream.seek(0)
        return sum(len(block) for block in iter(lambda: self._stream.read(1 << 20), b""))

    def read_at(self, offset: int, length: int) -> bytes:
        self._stream.seek(offset)
        return self._stream.read(length)

    def is_same(self, path: Path) -> bool:
        return path == self._path

    def sync(self) -> None:
        """History lies still."""

    def close(self) -> None:
        self._stream.close()


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
        self._file: _File | None = None
        self._head = b""
        self._tail = b""
        self._gap = ""

    def close(self) -> None:
        """Let go of the open file."""
        if self._file is not None:
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
        data = self._file.read_at(self._position.offset, limit)
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
        if len(self._head) < _HEAD:
            self._head = (self._head + data)[:_HEAD]
        self._tail = (self._tail + data[-_TAIL:])[-_TAIL:]
        self._position = replace(
            self._position,
            offset=self._position.offset + len(data),
            head=Mark.of(self._head),
            tail=Mark.of(self._tail),
        )
        gap, self._gap = self._gap, ""
        return Chunk(data if data.endswith(b"\n") else data + b"\n", self._position, gap)

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
            file = _open(path)
            if file is None:
                continue
            if self._holds_position(file):
                self._file = file
                return True
            file.close()
        return self._resume_elsewhere()

    def _first(self) -> _File | None:
        recent = [path for path in self._history() if _modified(path) >= self._since]
        return _open(recent[0] if recent and self._position.generation == 0 else self.path)

    def _holds_position(self, file: _File) -> bool:
        place = self._position
        head = file.read_at(0, place.head.length)
        tail = file.read_at(place.offset - place.tail.length, place.tail.length)
        if Mark.of(head) != place.head or Mark.of(tail) != place.tail:
            return False
        self._head, self._tail = head, tail
        return True

    def _resume_elsewhere(self) -> bool:
        """No file holds the position. A current file with the same beginning was cut short: go on at its end, because
        all that it still holds was read. Any other current file is new: go on at its start."""
        file = _open(self.path)
        if file is None:
            return False
        place = self._position
        head = file.read_at(0, place.head.length)
        if head and Mark.of(head) == place.head and file.size() < place.offset:
            size = file.size()
            self._gap = f"{self.path} was cut from {place.offset} bytes or more to {size}"
            self._file, self._head, self._tail = file, head, file.read_at(max(0, size - _TAIL), min(_TAIL, size))
            self._position = replace(place, offset=size, tail=Mark.of(self._tail))
            return True
        self._gap = f"the file that was read to byte {place.offset} is gone: {self.path} and its history do not hold it"
        file.close()
        self._position = Position(place.generation + 1)
        self._head = self._tail = b""
        self._file = _open(self.path)
        return self._file is not None

    def _successor(self) -> Path | None:
        """The file that follows the open one, once nothing more can be written to the open one; else None."""
        assert self._file is not None  # noqa: S101
        if self._file.is_same(self.path):
            return None
        files = [*self._history(), self.path]
        index = next((index for index, path in enumerate(files) if self._is_open_file(path)), -1)
        for path in files[index + 1 :]:
            if path == self.path and not _has_content(path):
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
        other = _open(path)  # our file may have been compressed meanwhile
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
        self._file = _open(path)

    def _history(self) -> Iterator[Path]:
        """Rotated files, oldest first."""
        return iter(rotated_files(self.path))


def rotated_files(path: Path) -> list[Path]:
    """The history of ``path``, oldest first: by falling number (``log.2.gz``, ``log.1``) or rising date. Where a file
    stands both plain and compressed, the compressed one is not finished yet."""
    found: dict[tuple[int, str], Path] = {}
    for candidate in path.parent.glob(path.name + "[.-]*"):
        match = _ROTATED.fullmatch(candidate.name[len(path.name) :])
        if match:
            key = (-int(match["number"]), "") if match["number"] else (-100_000, match["date"])
            if key not in found or candidate.suffix not in (".gz", ".xz"):
                found[key] = candidate
    return [found[key] for key in sorted(found)]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _open(path: Path) -> _File | None:
    try:
        return _Compressed(path) if path.suffix in (".gz", ".xz") else _Plain(path)
    except FileNotFoundError:
        return None
