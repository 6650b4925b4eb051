"""Real processes of the policy service for tests, and clients that speak to them as smtpd does."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).parents[2]
_INSTANCES = itertools.count(1)


class Daemon:
    """One process of ``python -m policy_service``, ready when it said so to its (our) systemd."""

    def __init__(self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.log = folder / "log"
        notify = folder / "notify"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, self.log.open("a") as log:
            listener.bind(str(notify))
            listener.settimeout(60)
            environment = {**os.environ, "NOTIFY_SOCKET": str(notify), **(environment or {})}
            environment.pop("JOURNAL_STREAM", None)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "policy_service", *arguments], cwd=ROOT, env=environment, stderr=log
            )
            try:
                while b"READY=1" not in listener.recv(4096):
                    pass
            except TimeoutError:
                self.kill()
                raise

    @property
    def lines(self) -> list[str]:
        """What it logged."""
        return self.log.read_text(encoding="utf-8").splitlines()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(10)

    def kill(self) -> None:
        """SIGKILL, and gone."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def running(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon for the length of a block."""
    folder.mkdir(exist_ok=True)
    daemon = Daemon(folder, *arguments, environment=environment)
    try:
        yield daemon
    finally:
        daemon.process.send_signal(signal.SIGCONT)
        daemon.kill()


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def get(url: str) -> tuple[int, str]:
    """Status and body of a page."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def request(state: str = "DATA", **attributes: object) -> bytes:
    """A request as Postfix writes it."""
    values = {"request": "smtpd_access_policy", "protocol_state": state, **attributes}
    return "".join(f"{name}={value}\n" for name, value in values.items()).encode() + b"\n"


class Client:
    """One connection of an smtpd: a question, its answer, the next question."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        self.slowest = 0.0

    def ask(self, state: str = "DATA", **attributes: object) -> str:
        """The action that comes back."""
        return self.raw(request(state, **attributes))

    def message(self, credential: str, recipients: int = 1, sender: str = "a@shop.test") -> str:
        """The answer at DATA to a new message."""
        return self.ask(
            sasl_username=credential, sender=sender, recipient_count=recipients, instance=f"c.{next(_INSTANCES)}"
        )

    def raw(self, data: bytes) -> str:
        """Send bytes, and return one action."""
        started = monotonic()
        self.send(data)
        action = self.next()
        self.slowest = max(self.slowest, monotonic() - started)
        return action

    def send(self, data: bytes) -> None:
        """Send bytes; whoever does so takes the answer by ``next``."""
        self._socket.sendall(data)

    def next(self) -> str:
        """The next action, without asking."""
        found = b""
        while not found.endswith(b"\n\n"):
            piece = self._socket.recv(1)
            if not piece:
                raise ConnectionError(f"closed after {found!r}")
            found += piece
        match = re.fullmatch(rb"action=([^\n]*)\n\n", found)
        assert match, found
        return match[1].decode()

    def close(self) -> None:
        self._socket.close()


async def knock(path: Path, credential: str, until: float, admitted: list[tuple[int, float, float]]) -> float:
    """Ask for one message after the other until then; note (recipients, asked, answered) of each accepted one.

    Comes back when the daemon does. Returns the longest time that an answer took.
    """
    slowest = 0.0
    while monotonic() < until:
        try:
            reader, writer = await asyncio.open_unix_connection(str(path))
        except OSError:
            await asyncio.sleep(0.05)
            continue
        try:
            slowest = max(slowest, await _knock(reader, writer, credential, until, admitted))
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.05)
        finally:
            writer.close()
    return slowest


async def _knock(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    credential: str,
    until: float,
    admitted: list[tuple[int, float, float]],
) -> float:
    slowest = 0.0
    while monotonic() < until:
        asked = monotonic()
        attributes = {"sasl_username": credential, "sender": "a@shop.test", "recipient_count": 1}
        writer.write(request("DATA", instance=f"k.{next(_INSTANCES)}", **attributes))
        answer = await reader.readuntil(b"\n\n")
        answered = monotonic()
        slowest = max(slowest, answered - asked)
        if answer.startswith(b"action=FILTER "):
            admitted.append((1, asked, answered))
        else:
            # A client that was refused does not come back at once.
            await asyncio.sleep(0.03)
    return slowest


def surely_in_one_window(admitted: list[tuple[int, float, float]], window: float) -> int:
    """The most units that were for certain admitted within one half-open window of that length.

    An admission happened between asking and answering: it is for certain within [s, s + window) when both are.
    """
    fullest = 0
    by_asked = sorted(admitted, key=lambda one: one[1])
    for _, start, _ in by_asked:
        inside = sum(units for units, asked, answered in by_asked if asked >= start and answered < start + window)
        fullest = max(fullest, inside)
    return fullest


def fullest_window(admitted: list[tuple[int, float, float]], window: float) -> int:
    """The same for single messages, and quick for many of them."""
    # What took longer than a window was for certain in none.
    sure = [one for one in admitted if one[2] - one[1] < window]
    asked = sorted(first for _, first, _ in sure)
    answered = sorted(last for _, _, last in sure)
    # In [s, s + window) were answered all that came before its end, less those asked for before s.
    return max((bisect_left(answered, start + window) - number for number, start in enumerate(asked)), default=0)
