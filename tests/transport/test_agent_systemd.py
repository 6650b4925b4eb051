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


def answer(serial: int, body: bytes, *, kind: int = 2) -> bytes:
    """A message as systemd sends it: reply serial, then signature, then a value or the list of units."""
    fields = bytes((5, 1)) + b"u\0" + struct.pack("<I", serial) + bytes((8, 1)) + b"g\0" + b"\x01v\0"
    head = struct.pack("<4BIII", ord("l"), kind, 1, 1, len(body), 77, len(fields))
    return head + fields + bytes(-len(fields) % 8) + body


def listed(*units: tuple[str, str, str]) -> bytes:
    """The manager's list: load, active and sub state of each unit among nine texts and a number."""
    content = b""
    for load, active, sub in units:
        content += bytes(-len(content) % 8)
        for word in ("x.service", "Description", load, active, sub, "", "/path", 7, "", "/"):
            content += bytes(-len(content) % 4)
            number = word if isinstance(word, int) else len(word)
            content += struct.pack("<I", number) + (b"" if isinstance(word, int) else word.encode() + b"\0")
    return struct.pack("<II", len(content), 0) + content


def text(value: str) -> bytes:
    return b"\x01s\0\0" + struct.pack("<I", len(value)) + value.encode() + b"\0"


VALUES = {
    "UnitFileState": text("enabled"),
    "InvocationID": b"\x02ay\0" + struct.pack("<I", 2) + b"\xab\xcd",
    "StateChangeTimestamp": b"\x01t\0\0\0\0\0\0" + struct.pack("<Q", 1795305599250000),
    "Type": text("notify"),
}
IDLE = {
    "ConditionResult": b"\x01b\0\0" + struct.pack("<I", 1),
    "ConditionTimestampMonotonic": b"\x01t\0\0\0\0\0\0" + struct.pack("<Q", 42),
    "RemainAfterExit": b"\x01b\0\0" + struct.pack("<I", 0),
}
LIST = listed(("loaded", "active", "running"))
#: All answers for one active unit.
SOUND = b"".join(answer(serial, body) for serial, body in enumerate((LIST, *VALUES.values()), start=1))
UNIT = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "InvocationID": b"\xab\xcd",
    "StateChangeTimestamp": 1795305599250000,
    "Type": "notify",
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
    bodies = [listed(("loaded", "active", "running")), *VALUES.values()]
    messages = [answer(serial, body) for serial, body in reversed(list(enumerate(bodies, start=1)))]
    signal = answer(0, b"", kind=4)

    def reply(connection: socket.socket) -> None:
        for byte in GREETING + signal + b"".join(messages):
            connection.sendall(bytes((byte,)))
        while connection.recv(4096):
            pass

    with manager(monkeypatch, tmp_path, reply):
        assert systemd.properties(["rsyslog.service"]) == [{**UNIT, "ActiveState": "active", "SubState": "running"}]


def test_units_that_are_not_active_are_asked_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [
        listed(("loaded", "active", "running"), ("loaded", "inactive", "dead")),
        *VALUES.values(),
        *VALUES.values(),
    ]
    bodies = [*first, *IDLE.values()]

    def reply(connection: socket.socket) -> None:
        connection.sendall(GREETING + b"".join(answer(number, body) for number, body in enumerate(bodies, start=1)))
        while connection.recv(4096):
            pass

    with manager(monkeypatch, tmp_path, reply):
        running, idle = systemd.properties(["rsyslog.service", "chrony.service"])
    assert running == {**UNIT, "ActiveState": "active", "SubState": "running"}
    reasons = {"ConditionResult": True, "ConditionTimestampMonotonic": 42, "RemainAfterExit": False}
    assert idle == {**UNIT, **reasons, "ActiveState": "inactive", "SubState": "dead"}


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"REJECTED EXTERNAL\r\n",
        GREETING,
        GREETING + b"B" + bytes(15),
        GREETING + answer(1, text("no such unit"), kind=3),
        GREETING + SOUND[:-4],
        GREETING + answer(0, text("loaded")),
        GREETING + answer(99, text("loaded")),
        GREETING + SOUND.replace(VALUES["Type"], b"\x01d\0\0\0\0\0\0" + bytes(7)),
        GREETING + answer(1, listed()) + SOUND[len(answer(1, LIST)) :],
        GREETING + answer(1, LIST[:-12]) + SOUND[len(answer(1, LIST)) :],
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
