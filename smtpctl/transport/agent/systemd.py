"""Properties of units, asked of systemd itself over D-Bus; one exchange for all of them. Read-only.

``systemctl show`` has systemd write down everything that it knows of a unit, some 300 properties, and throws all but a
few away: for the units of a host that takes longer than all else that a plan does there. This asks for the few, at the
socket that systemctl uses as root, by the D-Bus specification (messages: little endian, protocol version 1) and
org.freedesktop.systemd1(5). Whatever is not as expected there raises ``UnavailableError``, and systemctl is asked.
"""

from __future__ import annotations

import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOCKET = "/run/systemd/private"

#: Seconds that systemd may take for an answer; it may be busy reading its units again.
PATIENCE = 30.0

UNIT = "org.freedesktop.systemd1.Unit"
SERVICE = "org.freedesktop.systemd1.Service"

#: Property -> the interface that has it.
INTERFACES = {
    "LoadState": UNIT,
    "ActiveState": UNIT,
    "SubState": UNIT,
    "UnitFileState": UNIT,
    "InvocationID": UNIT,
    "ConditionResult": UNIT,
    "ConditionTimestampMonotonic": UNIT,
    "StateChangeTimestamp": UNIT,
    "Type": SERVICE,
    "RemainAfterExit": SERVICE,
}

#: A property's value: text, a flag, microseconds, or the bytes of an id.
Value = str | bool | int | bytes

_HEAD = struct.Struct("<4BIII")
_CALL, _ANSWER, _ERROR = 1, 2, 3
_ANSWERED, _SIGNATURE = 5, 8


class UnavailableError(Exception):
    """systemd does not answer here as its documentation says."""


def properties(units: Sequence[str]) -> list[dict[str, Value]]:
    """Those of ``INTERFACES`` that each unit has, in the order of ``units``."""
    wanted = [
        (number, name, _call(unit, interface, name))
        for number, unit in enumerate(units)
        for name, interface in INTERFACES.items()
        if interface == UNIT or unit.endswith(".service")
    ]
    calls = [_frame(serial, call) for serial, (_, _, call) in enumerate(wanted, start=1)]
    found: list[dict[str, Value]] = [{} for _ in units]
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(SOCKET)
            # SASL's EXTERNAL as user 0, in hexadecimal digits of text; the calls need not wait for its OK.
            connection.sendall(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + b"".join(calls))
            for serial, value in _answers(connection, len(calls)):
                number, name, _ = wanted[serial - 1]
                found[number][name] = value
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise UnavailableError(f"systemd: {error}") from error
    return found


def _call(unit: str, interface: str, name: str) -> tuple[bytes, bytes]:
    """Header fields and body of ``Properties.Get``."""
    label = "".join(letter if letter.isascii() and letter.isalnum() else _escaped(letter) for letter in unit)
    fields = [
        (1, b"o", _text(f"/org/freedesktop/systemd1/unit/{label}")),
        (2, b"s", _text("org.freedesktop.DBus.Properties")),
        (3, b"s", _text("Get")),
        (_SIGNATURE, b"g", b"\x02ss\0"),
    ]
    header = b""
    for code, signature, value in fields:
        header = _padded(header, 8) + bytes((code, 1)) + signature + b"\0" + value
    return header, _padded(_text(interface), 4) + _text(name)


def _frame(serial: int, call: tuple[bytes, bytes]) -> bytes:
    header, body = call
    return _padded(_HEAD.pack(ord("l"), _CALL, 0, 1, len(body), serial, len(header)) + header, 8) + body


def _escaped(letter: str) -> str:
    """As sd_bus_path_encode(3) does it."""
    return "".join(f"_{byte:02x}" for byte in letter.encode())


def _text(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<I", len(content)) + content + b"\0"


def _padded(content: bytes, to: int) -> bytes:
    return content + bytes(-len(content) % to)


def _answers(connection: socket.socket, count: int) -> Iterator[tuple[int, Value]]:
    """Serial of the call and value of each of ``count`` answers; systemd may say other things in between."""
    line, _, buffer = _first_line(connection)
    if not line.startswith(b"OK "):
        raise ValueError(f"it refuses: {line!r}")
    while count:
        while len(buffer) < _HEAD.size or len(buffer) < (size := _size(buffer)):
            buffer += _more(connection)
        message, buffer = buffer[:size], buffer[size:]
        if message[1] == _ERROR:
            raise ValueError(f"an error: {message[_HEAD.size :]!r}")
        if message[1] == _ANSWER:
            count -= 1
            yield _answer(message)


def _first_line(connection: socket.socket) -> tuple[bytes, bytes, bytes]:
    buffer = b""
    while b"\r\n" not in buffer:
        buffer += _more(connection)
    return buffer.partition(b"\r\n")


def _more(connection: socket.socket) -> bytes:
    content = connection.recv(1 << 16)
    if not content:
        raise ValueError("it hung up")
    return content


def _size(buffer: bytes) -> int:
    """Bytes of the message that ``buffer`` begins with: head, fields to the next eight, body."""
    order, _, _, _, body, _, fields = _HEAD.unpack_from(buffer)
    if order != ord("l"):
        raise ValueError("it speaks with the other end first")
    return int(_HEAD.size + fields + -fields % 8 + body)


def _answer(message: bytes) -> tuple[int, Value]:
    _, _, _, _, size, _, _ = _HEAD.unpack_from(message)
    body = message[len(message) - size :]
    place, serial = _HEAD.size, 0
    while place < len(message) - size and not serial:
        # Each field is a structure on a boundary of eight: a code, and a variant whose signature is one letter.
        place += -place % 8
        code, signature = message[place], message[place + 2 : place + 3]
        place += 4
        if code == _ANSWERED:
            (serial,) = struct.unpack_from("<I", message, place)
        elif signature == b"u":
            place += 4
        elif signature == b"g":
            place += 2 + message[place]
        else:
            place += 5 + struct.unpack_from("<I", message, place)[0]
    if not serial:
        raise ValueError("an answer to nothing")
    return serial, _value(body)


def _value(body: bytes) -> Value:
    """The variant that a property comes in."""
    kind = body[1 : 1 + body[0]]
    if kind == b"s":
        (size,) = struct.unpack_from("<I", body, 4)
        return body[8 : 8 + size].decode()
    if kind == b"b":
        return bool(struct.unpack_from("<I", body, 4)[0])
    if kind == b"t":
        return int(struct.unpack_from("<Q", body, 8)[0])
    if kind == b"ay":
        (size,) = struct.unpack_from("<I", body, 4)
        return body[8 : 8 + size]
    raise ValueError(f"a value of the kind {kind!r}")
