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
    from collections.abc import Iterable, Mapping, Sequence

SOCKET = "/run/systemd/private"

#: Seconds that systemd may take for an answer; it may be busy reading its units again.
PATIENCE = 30.0

MANAGER = "org.freedesktop.systemd1.Manager"
UNIT = "org.freedesktop.systemd1.Unit"
SERVICE = "org.freedesktop.systemd1.Service"

#: What one answer of the manager says of all units, with its place among the texts there.
LISTED = {"LoadState": 2, "ActiveState": 3, "SubState": 4}

#: Property -> the interface that has it: asked of every unit, and of those that are not active, to see why.
ALWAYS = {"UnitFileState": UNIT, "InvocationID": UNIT, "StateChangeTimestamp": UNIT, "Type": SERVICE}
IDLE = {"ConditionResult": UNIT, "ConditionTimestampMonotonic": UNIT, "RemainAfterExit": SERVICE}

#: A property's value: text, a flag, microseconds, or the bytes of an id.
Value = str | bool | int | bytes

_HEAD = struct.Struct("<4BIII")
_NUMBER = struct.Struct("<I")
_CALL, _ANSWER, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ANSWERED, _SIGNATURE = 1, 2, 3, 5, 8


class UnavailableError(Exception):
    """systemd does not answer here as its documentation says."""


