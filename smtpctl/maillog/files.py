"""The files that a log is spread over: the current one, and its history, plain or compressed. (Edge: reads files.)"""

from __future__ import annotations

import gzip
import lzma
import os
import re
from pathlib import Path
from typing import Protocol

_ROTATED = re.compile(
    r"\.(?P<number>\d{1,4})(?:\.gz|\.xz)?|[.-](?P<date>\d{8}(?:-\d+)?|\d{4}-\d\d-\d\d\S*?)(?:\.gz|\.xz)?"
)


class LogFile(Protocol):
    """A file that a log is read from. ``closed``: nothing more is written to it."""

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


def modified(path: Path) -> float:
    """When it was last written to, in seconds since 1970; 0 when there is none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def has_content(path: Path) -> bool:
    """Whether anything stands in it."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def open_log(path: Path) -> LogFile | None:
    """The file; None when there is none."""
    try:
        return _Compressed(path) if path.suffix in (".gz", ".xz") else _Plain(path)
    except FileNotFoundError:
        return None
