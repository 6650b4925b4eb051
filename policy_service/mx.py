"""One question of the DNS: where does a domain take its mail (RFC 1035, RFC 5321 §5.1)? Messages only, pure.

Who is asked is a resolver that validates and caches (unbound on the same host), so this reads the answer section and
nothing else. It is small because it stands in the queue manager's way: a general library takes a millisecond a message.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MX, OPT, IN = 15, 41, 1
NO_ERROR, NAME_ERROR = 0, 3

#: What a resolver may send over UDP (DNS flag day 2020).
LARGEST_ANSWER = 1232

_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
#: Compression pointers that one name may follow.
_MOST_JUMPS = 20


class MessageError(Exception):
    """What came is no answer of the DNS."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``exchanges`` are (preference, host), hosts in lower case and without the last dot; "" is the root."""

    number: int
    domain: str
    code: int
    exchanges: tuple[tuple[int, str], ...]
    ttl: int


def query(number: int, domain: str) -> bytes | None:
    """The question for ``domain``, or None where it cannot be asked: it is no host name of ASCII labels."""
    labels = domain.rstrip(".").encode("ascii", "replace").split(b".")
    if len(domain) > 253 or not all(1 <= len(label) <= 63 and b"?" not in label for label in labels):
        return None
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    header = _HEADER.pack(number, 0x0100, 1, 0, 0, 1)
    options = b"\0" + _RECORD.pack(OPT, LARGEST_ANSWER, 0, 0)
    return header + name + struct.pack("!HH", MX, IN) + options


def parse(data: bytes) -> Reply:
    """Read an answer. Raise MessageError where it is none."""
    try:
        return _parse(data)
    except (struct.error, IndexError) as error:
        raise MessageError(f"an answer of {len(data)} bytes ends too soon") from error


def _parse(data: bytes) -> Reply:
    number, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
    if not flags & 0x8000 or questions != 1:
        raise MessageError("not an answer to one question")
    domain, position = _name(data, _HEADER.size)
    position += 4
    exchanges, ttl = [], 0x7FFFFFFF
    for _ in range(answers):
        if position == len(data) and flags & 0x0200:
            break  # truncated: what is there is enough to know the provider by
        _, position = _name(data, position)
        kind, _, lives, length = _RECORD.unpack_from(data, position)
        position += _RECORD.size
        if kind == MX:
            (preference,) = struct.unpack_from("!H", data, position)
            exchanges.append((preference, _name(data, position + 2)[0]))
            ttl = min(ttl, lives)
        position += length
    return Reply(number, domain, flags & 0x000F, tuple(sorted(exchanges)), ttl if exchanges else 0)


def _name(data: bytes, position: int) -> tuple[str, int]:
    """The name at ``position``, and where what follows it begins."""
    labels: list[str] = []
    after, jumps, length = -1, 0, 0
    while True:
        size = data[position]
        if size >= 0xC0:
            after = position + 2 if after < 0 else after
            position = (size & 0x3F) << 8 | data[position + 1]
            jumps += 1
        elif size >= 0x40:
            raise MessageError("a label of an unknown kind")
        elif size == 0:
            return ".".join(labels), after if after >= 0 else position + 1
        else:
            label = data[position + 1 : position + 1 + size]
            labels.append(label.decode("latin-1").lower())
            position += 1 + size
            length += 1 + size
        if jumps > _MOST_JUMPS or length > 255:
            raise MessageError("a name without end")
