"""Getting into the lab's network from this machine, without touching the machine's own.

A network namespace belongs to a thread. ``enter`` moves the calling thread for good; ``inside`` borrows a thread of its
own for one call, and a socket opened there stays in the lab wherever it is used afterwards.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from smtpctl.errors import LabError
from smtpctl.lab import linux
from smtpctl.lab.state import Record

OWN_NETWORK = Path("/proc/thread-self/ns/net")

Result = TypeVar("Result")


def enter_network(record: Record) -> None:
    """Move the calling thread, and every thread it starts from now on, into the lab's network. Again is no change."""
    namespace = Path(f"/proc/{record.pid}/ns/net")
    try:
        if _same_file(namespace, OWN_NETWORK):
            return
        linux.setns(namespace, linux.CLONE_NEWNET)
    except PermissionError:
        raise LabError("only root can enter the lab's network", hint="run the command again with sudo") from None
    except FileNotFoundError:
        raise LabError("the lab went down", hint="run: smtpctl lab up") from None


@contextmanager
def entered(record: Record) -> Iterator[None]:
    """The calling thread is in the lab's network for the block, and back where it was after it. Threads started in
    the block stay inside."""
    before = os.open(OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_network(record)
        yield
    finally:
        linux.setns(Path(f"/proc/self/fd/{before}"), linux.CLONE_NEWNET)
        os.close(before)


def inside(record: Record, call: Callable[[], Result]) -> Result:
    """The result of ``call``, run by a thread inside the lab's network. The calling thread stays where it is."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            enter_network(record)
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - carried over to the calling thread and raised there
            errors.append(error)

    thread = threading.Thread(target=run, name="inside-lab")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def connect(address: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection from the network of the calling thread."""
    return socket.create_connection((address, port), timeout=timeout)


def wait_for_greeting(address: str, port: int, prefix: bytes, deadline: float) -> bool:
    """Whether a server at ``address`` greets with ``prefix`` before the monotonic time ``deadline``."""
    while time.monotonic() < deadline:
        try:
            with connect(address, port, 1.0) as connection:
                if connection.recv(len(prefix)) == prefix:
                    return True
        except OSError:
            # refused or unreachable: it is still booting, which is what this waits for
            time.sleep(0.03)
    return False


def _same_file(one: Path, other: Path) -> bool:
    first, second = one.stat(), other.stat()
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
