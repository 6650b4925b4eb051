"""The floor for catching up: rows that are already built, copied into the same tables with the same commits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

from smtpctl.intake.shipper.run import clean
from smtpctl.intake.shipper.verdicts import classify
from smtpctl.ledger import copying
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.tracker import Tracker
from tests.bench.ledger.parsing import _LATER, BATCH
from tests.bench.ledger.server import Server

#: Table -> its rows of one batch, as COPY takes them.
Batch = dict[str, bytes]
_COLUMNS = {
    "messages": copying.MESSAGE_COLUMNS,
    "deliveries": copying.DELIVERY_COLUMNS,
    "events": copying.EVENT_COLUMNS,
}


class _Numbers(dict[bytes, int]):
    def __missing__(self, address: bytes) -> int:
        number = self[address] = len(self) + 1
        return number


def batches(log: Path, size: int = BATCH) -> Iterator[Batch]:
    """The rows of a log, batch by batch as the shipper reads it."""
    tracker = Tracker(Labels(), classify)
    reader = LogReader(tracker, _LATER)
    encoder = copying.RowEncoder(1, b"bench", 1 << 40, _Numbers())
    with log.open("rb") as file:
        rest = b""
        while data := file.read(size):
            whole, newline, rest = (rest + data).rpartition(b"\n")
            reader.read(clean(whole + newline))
            rows = tracker.take(reader.last)
            encode: list[tuple[str, Iterator[bytes]]] = [
                ("messages", map(encoder.message, rows.messages)),
                ("deliveries", map(encoder.delivery, rows.deliveries)),
                ("events", map(encoder.event, rows.events)),
            ]
            yield {table: b"".join(encoded) for table, encoded in encode}


def copy(server: Server, log: Path, days: Callable[[], list[date]]) -> float:
    """Seconds that copying alone takes. Building the rows is not counted."""
    server.new_ledger()
    took = 0.0
    with server.connect() as connection:
        connection.execute("INSERT INTO ledger.sources (host, log) VALUES ('bench', 'log')")
        connection.execute("SET synchronous_commit = off")
        for day in days():
            for name in (day, day + timedelta(days=1)):
                connection.execute("SELECT ledger.make_day(%s)", (name,))
        for batch in batches(log):
            started = time.monotonic()
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("UPDATE ledger.sources SET position = position + 1, updated_at = now()")
                for table, data in batch.items():
                    if data:
                        statement = f"COPY ledger.{table} ({_COLUMNS[table]}) FROM STDIN (FORMAT binary)"
                        with cursor.copy(statement.encode()) as writing:
                            writing.write(copying.whole([data]))
            took += time.monotonic() - started
    return took