def properties(units: Sequence[str]) -> list[dict[str, Value]]:
    """What ``LISTED``, ``ALWAYS`` and, of one that is not active, ``IDLE`` name of each unit, in their order."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(SOCKET)
            return _found(_Bus(connection), units)
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise UnavailableError(f"systemd: {error}") from error


def _found(bus: _Bus, units: Sequence[str]) -> list[dict[str, Value]]:
    first = [(_LIST, b"/org/freedesktop/systemd1", _names(units)), *_gets(units, ALWAYS)]
    listed, *values = bus.ask(first)
    found = _listed(listed)
    if len(found) != len(units):
        raise ValueError(f"{len(found)} units for {len(units)}")
    _note(found, units, ALWAYS, values)
    idle = {unit: known for unit, known in zip(units, found, strict=True) if known["ActiveState"] != "active"}
    if idle:
        _note(list(idle.values()), list(idle), IDLE, bus.ask(_gets(list(idle), IDLE)))
    return found


def _gets(units: Sequence[str], interfaces: Mapping[str, str]) -> list[tuple[bytes, bytes, bytes]]:
    """Calls for the properties of ``interfaces``, of each unit those that it has."""
    bodies = {name: _padded(_text(interface), 4) + _text(name) for name, interface in interfaces.items()}
    return [(_GET, _path(unit), bodies[name]) for unit in units for name in _had(unit, interfaces)]


def _note(
    found: Sequence[dict[str, Value]], units: Sequence[str], interfaces: Mapping[str, str], bodies: Iterable[bytes]
) -> None:
    """Put the answers to ``_gets`` in their places."""
    values = map(_value, bodies)
    for known, unit in zip(found, units, strict=True):
        for name in _had(unit, interfaces):
            known[name] = next(values)


def _had(unit: str, interfaces: Mapping[str, str]) -> list[str]:
    return [name for name, interface in interfaces.items() if interface == UNIT or unit.endswith(".service")]


class _Bus:
    """Calls to systemd and their answers, over a connection that nobody else uses."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        # SASL's EXTERNAL as user 0, in hexadecimal digits of text; the first calls need not wait for its OK.
        self._due = b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n"
        self._buffer: bytes | None = None
        self._serial = 0

    def ask(self, calls: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
        """The bodies of the answers to ``calls`` (constant fields, path, body), in their order. systemd may answer in
        any, and say other things in between."""
        first = self._serial + 1
        self._serial += len(calls)
        messages = (_message(number, *call) for number, call in enumerate(calls, start=first))
        self._connection.sendall(self._due + b"".join(messages))
        self._due = b""
        found: dict[int, bytes] = {}
        while len(found) < len(calls):
            message = self._next()
            if message[1] == _ERROR:
                raise ValueError(f"an error: {message[_HEAD.size :]!r}")
            if message[1] == _ANSWER:
                serial, body = _answer(message)
                found[serial] = body
        return [found[number] for number in range(first, self._serial + 1)]

    def _next(self) -> bytes:
        buffer = self._greeted() if self._buffer is None else self._buffer
        while len(buffer) < _HEAD.size or len(buffer) < (size := _size(buffer)):
            buffer += self._more()
        self._buffer = buffer[size:]
        return buffer[:size]

    def _greeted(self) -> bytes:
        buffer = b""
        while b"\r\n" not in buffer:
            buffer += self._more()
        line, _, rest = buffer.partition(b"\r\n")
        if not line.startswith(b"OK "):
            raise ValueError(f"it refuses: {line!r}")
        return rest

    def _more(self) -> bytes:
        content = self._connection.recv(1 << 16)
        if not content:
            raise ValueError("it hung up")
        return content


def _message(serial: int, constant: bytes, path: bytes, body: bytes) -> bytes:
    header = constant + bytes((_PATH, 1)) + b"o\0" + _NUMBER.pack(len(path)) + path + b"\0"
    return _padded(_HEAD.pack(ord("l"), _CALL, 0, 1, len(body), serial, len(header)) + header, 8) + body


def _constant(interface: str, member: str, signature: bytes) -> bytes:
    """The fields that all calls of a kind have."""
    fields = _padded(bytes((_INTERFACE, 1)) + b"s\0" + _text(interface), 8)
    fields = _padded(fields + bytes((_MEMBER, 1)) + b"s\0" + _text(member), 8)
    return _padded(fields + bytes((_SIGNATURE, 1)) + b"g\0" + bytes((len(signature),)) + signature + b"\0", 8)


def _path(unit: str) -> bytes:
    """The object of a unit, its name as sd_bus_path_encode(3) writes it."""
    letters = (letter if letter.isascii() and letter.isalnum() else _escaped(letter) for letter in unit)
    return f"/org/freedesktop/systemd1/unit/{''.join(letters)}".encode()


def _escaped(letter: str) -> str:
    return "".join(f"_{byte:02x}" for byte in letter.encode())


def _names(units: Sequence[str]) -> bytes:
    """An array of texts."""
    content = b""
    for unit in units:
        content = _padded(content, 4) + _text(unit)
    return _NUMBER.pack(len(content)) + content


def _text(text: str) -> bytes:
    content = text.encode()
    return _NUMBER.pack(len(content)) + content + b"\0"


def _padded(content: bytes, to: int) -> bytes:
    return content + bytes(-len(content) % to)


_GET = _constant("org.freedesktop.DBus.Properties", "Get", b"ss")
_LIST = _constant(MANAGER, "ListUnitsByNames", b"as")


def _size(buffer: bytes) -> int:
    """Bytes of the message that ``buffer`` begins with: head, fields to the next eight, body."""
    order, _, _, _, body, _, fields = _HEAD.unpack_from(buffer)
    if order != ord("l"):
        raise ValueError("it speaks with the other end first")
    return int(_HEAD.size + fields + -fields % 8 + body)


def _answer(message: bytes) -> tuple[int, bytes]:
    """The serial of the call that ``message`` answers, and its body."""
    size = _HEAD.unpack_from(message)[4]
    place, serial = _HEAD.size, 0
    while place < len(message) - size and not serial:
        # Each field is a structure on a boundary of eight: a code, and a variant whose signature is one letter.
        place += -place % 8
        code, signature = message[place], message[place + 2 : place + 3]
        place += 4
        if code == _ANSWERED:
            (serial,) = _NUMBER.unpack_from(message, place)
        elif signature == b"u":
            place += 4
        elif signature == b"g":
            place += 2 + message[place]
        else:
            place += 5 + _NUMBER.unpack_from(message, place)[0]
    if not serial:
        raise ValueError("an answer to nothing")
    return serial, message[len(message) - size :]


def _listed(body: bytes) -> list[dict[str, Value]]:
    """What the manager lists of each unit: an array of structures, each of ten texts but for one number."""
    found: list[dict[str, Value]] = []
    place = 8
    while place < len(body):
        place += -place % 8
        texts: list[bytes] = []
        for kind in "ssssssouso":
            place += -place % 4
            (number,) = _NUMBER.unpack_from(body, place)
            place += 4
            if kind != "u":
                texts.append(body[place : place + number])
                place += number + 1
        found.append({name: texts[index].decode() for name, index in LISTED.items()})
    return found


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
