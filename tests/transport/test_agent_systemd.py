"""systemd's own words over D-Bus: sound answers are read, in any order and in pieces; anything else is refused."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smtpctl.transport.agent import systemd

GREETING = b"OK 0123456789abcdef\r\n"


def answer(serial: int, variant: bytes, *, kind: int = 2) -> bytes:
    """A message as systemd sends it: reply serial, then sender and signature, then the value."""
    fields = bytes((5, 1)) + b"u\0" + struct.pack("<I", serial) + bytes((8, 1)) + b"g\0" + b"\x01v\0"
    head = struct.pack("<4BIII", ord("l"), kind, 1, 1, len(variant), 77, len(fields))
    return head + fields + bytes(-len(fields) % 8) + variant


def text(value: str) -> bytes:
    return b"\x01s\0\0" + struct.pack("<I", len(value)) + value.encode() + b"\0"


VALUES = {
    "LoadState": text("loaded"),
    "ActiveState": text("active"),
    "SubState": text("running"),
    "UnitFileState": text("enabled"),
    "InvocationID": b"\x02ay\0" + struct.pack("<I", 2) + b"\xab\xcd",
    "ConditionResult": b"\x01b\0\0" + struct.pack("<I", 1),
    "ConditionTimestampMonotonic": b"\x01t\0\0\0\0\0\0" + struct.pack("<Q", 42),
    "StateChangeTimestamp": b"\x01t\0\0\0\0\0\0" + struct.pack("<Q", 1795305599250000),
    "Type": text("notify"),
    "RemainAfterExit": b"\x01b\0\0" + struct.pack("<I", 0),
}


@contextmanager
def manager(monkeypatch: pytest.MonkeyPatch, folder: Path, reply: Callable[[socket.socket], None]) -> Iterator[None]:
    """A socket behind which ``reply`` answers once, in place of systemd's."""
    path = folder / "private"
    monkeypatch.setattr(systemd, "SOCKET", str(path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                reply(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_answers_are_read_in_any_order_and_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = list(VALUES)
    messages = [answer(order.index(name) + 1, value) for name, value in reversed(VALUES.items())]
    signal = answer(0, b"", kind=4)

    def reply(connection: socket.socket) -> None:
        for byte in GREETING + signal + b"".join(messages):
            connection.sendall(bytes((byte,)))
        while connection.recv(4096):
            pass

    with manager(monkeypatch, tmp_path, reply):
        assert systemd.properties(["rsyslog.service"]) == [
            {
                "LoadState": "loaded",
                "ActiveState": "active",
                "SubState": "running",
                "UnitFileState": "enabled",
                "InvocationID": b"\xab\xcd",
                "ConditionResult": True,
                "ConditionTimestampMonotonic": 42,
                "StateChangeTimestamp": 1795305599250000,
                "Type": "notify",
                "RemainAfterExit": False,
            }
        ]


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"REJECTED EXTERNAL\r\n",
        GREETING,
        GREETING + b"B" + bytes(15),
        GREETING + answer(1, text("no such unit"), kind=3),
        GREETING + answer(1, b"\x01d\0\0\0\0\0\0" + bytes(8)),
        GREETING + answer(1, text("loaded"))[:-4],
        GREETING + answer(0, text("loaded")),
        GREETING + answer(99, text("loaded")),
    ],
)
def test_what_is_not_as_expected_is_refused(words: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(connection: socket.socket) -> None:
        connection.sendall(words)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass

    with manager(monkeypatch, tmp_path, reply), pytest.raises(systemd.UnavailableError):
        systemd.properties(["rsyslog.service"])


def test_a_host_without_that_socket_is_no_surprise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "SOCKET", str(tmp_path / "nothing"))
    with pytest.raises(systemd.UnavailableError):
        systemd.properties(["rsyslog.service"])
