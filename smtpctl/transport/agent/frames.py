"""Messages over a byte stream: a length, then a zlib-compressed JSON header and raw blobs. Used on both ends."""

from __future__ import annotations

import json
import struct
import zlib

TYPE_CHECKING = False  # an agent starts sooner without typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

#: No message of ours comes near it, packed or unpacked; a larger one is noise from something that is not an agent, or a
#: host that means to fill the controller's memory.
LARGEST = 512 * 1024 * 1024

_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """The stream does not hold messages."""


class Message:
    """A header (JSON object) and the blobs that come with it."""

    __slots__ = ("blobs", "header")

    def __init__(self, header: dict[str, Any], blobs: tuple[bytes, ...] = ()) -> None:
        self.header = header
        self.blobs = blobs


def pack(header: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """The bytes of one message."""
    body = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}, separators=(",", ":")).encode()
    # Quickly: a network that would gain by more is slower than any that hosts of a fleet stand in.
    packed = zlib.compress(b"".join((_LENGTH.pack(len(body)), body, *blobs)), zlib.Z_BEST_SPEED)
    return _LENGTH.pack(len(packed)) + packed


def unpack(packed: bytes) -> Message:
    """The message in the bytes that follow a length."""
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(packed, LARGEST)
        if not unpacker.eof:
            raise FrameError("not a message: it is cut short, or unpacks to more than any message of ours")
        (size,) = _LENGTH.unpack_from(content)
        header = json.loads(content[4 : 4 + size])
        position, blobs = 4 + size, []
        for length in header.pop("blobs"):
            blobs.append(content[position : position + length])
            position += length
    except (zlib.error, struct.error, ValueError, KeyError) as error:
        raise FrameError(f"not a message: {error}") from error
    return Message(header, tuple(blobs))


def read(receive: Callable[[int], bytes]) -> Message | None:
    """The next message of a stream; None at its end. ``receive(n)`` returns 1 to n bytes, or none at the end.

    A length of zero is what a host says that has no agent of this version yet (``smtpctl.transport.bundle``).
    """
    head = _exactly(receive, _LENGTH.size)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    if length == 0:
        return Message({"answer": "agent wanted"})
    if length > LARGEST:
        raise FrameError(f"not a message: it begins with {head!r}")
    packed = _exactly(receive, length)
    if len(packed) < length:
        raise FrameError("the stream ended inside a message")
    return unpack(packed)


def _exactly(receive: Callable[[int], bytes], count: int) -> bytes:
    chunks: list[bytes] = []
    missing = count
    while missing:
        chunk = receive(missing)
        if not chunk:
            if missing == count:
                return b""
            raise FrameError("the stream ended inside a message")
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
