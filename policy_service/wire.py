"""Prepared statements over one connection, each sent without waiting for the one before. Edge: libpq and the loop.

psycopg opens the connection; then libpq's pipeline mode is driven here directly, since one statement settles dozens of
messages and the way to it should cost less than they do. Statements are answered in the order in which they were sent;
one that fails fails alone.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache
from struct import Struct, pack, unpack
from typing import Any, TypeAlias

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.rows import TupleRow

Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]

#: A row as it came: in PostgreSQL's binary form where that was asked for, else as text.
Row: TypeAlias = tuple[bytes | None, ...]
#: Text, or a value in PostgreSQL's binary form.
Value: TypeAlias = str | int | bytes

_PLACE = re.compile(r"%\((\w+)\)s")
#: Dimensions, flags, type of the elements; then length and lower bound of the only dimension.
_ARRAY = Struct(">iiIii")
_INT8, _TEXT = 20, 25
_ENDED = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class Wire:
    """One connection, until ``close``. Nothing else may use it meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._pg = connection.pgconn
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self._loop = asyncio.get_running_loop()
        # libpq closes its descriptor as soon as the connection fails, and the number may be another connection's then.
        self._socket = os.dup(self._pg.socket)
        self._sent: deque[asyncio.Future[Row]] = deque()
        self._prepared: dict[str, bytes] = {}
        self._row: Row | None = None
        self._failed: BaseException | None = None
        self._loop.add_reader(self._socket, self._read)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._sent

    def send(self, text: str, values: Mapping[str, Value], *, binary: bool = False) -> asyncio.Future[Row]:
        """Send a statement; the first row of its answer, empty where it has none. ``binary`` asks for that form."""
        answer: asyncio.Future[Row] = self._loop.create_future()
        statement, names = _numbered(text)
        given = [values[name] for name in names]
        try:
            if text not in self._prepared:
                self._prepared[text] = b"s%d" % len(self._prepared)
                self._pg.send_prepare(self._prepared[text], statement)
            self._pg.send_query_prepared(
                self._prepared[text],
                [value if isinstance(value, bytes) else str(value).encode() for value in given],
                [isinstance(value, bytes) for value in given],
                result_format=binary,
            )
            self._pg.pipeline_sync()
            self._sent.append(answer)
            self._flush()
        except psycopg.Error as error:
            answer.set_exception(error)
        return answer

    def close(self) -> None:
        """Forget what is on its way; the connection itself is its owner's to close."""
        self._deaf()
        os.close(self._socket)
        while self._sent:
            self._sent.popleft().cancel()

    def _deaf(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)

    def _flush(self) -> None:
        if self._pg.flush():
            self._loop.add_writer(self._socket, self._flush)
        else:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            self._pg.consume_input()
            while self._sent and not self._pg.is_busy():
                self._take()
        except psycopg.Error as error:
            self._deaf()
            while self._sent:
                _fail(self._sent.popleft(), error)

    def _take(self) -> None:
        """The next result: one of a statement, or the mark after it."""
        result = self._pg.get_result()
        if result is None:
            return
        if result.status == ExecStatus.PIPELINE_SYNC:
            answer, row, failed = self._sent.popleft(), self._row, self._failed
            self._row = self._failed = None
            if failed:
                _fail(answer, failed)
            elif not answer.done():
                answer.set_result(row or ())
        elif result.status in _ENDED:
            if result.ntuples:
                self._row = tuple(result.get_value(0, column) for column in range(result.nfields))
        elif result.status != ExecStatus.PIPELINE_ABORTED:
            self._failed = error_from_result(result)


def _fail(answer: asyncio.Future[Row], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
        # Whoever gave up waiting for it does not need to hear of it.
        answer.exception()


@cache
def _numbered(text: str) -> tuple[bytes, tuple[str, ...]]:
    """A statement with ``%(name)s`` as libpq takes it, with ``$1``, and the names in that order."""
    names: dict[str, int] = {}

    def place(match: re.Match[str]) -> str:
        return f"${names.setdefault(match[1], len(names) + 1)}"

    return _PLACE.sub(place, text).encode(), tuple(names)


def integers(values: Sequence[int]) -> bytes:
    """A ``bigint[]`` in PostgreSQL's binary form."""
    flat = [8] * (2 * len(values))
    flat[1::2] = values
    return _head(_INT8, len(values)) + pack(">" + "iq" * len(values), *flat)


def texts(values: Sequence[str]) -> bytes:
    """A ``text[]`` in PostgreSQL's binary form."""
    encoded = [value.encode() for value in values]
    return _head(_TEXT, len(values)) + b"".join([len(one).to_bytes(4, "big") + one for one in encoded])


def integers_of(value: bytes) -> Sequence[int]:
    """The elements of a ``bigint[]`` in binary form, none of which is null."""
    if len(value) <= 12:
        return ()
    elements: tuple[Any, ...] = unpack(">" + "iq" * ((len(value) - _ARRAY.size) // 12), value[_ARRAY.size :])
    return elements[1::2]


def _head(kind: int, length: int) -> bytes:
    return _ARRAY.pack(1, 0, kind, length, 1) if length else pack(">iiI", 0, 0, kind)
