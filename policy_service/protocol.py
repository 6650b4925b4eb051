"""The policy-delegation protocol of Postfix (SMTPD_POLICY_README): requests out of a stream of bytes. Pure.

A request is a list of ``name=value`` lines and an empty line. The order of attributes is not fixed, unknown ones are
ignored, a missing one is the same as an empty one, and of duplicates the first counts. Only what a rule asks for is
looked up, straight in the bytes: a dictionary of all 29 attributes would cost more than the decision.
"""

from __future__ import annotations

#: A request of Postfix has under 4 KiB; a sender and a recipient of 64 KiB each are beyond any protocol limit.
LARGEST_REQUEST = 65536

#: The only value of ``request`` that Postfix has.
POLICY_REQUEST = b"smtpd_access_policy"


class ProtocolError(Exception):
    """A peer sent more than a request may have without ending it."""


def value_of(block: bytes, prefix: bytes) -> bytes:
    """The value behind ``prefix`` (line feed, name, equals sign) in a framed request, empty when it is missing."""
    start = block.find(prefix)
    if start < 0:
        return b""
    start += len(prefix)
    return block[start : block.index(10, start)]


class Request:
    """One request. Values are bytes as they came: they are whatever the client said.

    ``block`` is the request *framed*: a line feed before and after makes every attribute stand between two.
    """

    __slots__ = ("block",)

    def __init__(self, attributes: bytes) -> None:
        self.block = b"\n" + attributes + b"\n"

    @classmethod
    def framed(cls, block: bytes) -> Request:
        """A request whose block is framed already."""
        request = cls.__new__(cls)
        request.block = block
        return request

    def get(self, name: bytes) -> bytes:
        """The value of attribute ``name``, empty when it is missing."""
        return value_of(self.block, b"\n" + name + b"=")

    def text(self, name: bytes) -> str:
        """The value as text; bytes that are no UTF-8 stay distinguishable."""
        return self.get(name).decode("utf-8", "surrogateescape")

    def number(self, name: bytes) -> int:
        """The value as a number, 0 when it is missing or none."""
        value = self.get(name)
        return int(value) if value.isdigit() and len(value) < 16 else 0


class RequestParser:
    """Cuts a stream into requests. Raises ``ProtocolError`` when one grows past ``LARGEST_REQUEST``."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """The requests that ``data`` completes, in order."""
        scanned = len(self._buffer)
        if scanned:
            data = self._buffer + data
        requests = []
        start = 0
        # An end that began in the last byte of the buffer is found, and nothing is scanned twice.
        end = data.find(b"\n\n", max(scanned - 1, 0))
        while end >= 0 or data.startswith(b"\n", start):
            if data.startswith(b"\n", start):
                # An empty line with no attribute before it.
                requests.append(Request(b""))
                start += 1
            else:
                requests.append(Request(data[start:end]))
                start = end + 2
            end = data.find(b"\n\n", start)
        self._buffer = data[start:]
        if len(self._buffer) > LARGEST_REQUEST:
            self._buffer = b""
            raise ProtocolError(f"a request passed {LARGEST_REQUEST} bytes without an empty line")
        return requests

    @property
    def pending(self) -> int:
        """Bytes of a request that has not ended."""
        return len(self._buffer)


def reply(action: str) -> bytes:
    """The reply that carries ``action``: one line, whatever is in it."""
    line = "".join(character if character.isprintable() else "?" for character in action)
    return b"action=" + line.encode("ascii", "replace") + b"\n\n"
