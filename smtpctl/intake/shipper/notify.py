"""Tells systemd how the service is (sd_notify(3)): one datagram to the socket that it names."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send ``READY=1``, ``STATUS=…`` or ``STOPPING=1``. Without a service manager nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto(state.encode(), address)
