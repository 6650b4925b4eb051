"""Word to systemd (sd_notify(3)) over $NOTIFY_SOCKET, and the sockets that it hands over (sd_listen_fds(3)). Edge."""

from __future__ import annotations

import asyncio
import os
import socket
import time

from policy_service.log import WARNING, log


def notify(*assignments: str) -> None:
    """Tell systemd, where it listens; elsewhere nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)
        try:
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            sock.send("\n".join(assignments).encode())
        except OSError as error:
            # Mail goes on without systemd's ear.
            log(WARNING, "notify-failed", text=error)


def ready(status: str) -> None:
    """The service answers now."""
    notify("READY=1", f"STATUS={status}")


def reloading() -> None:
    """A reload begins; ``ready`` ends it (Type=notify-reload)."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> None:
    """The service drains."""
    notify("STOPPING=1")


def watchdog_interval() -> float | None:
    """Seconds between signs of life that systemd wants, halved as its manual asks; None when it wants none."""
    microseconds = os.environ.get("WATCHDOG_USEC")
    if not microseconds or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000


async def signs_of_life() -> None:
    """Tell systemd for ever that the event loop runs, as often as its watchdog wants to know."""
    interval = watchdog_interval()
    while True:
        if interval:
            notify("WATCHDOG=1")
        await asyncio.sleep(interval or 3600)


def passed_sockets() -> list[socket.socket]:
    """Listening sockets that systemd opened for this service."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=3 + number) for number in range(count)]
