"""Greylisting for the lab's mailbox providers. Runs on the internet host, as a policy service of Postfix.

A client, sender and recipient that come for the first time are told to come back; a retry that comes at least
``DELAY`` seconds later is let in, and so is every one after it (RFC 6647 §2.3). What was seen is forgotten at a
restart. Needs nothing but Python.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import dataclass, field

ADDRESS, PORT = "127.0.0.1", 10023
DELAY = 5.0

Triple = tuple[str, str, str]


@dataclass(slots=True)
class Greylist:
    """When each triple of client, sender and recipient was first seen."""

    delay: float = DELAY
    first_seen: dict[Triple, float] = field(default_factory=dict)

    def decide(self, triple: Triple, now: float) -> str:
        """Postfix's action for an attempt of ``triple`` at the monotonic time ``now``."""
        if now - self.first_seen.setdefault(triple, now) >= self.delay:
            return "DUNNO"
        return "450 4.2.0 Greylisted, please come back later"


def triple_of(request: bytes) -> Triple:
    """Client, sender and recipient of a request: lines ``name=value``."""
    lines = request.decode("utf-8", "replace").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("client_address", ""), values.get("sender", "").lower(), values.get("recipient", "").lower()


async def serve(greylist: Greylist) -> None:
    """Answer until the process is ended. A connection carries many requests, each ended by an empty line."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\n\n")
                writer.write(f"action={greylist.decide(triple_of(request), time.monotonic())}\n\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            # Postfix closed the connection
            writer.close()

    server = await asyncio.start_server(answer, ADDRESS, PORT)
    _notify_ready()
    async with server:
        await server.serve_forever()


def _notify_ready() -> None:
    """Tell systemd that the port is open (sd_notify(3))."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", path.replace("@", "\0", 1) if path.startswith("@") else path)


if __name__ == "__main__":
    asyncio.run(serve(Greylist()))
