"""The delegation protocol on a socket: one ``asyncio.Protocol`` a connection, answers in order. Edge.

The connection stays open after a reply: closing it would cost Postfix a second each time. It is closed without a reply
only when the peer broke the protocol, which is what SMTPD_POLICY_README asks for.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import cast

from policy_service.engine import Engine
from policy_service.log import WARNING, log
from policy_service.message import Charged, Message
from policy_service.metrics import Latency
from policy_service.protocol import ProtocolError, Request, RequestParser, usual

#: Requests that one connection may have waiting; Postfix has one.
MOST_WAITING = 1000


class Delegation(asyncio.Protocol):
    """One connection of an smtpd process. ``message`` is the one that it speaks of (``engine.Asker``)."""

    __slots__ = (
        "_busy",
        "_connections",
        "_engine",
        "_latency",
        "_parser",
        "_queue",
        "_released",
        "_started",
        "_transport",
        "_wake",
        "charged",
        "ended",
        "message",
    )

    def __init__(
        self, engine: Engine, latency: Latency, connections: set[Delegation], wake: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._latency = latency
        self._connections = connections
        self._wake = wake
        self._parser = RequestParser()
        self._queue: deque[Request] = deque()
        self._busy = False
        self._released = False
        self._started = 0
        self._transport: asyncio.Transport | None = None
        self.message: Message | None = None
        self.charged: Charged | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        values = usual(data)
        if values is None or self._busy or transport is None or self._parser.pending:
            self._queue_up(data)
            return
        started = monotonic_ns()
        answer = self._engine.decide(values, self, started)
        if answer is None:
            self._wait(started)
            return
        transport.write(answer)
        self._latency.note(monotonic_ns() - started)

    def tell(self, answer: bytes) -> None:
        """The answer to the request that had to wait; those behind it come next."""
        self._busy = False
        self._latency.note(monotonic_ns() - self._started)
        self._write(answer)
        self._answer()

    def abort(self) -> None:
        """Close without a reply."""
        if self._transport:
            self._transport.abort()

    def _queue_up(self, data: bytes) -> None:
        """Take parts of requests, and several at once."""
        try:
            self._queue.extend(self._parser.feed(data))
        except ProtocolError as error:
            log(WARNING, "protocol-error", text=error)
            self.abort()
            return
        if len(self._queue) > MOST_WAITING:
            log(WARNING, "protocol-error", text=f"more than {MOST_WAITING} requests wait on one connection")
            self.abort()
            return
        if not self._busy:
            self._answer()

    def release(self) -> socket.socket | None:
        """The connection's socket for who takes over, once, when nothing is under way on it. It is not read then."""
        transport = self._transport
        if transport is None or self._released or self._busy or self._queue or self._parser.pending:
            return None
        if transport.get_write_buffer_size():
            return None
        self._released = True
        transport.pause_reading()
        return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))

    def _answer(self) -> None:
        """Answer requests until one has to wait."""
        replies = []
        while self._queue:
            started = monotonic_ns()
            answer = self._engine.decide(self._queue.popleft(), self, started)
            if answer is None:
                self._wait(started)
                break
            self._latency.note(monotonic_ns() - started)
            replies.append(answer)
        if replies:
            self._write(b"".join(replies))

    def _wait(self, started: int) -> None:
        self._busy = True
        self._started = started
        self._wake()

    def _write(self, data: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)
