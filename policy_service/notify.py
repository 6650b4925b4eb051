"""Word to systemd (sd_notify(3)) over $NOTIFY_SOCKET, and the sockets that it hands over (sd_listen_fds(3)). Edge."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import time
from collections.abc import Sequence

from policy_service.log import WARNING, log

#: Descriptors of one message (the kernel takes 253), and how long systemd has to read it (seconds).
AT_ONCE = 200
BARRIER = 2.0


def notify(*assignments: str, descriptors: Sequence[int] = ()) -> None:
    """Tell systemd, where it listens; elsewhere nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        # Descriptors have to arrive; other words may get lost while systemd is busy.
        sock.settimeout(1.0 if descriptors else 0.0)
        try:
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            socket.send_fds(sock, ["\n".join(assignments).encode()], list(descriptors))
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


def keeps_descriptors() -> bool:
    """Whether systemd keeps sockets for the next start (FileDescriptorStoreMax=)."""
    return os.environ.get("FDSTORE", "0") != "0"


def store(name: str, sockets: Sequence[socket.socket]) -> None:
    """Have systemd keep ``sockets`` under a name for the next start; return when it has them."""
    for first in range(0, len(sockets), AT_ONCE):
        some = [sock.fileno() for sock in sockets[first : first + AT_ONCE]]
        notify("FDSTORE=1", f"FDNAME={name}", descriptors=some)
    # What a process says is lost when it ends before systemd has read it (sd_notify_barrier(3)).
    read, write = os.pipe2(os.O_CLOEXEC)
    notify("BARRIER=1", descriptors=[write])
    os.close(write)
    select.select([read], [], [], BARRIER)
    os.close(read)


def unstore(name: str) -> None:
    """Have systemd forget what it keeps under a name."""
    notify("FDSTOREREMOVE=1", f"FDNAME={name}")


def passed_sockets() -> list[tuple[str, socket.socket]]:
    """Sockets that systemd opened or kept for this service, with their names."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    return [
        (name, socket.socket(fileno=3 + number))
        for number, name in zip(range(count), [*names, *[""] * count])  # noqa: B905
    ]
