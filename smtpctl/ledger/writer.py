"""Stores what a shipper read: rows and position in one transaction, so that each line counts once.

Before that transaction come two things that may happen twice without harm: numbers for addresses, and partitions for
days. The position moves only from where this writer believes it is; a second shipper that overtook it makes it stop.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import psycopg
from psycopg.rows import dict_row

from smtpctl.errors import LedgerError
from smtpctl.ledger import copying
from smtpctl.ledger.connection import Connection, statement
from smtpctl.ledger.subjects import Privacy, Subjects, domain_of
from smtpctl.ledger.tokens import Hider
from smtpctl.model.deliveries import DAY, Change, Rows, UnknownLine, datetime_of

ClientCursor = psycopg.ClientCursor[tuple[Any, ...]]

#: Class of the advisory locks that make a shipper the only one of its log ("smtp" in ASCII).
_LEASE = 0x736D7470
_COPY_MESSAGES, _COPY_DELIVERIES, _COPY_EVENTS = (
    f"COPY ledger.{table} ({columns}) FROM STDIN (FORMAT binary)".encode()
    for table, columns in (
        ("messages", copying.MESSAGE_COLUMNS),
        ("deliveries", copying.DELIVERY_COLUMNS),
        ("events", copying.EVENT_COLUMNS),
    )
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a log has been read; a row of ``ledger.sources``."""

    source: int
    generation: int
    position: int
    marks: dict[str, Any]
    next_row: int
    lines: int
    last_at: int | None
    since: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as the ledger takes them: statements to copy by and what they copy; changes; unknown lines."""

    copies: tuple[tuple[bytes, bytes], ...]
    #: What ``ledger.advance_messages`` takes: arrays of the same length.
    advances: tuple[str, ...]
    #: What ``ledger.change_messages`` takes: JSON.
    changes: str
    unknown: list[UnknownLine]


# Fields of rows, taken without running a line of Python for each.
_at, _started_at = attrgetter("at"), attrgetter("started_at")
_sender, _recipient, _original_recipient = map(attrgetter, ("sender", "recipient", "original_recipient"))


class OvertakenError(LedgerError):
    """Another shipper moved the position of this log."""


class Writer:
    """Writes rows of one log. Any psycopg.Error leaves it unusable: make a new one and read the checkpoint again."""

    def __init__(
        self,
        connection: Connection,
        host: str,
        log: str,
        privacy: Privacy | None = None,
        providers: Iterable[bytes] = (),
    ) -> None:
        self._connection = connection
        self._host = host
        self._log = log
        self._subjects = Subjects(connection, privacy, providers)
        self._days: set[int] = set()
        self._encoder: copying.RowEncoder | None = None

    def claim(self) -> Checkpoint | None:
        """The checkpoint of the log, which from now on is this writer's; None while another one holds it."""
        self._connection.execute(
            "INSERT INTO ledger.sources (host, log, created_at) VALUES (%s, %s, %s) ON CONFLICT (host, log) DO NOTHING",
            (self._host, self._log, datetime.now(UTC)),
        )
        row = self._connection.execute(
            """SELECT id, generation, position, marks, next_row, lines,
                      (extract(epoch FROM last_at - '2000-01-01 00:00:00Z') * 1000000)::bigint,
                      extract(epoch FROM created_at)::float8
               FROM ledger.sources WHERE host = %s AND log = %s""",
            (self._host, self._log),
        ).fetchone()
        if row is None:
            raise LedgerError(f"ledger.sources has no row for {self._host} {self._log}")
        checkpoint = Checkpoint(*row)
        held = self._connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (_LEASE, checkpoint.source)).fetchone()
        if held != (True,):
            return None
        again = self._connection.execute(
            "SELECT generation, position FROM ledger.sources WHERE id = %s", (checkpoint.source,)
        ).fetchone()
        # The one before may have committed between the two statements.
        return checkpoint if again == (checkpoint.generation, checkpoint.position) else self.claim()

    def open_messages(self, source: int, ended_after: int) -> list[tuple[Any, ...]]:
        """Messages of the log that may still see lines: (row number, started, ended, instance, …), text as bytes."""
        base = base_of(source)
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                statement("open_messages"), {"source": source, "ended_after": datetime_of(ended_after)}
            ).fetchall()
        return [tuple(_plain(name, value, base) for name, value in row.items()) for row in rows]

    def store(self, rows: Rows, before: Checkpoint, after: Checkpoint) -> None:
        """Add the rows and move the checkpoint from ``before`` to ``after``. Raise OvertakenError, psycopg.Error."""
        self.commit(self.encode(rows, before.source, self.learn(rows)), before, after)

    def learn(self, rows: Rows) -> Mapping[bytes, int]:
        """Make the partitions that the rows go to; return the numbers of their addresses. Raise psycopg.Error."""
        self._make(_days(rows) - self._days)
        return self._subjects.learn(_addresses(rows))

    def encode(self, rows: Rows, source: int, numbers: Mapping[bytes, int]) -> Batch:
        """The rows as the ledger takes them. Asks it for nothing, so that meanwhile it may do something else."""
        base = base_of(source)
        hider = self._subjects.hider
        encoder = self._encoder or copying.RowEncoder(source, self._host.encode(), base, numbers, hider)
        encoder.use(numbers)
        self._encoder = encoder
        advances: list[Change] = []
        changes: list[Change] = []
        for change in rows.changes:
            (advances if change.only_advances() else changes).append(change)
        return Batch(
            (
                (_COPY_MESSAGES, copying.whole(map(encoder.message, rows.messages))),
                (_COPY_DELIVERIES, copying.whole(map(encoder.delivery, rows.deliveries))),
                (_COPY_EVENTS, copying.whole(map(encoder.event, rows.events))),
            ),
            _advances(advances, base),
            json.dumps([_change(change, base, numbers, hider) for change in changes]) if changes else "",
            _hidden(rows.unknown, hider),
        )

    def commit(self, batch: Batch, before: Checkpoint, after: Checkpoint) -> None:
        """Add what was encoded and move the checkpoint. Raise OvertakenError, psycopg.Error.

        What can go together does, as one text of several statements: with small batches a commit takes longer for its
        questions and answers than for its rows.
        """
        with psycopg.ClientCursor(self._connection) as cursor:
            try:
                self._begin(cursor, before, after)
                for copy_into, data in batch.copies:
                    if data != copying.NOTHING:
                        with cursor.copy(copy_into) as copy:
                            copy.write(data)
                _end(cursor, batch, before.source)
            except BaseException:
                if not self._connection.closed:
                    self._connection.rollback()
                raise

    def _begin(self, cursor: ClientCursor, before: Checkpoint, after: Checkpoint) -> None:
        """Begin the transaction, and move the position first: a writer that was overtaken adds nothing."""
        move = {
            "source": before.source,
            "from_generation": before.generation,
            "from_position": before.position,
            "generation": after.generation,
            "position": after.position,
            "marks": json.dumps(after.marks),
            "next_row": after.next_row,
            "lines": after.lines,
            "last_at": None if after.last_at is None else datetime_of(after.last_at),
        }
        cursor.execute(f"BEGIN; {cursor.mogrify(statement('move_checkpoint'), move)}".encode())
        cursor.nextset()
        if cursor.rowcount != 1:
            raise OvertakenError(f"another shipper moved the position of {self._host} {self._log}")

    def _make(self, days: set[int]) -> None:
        for day in days:
            self._connection.execute("SELECT ledger.make_day(%s)", (datetime_of(day * DAY).date(),))
            self._days.add(day)

    def forget_numbers(self) -> None:
        """Ask for numbers anew: retention removes subjects that nothing has named for long."""
        self._subjects.forget()


