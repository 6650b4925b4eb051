"""One run of a shipper between two failures: a follower, a tracker and a writer that agree on the position."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from smtpctl.intake.shipper import metrics
from smtpctl.intake.shipper.caution import REFUSALS, Caution, RefusedError
from smtpctl.intake.shipper.config import Config
from smtpctl.intake.shipper.shipped import Shipped
from smtpctl.intake.shipper.storing import Storing
from smtpctl.intake.shipper.verdicts import classify
from smtpctl.ledger.connection import Connection
from smtpctl.ledger.writer import Batch, Checkpoint, Writer
from smtpctl.maillog.entries import LATE
from smtpctl.maillog.follower import Follower
from smtpctl.maillog.listener import Origin
from smtpctl.maillog.positions import Chunk, Position
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.tracker import OpenMessage, Tracker
from smtpctl.model.deliveries import Rows, moment_of

#: Seconds after which numbers of addresses are asked for anew.
_NUMBERS_FOR = 3600.0
#: Bytes that are read at once where they stand; fewer gather first. A commit costs as much as parsing as many.
_WORTH_IT = 128 * 1024
#: Bytes of a batch that are in memory at once: what processors keep near, and the allocator too.
AT_ONCE = 256 * 1024
#: Bytes that are looked at together for what is not UTF-8.
_PIECE = 16 * 1024


class _Read(NamedTuple):
    """A stretch of the log that was read and is still to be encoded; its addresses are being looked up."""

    rows: Rows
    numbers: Future[Mapping[bytes, int]]
    before: Checkpoint
    after: Checkpoint
    behind: int
    at: float


class Run:
    """Reads, tracks and stores. After any exception it must not be used again."""

    def __init__(self, config: Config, connection: Connection, writer: Writer, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._config = config
        self._myself = Origin(config.host.encode(), b"shipper", b"")
        self._connection = connection
        self._writer = writer
        last = checkpoint.last_at
        self._counted_until = last or 0
        open_messages = writer.open_messages(checkpoint.source, (last or 0) - LATE)
        self._tracker = Tracker(
            config.labels, classify, checkpoint.next_row, [OpenMessage(*message) for message in open_messages]
        )
        self._reader = LogReader(self._tracker, last or _now(), config.timezone)
        place = None
        if checkpoint.position:
            place = Position.restore(checkpoint.generation, checkpoint.position, checkpoint.marks)
        self._follower = Follower(config.log, place, checkpoint.since)
        self._numbers_until = time.monotonic() + _NUMBERS_FOR
        self._shipped = Shipped.from_environment()
        self._storing = Storing()
        self._last: _Read | None = None
        self._worth_it = min(config.batch_bytes, _WORTH_IT)

    @classmethod
    def start(cls, config: Config, connection: Connection) -> Run | None:
        """A run from the committed position on; None while another shipper holds the log."""
        writer = Writer(connection, config.host, str(config.log), config.privacy, config.labels.providers)
        checkpoint = writer.claim()
        return None if checkpoint is None else cls(config, connection, writer, checkpoint)

    def close(self) -> None:
        """Let go of the log. What is still being stored is waited for; ``finish`` says whether that went well."""
        self._storing.close()
        self._follower.close()

    def is_behind(self) -> bool:
        """Whether so much was not read yet that it is worth a batch at once."""
        return self._follower.behind() >= self._worth_it

    def check_connection(self) -> None:
        """Raise psycopg.OperationalError when the server is gone: the lease may be another's by now."""
        self._connection.execute("SELECT 1")

    def finish(self) -> None:
        """Wait until all that was read is stored. Raise RefusedError, psycopg.Error."""
        try:
            self._send()
            self._storing.finish()
        except REFUSALS as error:
            raise _refused(error) from error

    def ship_some(self, caution: Caution) -> int:
        """Read what is there, up to one batch, and store it; while the log is behind, as the next ones are read. Return
        the number of lines."""
        lines, left, position = 0, caution.limit, None
        try:
            # Only whole pieces after the first: a limit below the length of a line would cut it.
            while (position is None or left >= AT_ONCE) and (
                chunk := self._follower.read(min(left, AT_ONCE), one_line=caution.one_line)
            ):
                lines += self._refuse(chunk) if caution.refused else self._track(chunk)
                position = chunk.position
                left = 0 if caution.one_line else left - len(chunk.data)
            if position is not None:
                self._follower.sync()
                self._store(position, lines, self._reader.last, alone=not caution.is_easy)
                return lines
        except REFUSALS as error:
            raise _refused(error) from error
        self.finish()
        metrics.LAG_BYTES.set(0)
        metrics.LAG_SECONDS.set(0)
        self._shipped.everything()
        return 0

    def _track(self, chunk: Chunk) -> int:
        """Number of lines."""
        self._reader.stamps.reference = _now()
        data = clean(chunk.data)
        lines = self._reader.read(self._new_lines(data) if chunk.again else data)
        if chunk.gap:
            self._report_gap(self._reader.last, chunk.gap)
        return lines

    def _new_lines(self, data: bytes) -> bytes:
        """Lines that were written after all that is in the ledger. The file lost its end after some of these lines were
        read and has grown since: only their stamps tell which."""
        counted = self._counted_until
        stamps = map(self._reader.stamps.read, data.splitlines(keepends=True))
        lines = zip(stamps, data.splitlines(keepends=True), strict=True)
        return b"".join(line for stamp, line in lines if stamp and stamp[0] > counted)

    def _refuse(self, chunk: Chunk) -> int:
        """A line that the ledger would not take in counts as one that was not understood."""
        metrics.REFUSED.inc()
        self._tracker.not_understood(self._reader.last, self._myself, None, clean(chunk.data).rstrip(b"\n"))
        return 1

    def _report_gap(self, moment: int, gap: str) -> None:
        self._tracker.report(moment, self._myself, "gap", gap)

    def _store(self, position: Position, lines: int, last_at: int, *, alone: bool) -> None:
        """Three batches are in hand while the log is behind, so that neither we nor the server wait for each other: one
        is stored, the next is read and its addresses are looked up, and then one more is being read."""
        rows = self._tracker.take(last_at)
        before = self.checkpoint
        after = self.checkpoint = replace(
            before,
            generation=position.generation,
            position=position.offset,
            marks=dict(position.marks),
            next_row=self._tracker.next_row,
            lines=before.lines + lines,
            last_at=last_at or None,
        )
        if not position.read_before:
            self._counted_until = last_at
        behind = self._follower.behind()
        numbers = self._storing.ask(partial(self._learn, rows))
        self._send()
        self._last = _Read(rows, numbers, before, after, behind, time.monotonic())
        if behind < self._worth_it or alone:
            self.finish()
        metrics.OPEN_MESSAGES.set(self._tracker.open_count)

    def _send(self) -> None:
        """Have the batch that was read last stored."""
        read, self._last = self._last, None
        if read is not None:
            batch = self._writer.encode(read.rows, read.before.source, read.numbers.result())
            self._storing.begin(partial(self._commit, batch, read))

    # Asked of the ledger, in a thread of its own: nothing else uses connection and writer then

    def _learn(self, rows: Rows) -> Mapping[bytes, int]:
        if time.monotonic() > self._numbers_until:
            self._writer.forget_numbers()
            self._numbers_until = time.monotonic() + _NUMBERS_FOR
        return self._writer.learn(rows)

    def _commit(self, batch: Batch, read: _Read) -> None:
        before, after, rows = read.before, read.after, read.rows
        self._writer.commit(batch, before, after)
        last_at = after.last_at or 0
        metrics.COMMIT.observe(time.monotonic() - read.at)
        metrics.LINES.inc(after.lines - before.lines)
        metrics.LAG_BYTES.set(read.behind)
        metrics.LAG_SECONDS.set(max(0.0, (_now() - last_at) / 1e6) if read.behind else 0)
        for table, added in (("messages", rows.messages), ("deliveries", rows.deliveries), ("events", rows.events)):
            metrics.ROWS.labels(table).inc(len(added))
        metrics.GAPS.inc(sum(event.kind == "gap" for event in rows.events))
        metrics.UNKNOWN.inc(len(rows.unknown))
        self._shipped.until(last_at)


def _refused(error: BaseException) -> RefusedError:
    return RefusedError(f"the ledger refuses a batch: {str(error).strip()}")


def clean(data: bytes) -> bytes:
    """``data`` as PostgreSQL takes it: valid UTF-8 without NUL. Copying and truncating leaves blocks of NULs behind."""
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    if data.isascii() or all(map(_is_valid, _pieces(data))):
        return data
    return data.decode(errors="replace").encode()


def _pieces(data: bytes) -> Iterator[bytes]:
    """Stretches of lines. One character of another alphabet makes the whole text that it stands in several times as
    large, so the whole is not made a text to look at it."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + _PIECE) + 1 or data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def _is_valid(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _now() -> int:
    return moment_of(datetime.now(UTC))
