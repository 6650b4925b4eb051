"""Postfix's socketmap protocol (socketmap_table(5)): netstrings of ``MAP KEY``, one netstring back for each. Pure."""

from __future__ import annotations

#: Postfix sends nothing longer than a map name and an address; it reads answers up to 100,000 bytes.
LARGEST_REQUEST = 10000

NOT_FOUND = b"NOTFOUND "


class NetstringError(Exception):
    """What came is no netstring, or too long a one."""


class NetstringParser:
    """Cuts a stream into the contents of its netstrings."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The contents that ``data`` completes. Raise NetstringError on anything else."""
        self._buffer += data
        found = []
        while (text := self._next()) is not None:
            found.append(text)
        return found

    def _next(self) -> bytes | None:
        digits, colon, _ = self._buffer[:8].partition(b":")
        if not colon:
            if len(self._buffer) >= 8 or (digits and not digits.isdigit()):
                raise NetstringError(f"{self._buffer[:20]!r} does not begin with a length")
            return None
        if not digits.isdigit() or int(digits) > LARGEST_REQUEST:
            raise NetstringError(f"length {digits!r} is not a number up to {LARGEST_REQUEST}")
        start = len(digits) + 1
        end = start + int(digits)
        if len(self._buffer) <= end:
            return None
        if self._buffer[end : end + 1] != b",":
            raise NetstringError("a netstring does not end with a comma")
        text, self._buffer = self._buffer[start:end], self._buffer[end + 1 :]
        return text


def netstring(text: bytes) -> bytes:
    """``text`` as a netstring."""
    return b"%d:%s," % (len(text), text)