def base_of(source: int) -> int:
    """What is added to a row's number to make its id, so that sources number their rows without asking each other."""
    return source << 40


def _plain(name: str, value: Any, base: int) -> Any:
    """A value of the database as the tracker has it: numbers within the source, text as bytes."""
    if value is not None and name in ("id", "parent"):
        return value - base
    return value.encode() if isinstance(value, str) else value


def _days(rows: Rows) -> set[int]:
    """The days that the rows are of."""
    moments = [*map(_started_at, rows.messages), *map(_at, rows.deliveries), *map(_at, rows.events)]
    ends = {min(moments) // DAY, max(moments) // DAY} if moments else set()
    return ends if not ends or max(ends) - min(ends) < 2 else {moment // DAY for moment in moments}


def _addresses(rows: Rows) -> set[bytes]:
    """Every address that the rows name. The null sender is none; an empty recipient is one, however odd."""
    found = {*map(_sender, rows.messages), *map(_sender, rows.changes)}
    for event in rows.events:
        found.add(event.sender)
        found.add(event.recipient)
    found.discard(b"")
    found.update(map(_recipient, rows.deliveries), map(_original_recipient, rows.deliveries))
    found.discard(None)
    return found


def _hidden(lines: list[UnknownLine], hider: Hider | None) -> list[UnknownLine]:
    if hider is None:
        return lines
    return [UnknownLine(line.at, hider.text(line.shape), hider.text(line.sample)) for line in lines]


def _advances(changes: list[Change], base: int) -> tuple[str, ...]:
    """Ids, beginnings, ends and activations; nothing for none."""
    if not changes:
        return ()
    columns: tuple[Sequence[int | None], ...] = (
        [base + change.id for change in changes],
        [change.started_at for change in changes],
        [change.ended_at for change in changes],
        [change.activations for change in changes],
    )
    return tuple(map(_array, columns))


def _array(numbers: Sequence[int | None]) -> str:
    """An array as PostgreSQL reads it: of thousands psycopg would look at each."""
    return "{" + str(numbers)[1:-1].replace("None", "NULL") + "}"


def _change(change: Change, base: int, numbers: Mapping[bytes, int], hider: Hider | None) -> dict[str, Any]:
    """A change for ``ledger.change_messages``: only what it names. Times are moments."""
    message_id = change.message_id
    named: dict[str, Any] = {
        "id": base + change.id,
        "started_at": change.started_at,
        "ended_at": change.ended_at,
        "first_active_at": change.first_active_at,
        "activations": change.activations,
        "size": change.size,
        "recipients": change.recipients,
        "parent": None if change.parent is None else base + change.parent,
        "origin": change.origin,
        "message_id": message_id if message_id is None or hider is None else hider.message_id(message_id),
        "parent_kind": change.parent_kind,
        "end_kind": change.end_kind,
    }
    if change.place is not None:
        named |= change.place._asdict()
    if change.client is not None:
        named |= {"client_name": change.client.name, "credential": change.client.credential}
        address = copying.parse_address(change.client.address)
        named["client_address"] = None if address is None else str(address)
    if change.sender is not None:
        named["sender"] = numbers[change.sender] if change.sender else None
        named["sender_domain"] = domain_of(change.sender)
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in named.items()
        if value is not None
    }


def _end(cursor: ClientCursor, batch: Batch, source: int) -> None:
    """What a batch changes of older rows, and the end of the transaction."""
    steps = []
    if batch.advances:
        steps.append(cursor.mogrify("SELECT ledger.advance_messages(%s, %s, %s, %s, %s)", (source, *batch.advances)))
    if batch.changes:
        steps.append(cursor.mogrify("SELECT ledger.change_messages(%s, %s)", (source, batch.changes)))
    steps += [cursor.mogrify(statement("count_unknown"), counted) for counted in _counted(batch.unknown, source)]
    cursor.execute("; ".join([*steps, "COMMIT"]).encode())


def _counted(lines: list[UnknownLine], source: int) -> Iterator[dict[str, Any]]:
    """Lines that were not understood, as they are counted: by shape, with the last of each."""
    counts = Counter(line.shape for line in lines)
    last = {line.shape: line for line in lines}
    for shape, count in sorted(counts.items()):
        yield {
            "source": source,
            "shape": shape.decode(errors="ignore"),  # cut to a length, perhaps inside a character
            "count": count,
            "sample": last[shape].sample.decode(errors="ignore"),
            "at": datetime_of(last[shape].at),
        }
