"""The milter protocol, version 6, as far as a filter needs it that looks at the header and changes nothing. Pure.

Packets are a length (32 bits), a command letter and its data. The filter asks the MTA to leave out what it does not
look at, and not to wait for answers in between; what an older MTA sends all the same is answered with "continue". The
reference is libmilter's ``mfdef.h`` and Postfix's ``milter8.c``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

#: Postfix's header_size_limit is 100 KiB for a whole header; a packet or header past this is no mail.
LARGEST_PACKET = 1 << 20
LARGEST_HEADER = 1 << 22

VERSION = 6

# Steps left out (SMFIP_NO...): connect, helo, rcpt, body, end of header, unknown command, data.
_SKIPPED = {b"C": 0x01, b"H": 0x02, b"R": 0x08, b"B": 0x10, b"N": 0x40, b"U": 0x100, b"T": 0x200}
# Steps without an answer (SMFIP_NR_...): header, mail, and the above where they are sent all the same.
_UNANSWERED = {
    b"L": 0x80,
    b"C": 0x1000,
    b"H": 0x2000,
    b"M": 0x4000,
    b"R": 0x8000,
    b"T": 0x10000,
    b"U": 0x20000,
    b"N": 0x40000,
    b"B": 0x80000,
}
_WANTED = sum(_SKIPPED.values()) | 0x80 | 0x4000

CONTINUE = b"c"
#: SMFIF_QUARANTINE: this filter may put a message on hold.
_ACTIONS = 0x20
TEMPFAIL = b"t"


class MilterError(Exception):
    """The peer broke the protocol; the connection is of no more use."""


def refusal(text: str) -> bytes:
    """The answer that makes the MTA say ``text``, a reply code with its words."""
    # The MTA takes % as a directive.
    clean = "".join(character if character.isprintable() else "?" for character in text.replace("%", ""))
    return b"y" + clean.encode("ascii", "replace")[:900] + b"\0"


def hold(text: str) -> bytes:
    """The answer that makes the MTA accept the message and put it on hold, with ``text`` in its log."""
    return b"q" + text.encode("ascii", "replace")[:900] + b"\0"


Headers = list[tuple[bytes, bytes]]
#: Given the credential that signed in (empty when nobody did) and the header, the answer at the end of the message.
Decide = Callable[[str, Headers], bytes]


class Session:
    """One connection of an MTA: bytes in, bytes out."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._buffer = b""
        self._negotiated = 0
        self._credential = ""
        self._headers: Headers = []
        self._size = 0
        self.closed = False

    def feed(self, data: bytes) -> bytes:
        """The answers to ``data``. Raise MilterError when it is no milter protocol."""
        self._buffer += data
        answers = b""
        while len(self._buffer) >= 4 and not self.closed:
            (length,) = struct.unpack_from("!I", self._buffer)
            if not 1 <= length <= LARGEST_PACKET:
                raise MilterError(f"a packet of {length} bytes is not between 1 and {LARGEST_PACKET}")
            if len(self._buffer) < 4 + length:
                break
            packet, self._buffer = self._buffer[4 : 4 + length], self._buffer[4 + length :]
            if answer := self._command(packet[:1], packet[1:]):
                answers += struct.pack("!I", len(answer)) + answer
                if answer[:1] == b"q":  # changes the message; the answer to it comes after
                    answers += struct.pack("!I", len(CONTINUE)) + CONTINUE
        return answers

    def _command(self, command: bytes, data: bytes) -> bytes:
        if command == b"O":
            return self._negotiate(data)
        if command == b"D":
            self._macros(data)
            return b""
        if command == b"E":
            return self._end()
        if command in (b"A", b"K"):
            self._forget()
            return b""
        if command == b"Q":
            self.closed = True
            return b""
        if command == b"M":
            self._headers, self._size = [], 0
        elif command == b"L":
            self._header(data)
        elif command not in _SKIPPED:
            raise MilterError(f"command {command!r} is not one of the protocol's")
        return b"" if self._negotiated & _UNANSWERED.get(command, 0) else CONTINUE

    def _negotiate(self, data: bytes) -> bytes:
        if len(data) < 12:
            raise MilterError("the negotiation is too short")
        version, actions, offered = struct.unpack_from("!III", data)
        self._negotiated = _WANTED & offered
        return b"O" + struct.pack("!III", min(version, VERSION), actions & _ACTIONS, self._negotiated)

    def _macros(self, data: bytes) -> None:
        """Remember who signed in: the macro comes with the envelope sender."""
        if data[:1] != b"M":
            return
        parts = data[1:].split(b"\0")
        values = dict(zip(parts[::2], parts[1::2], strict=False))
        self._credential = values.get(b"{auth_authen}", b"").decode("utf-8", "replace").lower()

    def _header(self, data: bytes) -> None:
        name, _, value = data.partition(b"\0")
        self._size += len(data)
        if self._size > LARGEST_HEADER:
            raise MilterError(f"the header is larger than {LARGEST_HEADER} bytes")
        self._headers.append((name, value.removesuffix(b"\0")))

    def _end(self) -> bytes:
        answer = self._decide(self._credential, self._headers)
        self._headers, self._size = [], 0
        return answer

    def _forget(self) -> None:
        self._headers, self._size, self._credential = [], 0, ""
