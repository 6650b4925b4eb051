"""Pauses from the fleet's other hosts, over HTTPS: so a host that was off learns what was pressed meanwhile. Edge.

A host asks and never tells, and believes only who shows a certificate of the fleet's authority for the name that it
asked for. Who may ask is the firewall's affair.
"""

from __future__ import annotations

import http.client
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from smtpctl.transport.agent.pauses import Record

TIMEOUT = 2.0
PATH = "/pauses"

#: A host's pauses are a few hundred bytes each; more than this is no answer of ours.
LARGEST = 16 * 1024 * 1024


def ask(name: str, address: str, port: int, authority: str) -> list[Record]:
    """The pauses that the host ``name`` knows. Raise OSError, http.client.HTTPException or ValueError."""
    with (
        socket.create_connection((address, port), TIMEOUT) as plain,
        # Only for who is there: reading the authorities takes longer than being refused.
        ssl.create_default_context(cafile=authority).wrap_socket(plain, server_hostname=name) as secured,
    ):
        connection = http.client.HTTPConnection(name, port, timeout=TIMEOUT)
        connection.sock = secured
        connection.request("GET", PATH)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise ValueError(f"{name} answers {answer.status}")
        document = json.loads(answer.read(LARGEST))
        records: list[Record] = document["pauses"]
        return records


def serve(address: str, port: int, certificate: str, read: Callable[[], list[Record]]) -> None:
    """Answer the other hosts from a thread of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = TIMEOUT

        def do_GET(self) -> None:
            if self.path != PATH:
                self.send_error(http.client.NOT_FOUND)
                return
            body = json.dumps({"version": 1, "pauses": read()}).encode()
            self.send_response(http.client.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing: every host asks every few seconds."""

    server = _Server(address, port, certificate, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class _Server(http.server.ThreadingHTTPServer):
    """The handshake happens in the connection's own thread, so that a silent peer keeps nobody waiting."""

    daemon_threads = True

    def __init__(self, address: str, port: int, certificate: str, handler: type[Any]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        super().__init__((address, port), handler)

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        plain, peer = self.socket.accept()
        plain.settimeout(TIMEOUT)
        return self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), peer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that breaks off is none of ours to report: it asks again."""
