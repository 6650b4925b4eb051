"""Takes finished or growing log files into a ledger: many at once, in the order of their lines, each line once.

A file is known by its first line and by what stands before the place that was reached, whatever its name and whether it
is compressed by now. So an import that was interrupted goes on, one that is repeated adds nothing, and a file that grew
or was rotated meanwhile gives only what is new. Places and rows are committed together.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from smtpctl.errors import SmtpctlError, UsageError
from smtpctl.intake.shipper.caution import REFUSALS, Caution, RefusedError
from smtpctl.intake.shipper.run import clean
from smtpctl.intake.shipper.verdicts import classify
from smtpctl.ledger.connection import Connection
from smtpctl.ledger.writer import Checkpoint, Writer
from smtpctl.maillog.entries import LATE
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.listener import Origin
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.stamps import Stamps
from smtpctl.maillog.tracker import OpenMessage, Tracker
from smtpctl.model.deliveries import DAY, moment_of

#: What the ledger calls the log whose rows come from imports.
LOG = "import"
BATCH = 4 << 20
_TAIL = 1024


@dataclass(frozen=True, slots=True)
class LogSource:
    """A file to import: its first line, that line's time, and its size on disk."""

    path: Path
    first: bytes
    at: int
    size: int

    @property
    def name(self) -> str:
        """The fingerprint of its first line."""
        return hashlib.blake2b(self.first, digest_size=16).hexdigest()


@dataclass(slots=True)
class Progress:
    """How far an import is. Bytes are those on disk, so that compressed files count as what they take."""

    file: Path
    all_bytes: int
    done_bytes: int = 0
    here_bytes: int = 0
    lines: int = 0
    skipped_files: int = 0


def sources_of(paths: Sequence[Path], zone: tzinfo) -> list[LogSource]:
    """The files in the order of their first lines; files without a line are left out. Raise UsageError."""
    found = []
    for path in paths:
        try:
            with path.open("rb") as packed, unpacked(packed, path) as file:
                first = file.readline(65536)
            status = path.stat()
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise UsageError(f"{path}: {error}") from error
        if first:
            # a stamp without a year is of the last such day before the file was written to last
            written = moment_of(datetime.fromtimestamp(status.st_mtime, UTC))
            stamp = Stamps(written + DAY, zone).read(first)
            found.append(LogSource(path, first, stamp[0] if stamp else written, status.st_size))
    return sorted(found, key=lambda source: (source.at, str(source.path)))


