"""The provider of a recipient domain: what this host's routing says, else the inventory's table. Edge: a socket.

Routing knows providers by where their MX points as well; the table knows the domains that the inventory names.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

#: Where `policy route` answers on a relay (templates/relay).
ROUTING = ("127.0.0.1", 10050)
TIMEOUT = 1.0

#: Domains that are remembered before the memory starts anew.
MOST = 50_000


class Providers:
    """``provider_of`` of one instance; asks routing once a domain."""

    def __init__(self, instance: str, table: Mapping[str, str], default: str) -> None:
        self._table = table
        self._default = default
        self._known: dict[str, str] = {}
        self._socket: socket.socket | None = None
        self._away = instance in ("submission", "feedback")

    def __call__(self, domain: str) -> str:
        found = self._known.get(domain)
        if found is None:
            if len(self._known) >= MOST:
                self._known.clear()
            found = self._known[domain] = self._table.get(domain) or self._ask(domain) or self._default
        return found

    def _ask(self, domain: str) -> str:
        """What routing says, or nothing when it is away: then the table has to do."""
        if self._away:
            return ""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(ROUTING, TIMEOUT)
            query = f"provider {domain}".encode()
            self._socket.sendall(b"%d:%s," % (len(query), query))
            answer = self._read(self._socket)
        except (OSError, ValueError):
            self._away = True
            return ""
        return answer.removeprefix("OK ") if answer.startswith("OK ") else ""

    @staticmethod
    def _read(connection: socket.socket) -> str:
        data = b""
        while b":" not in data:
            data += _some(connection)
        length, _, text = data.partition(b":")
        while len(text) < int(length) + 1:
            text += _some(connection)
        return text[: int(length)].decode()


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(4096)
    if not data:
        raise ConnectionResetError("routing closed the connection")
    return data
