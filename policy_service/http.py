"""HTTP for machines that ask about us, HAProxy's checks and Prometheus: GET of a few paths, one a connection. Edge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

LARGEST_HEAD = 8192

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: int
    content_type: str
    body: str


Pages = Mapping[str, Callable[[], Page]]


class Http(asyncio.Protocol):
    """One connection: one request, one answer, closed. A client that dawdles is cut off."""

    def __init__(self, pages: Pages, patience: float = 5.0) -> None:
        self._pages = pages
        self._patience = patience
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(self._patience, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._head += data
        if b"\r\n\r\n" in self._head or b"\n\n" in self._head:
            self._transport.write(response(self._head, self._pages))
            self._transport.close()
        elif len(self._head) > LARGEST_HEAD:
            self._transport.abort()


def response(head: bytes, pages: Pages) -> bytes:
    """The whole answer to a request's head. HAProxy's ``option httpchk`` sends OPTIONS where no method is given."""
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) < 2:
        page = Page(400, "text/plain", "bad request\n")
    elif words[0] not in (b"GET", b"HEAD", b"OPTIONS"):
        page = Page(405, "text/plain", "GET only\n")
    else:
        make = pages.get(words[1].partition(b"?")[0].decode("latin-1"))
        page = make() if make else Page(404, "text/plain", f"paths: {' '.join(pages)}\n")
    body = page.body.encode()
    lines = [
        f"HTTP/1.1 {page.status} {_REASONS[page.status]}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if words[:1] == [b"HEAD"] else body)