def unpacked(file: BinaryIO, path: Path) -> IO[bytes]:
    """The lines of an open file."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    return cast("IO[bytes]", lzma.LZMAFile(file)) if path.suffix == ".xz" else file


class Importer:
    """Imports files over one connection."""

    def __init__(
        self, connection: Connection, host: str, labels: Labels, zone: tzinfo, report: Callable[[Progress], None]
    ) -> None:
        self._connection = connection
        self._host = host
        self._labels = labels
        self._zone = zone
        self._report = report

    def run(self, sources: Sequence[LogSource]) -> Progress:
        """Import; return what was done. Raise SmtpctlError, psycopg.Error; what was stored until then stays."""
        progress = Progress(Path(), sum(source.size for source in sources))
        caution = Caution(BATCH)
        for source in sources:
            progress.file = source.path
            before = progress.lines
            while True:
                try:
                    self._import(source, progress, caution)
                    break
                except RefusedError:
                    caution.more()
            progress.skipped_files += progress.lines == before
            progress.done_bytes += source.size
            progress.here_bytes = 0
        return progress

    def _import(self, source: LogSource, progress: Progress, caution: Caution) -> None:
        run = _Run(self._connection, self._host, self._labels, self._zone, source)
        with source.path.open("rb") as packed, unpacked(packed, source.path) as file:
            offset, tail = run.find(file)
            for data in _chunks(file, caution):
                try:
                    lines = run.store(source, offset, data, tail, refused=caution.refused)
                except REFUSALS as error:
                    raise RefusedError(str(error)) from error
                caution.less()
                offset += len(data)
                tail = (tail + data)[-_TAIL:]
                progress.lines += lines
                progress.here_bytes = packed.tell()
                self._report(progress)


def _chunks(file: IO[bytes], caution: Caution) -> Iterator[bytes]:
    """Whole lines, a batch at a time. A last line without its end waits: the file may be growing."""
    rest = b""
    while True:
        if caution.one_line and not rest.count(b"\n"):
            rest += file.readline()
        data = rest if caution.one_line else rest + file.read(caution.limit)
        end = data.find(b"\n") + 1 if caution.one_line else data.rfind(b"\n") + 1
        if not end:
            if len(data) == len(rest):
                return
            rest = data
            continue
        rest = data[end:]
        yield data[:end]


class _Run:
    """Tracker and writer from a committed position on."""

    def __init__(self, connection: Connection, host: str, labels: Labels, zone: tzinfo, source: LogSource) -> None:
        self._writer = Writer(connection, host, LOG)
        checkpoint = self._writer.claim()
        if checkpoint is None:
            raise SmtpctlError(f"another import for host {host} is running", hint="wait for its end")
        self._checkpoint: Checkpoint = checkpoint
        last = checkpoint.last_at or 0
        known = self._writer.open_messages(checkpoint.source, last - LATE)
        self._tracker = Tracker(labels, classify, checkpoint.next_row, [OpenMessage(*message) for message in known])
        reference = moment_of(datetime.fromtimestamp(source.path.stat().st_mtime, UTC)) + DAY
        self._reader = LogReader(self._tracker, reference, zone)
        self._myself = Origin(host.encode(), b"import", b"")
        self._name = source.name

    def find(self, file: IO[bytes]) -> tuple[int, bytes]:
        """Move to the first byte that is not in the ledger; return its place and what stands before it."""
        for place, digest in sorted(self._places().items(), key=lambda item: -int(item[0])):
            offset = int(place)
            file.seek(max(0, offset - _TAIL))
            tail = file.read(min(_TAIL, offset))
            if len(tail) == min(_TAIL, offset) and _digest(tail) == digest:
                return offset, tail
        file.seek(0)
        return 0, b""

    def store(self, source: LogSource, offset: int, data: bytes, tail: bytes, *, refused: bool) -> int:
        """Add some lines that begin at ``offset``; return how many. Raise what refuses them."""
        if refused:
            self._tracker.not_understood(self._reader.last, self._myself, None, clean(data).rstrip(b"\n"))
            lines = 1
        else:
            lines = self._reader.read(clean(data))
        places = self._places()
        places.pop(str(offset), None)
        places[str(offset + len(data))] = _digest((tail + data)[-_TAIL:])
        files = {**self._checkpoint.marks.get("files", {}), source.name: places}
        after = replace(
            self._checkpoint,
            position=self._checkpoint.position + len(data),
            marks={"files": files},
            next_row=0,
            lines=self._checkpoint.lines + lines,
            last_at=max(self._reader.last, self._checkpoint.last_at or 0),
        )
        rows = self._tracker.take(self._reader.last)
        after = replace(after, next_row=self._tracker.next_row)
        self._writer.store(rows, self._checkpoint, after)
        self._checkpoint = after
        return lines

    def _places(self) -> dict[str, str]:
        places: dict[str, Any] = self._checkpoint.marks.get("files", {}).get(self._name, {})
        return dict(places)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def host_of(source: LogSource) -> str:
    """The host that a log's first line names, by its word after the stamp; ``import`` when there is none."""
    stamp = Stamps(source.at + DAY).read(source.first)
    words = source.first[stamp[1] :].split(maxsplit=1) if stamp else []
    return words[0].decode(errors="replace") if words else LOG


#: Recipient domains of the largest mailbox providers, for logs of no fleet.
_PROVIDERS = {
    "google": ("gmail.com", "googlemail.com"),
    "microsoft": ("outlook.com", "hotmail.com", "live.com", "msn.com"),
    "yahoo": ("yahoo.com", "ymail.com", "aol.com"),
    "apple": ("icloud.com", "me.com", "mac.com"),
}


def labels_of_no_fleet() -> Labels:
    """What is known where no inventory says anything."""
    return Labels.from_config(
        {"providers": {domain: name for name, domains in _PROVIDERS.items() for domain in domains}}
    )
