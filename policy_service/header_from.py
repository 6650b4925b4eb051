"""Who a message says it is from: the originator fields (RFC 5322 §3.6.2), read so that no reader can differ. Pure.

The rule: exactly one ``From``; every address in it, and in ``Sender``, ``Resent-From`` and ``Resent-Sender`` where they
stand, belongs to the credential. Mail programs disagree about malformed fields, and whoever wants to show another
domain's name lives on the disagreement. So what RFC 5322 calls obsolete (routes, white space within an address, empty
list elements), group syntax, address literals and quoted local parts are refused, not interpreted: no application needs
them, and a refusal is heard while a misreading is not.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Callable, Iterable

LONGEST = 16384
DEEPEST_COMMENT = 10

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_ADDRESS = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
#: Words of a display name: atoms, with dots as people write them, and letters beyond ASCII (RFC 6532).
_WORD = re.compile(rf"[{_ATEXT}.\u00a1-\U0010ffff]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ENCODED = re.compile(r"=\?([A-Za-z0-9_-]+)(?:\*[A-Za-z-]+)?\?([QqBb])\?([!->@-~]*)\?=")
_FOLD = re.compile(r"\r?\n(?=[ \t])")


class UnclearError(Exception):
    """The field cannot be read in one way only; the text says what is wrong with it."""


def addresses(value: bytes) -> list[str]:
    """Given the value of an originator field, return each of its addresses, in lower case.

    Raise UnclearError where the value is anything but a plain list of mailboxes.
    """
    if len(value) > LONGEST:
        raise UnclearError(f"it is longer than {LONGEST} bytes")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise UnclearError("it holds bytes that are not UTF-8") from None
    text = _FOLD.sub("", text)
    if any(_control(character) for character in text):
        raise UnclearError("it holds a control character")
    return _Reader(text).mailboxes()


def objection(headers: Iterable[tuple[bytes, bytes]], may_use: Callable[[str], bool], owner: str) -> str | None:
    """Given all header fields, return why the message may not go out as ``owner``'s, or None when it may."""
    fields: dict[bytes, list[bytes]] = {b"from": [], b"sender": [], b"resent-from": [], b"resent-sender": []}
    for name, value in headers:
        # Whatever stands around the letters: a reader may pass over it, and see the name.
        plain = bytes(byte for byte in name.lower() if byte == 0x2D or 0x61 <= byte <= 0x7A)
        if plain in fields:
            fields[plain].append(value)
    if len(fields[b"from"]) != 1:
        return f"The message has {len(fields[b'from'])} From fields; it must have exactly one"
    if len(fields[b"sender"]) > 1:
        return f"The message has {len(fields[b'sender'])} Sender fields; it may have one"
    for name, values in fields.items():
        title = name.decode("ascii").title()
        for value in values:
            if text := _field_objection(title, value, may_use, owner):
                return text
    return None


def _field_objection(title: str, value: bytes, may_use: Callable[[str], bool], owner: str) -> str | None:
    try:
        found = addresses(value)
    except UnclearError as error:
        return f"The {title} field is not a plain address such as Name <local@domain>: {error}"
    if title != "From" and len(found) != 1 and title.endswith("Sender"):
        return f"The {title} field has {len(found)} addresses; it may have one"
    for address in found:
        if not may_use(address):
            return f"Credential {owner} may not use {address} in the {title} field"
    return None


class _Reader:
    """A cursor over the unfolded value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def mailboxes(self) -> list[str]:
        found = [self._mailbox()]
        while self._peek() == ",":
            self._at += 1
            found.append(self._mailbox())
        if self._at < len(self._text):
            raise UnclearError(f"{self._peek()!r} stands where an address has ended")
        return found

    def _mailbox(self) -> str:
        """``local@domain`` or ``Display Name <local@domain>``; returns the address."""
        self._skip()
        start = self._at
        match = _ADDRESS.match(self._text, self._at)
        if match:
            self._at = match.end()
            self._skip()
            if self._peek() in ("", ","):
                return self._address(match)
            self._at = start
        self._display_name()
        if self._peek() != "<":
            raise UnclearError(
                "it has no address" if not self._peek() else f"{self._peek()!r} stands in a name unquoted"
            )
        self._at += 1
        match = _ADDRESS.match(self._text, self._at)
        if not match or not self._text.startswith(">", match.end()):
            raise UnclearError("between < and > stands no plain local@domain")
        self._at = match.end() + 1
        self._skip()
        return self._address(match)

    def _display_name(self) -> None:
        while True:
            self._skip()
            if self._peek() == '"':
                match = _QUOTED.match(self._text, self._at)
                if not match:
                    raise UnclearError("a quotation mark is not closed")
                _look_into(match[1])
            else:
                match = _WORD.match(self._text, self._at)
                if not match:
                    return
                _look_into(match[0])
            self._at = match.end()

    def _skip(self) -> None:
        """Pass white space and comments."""
        while self._peek() in (" ", "\t", "("):
            if self._peek() == "(":
                self._comment()
            else:
                self._at += 1

    def _comment(self) -> None:
        start, depth = self._at, 0
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == "\\":
                self._at += 1
            elif character == "(":
                depth += 1
                if depth > DEEPEST_COMMENT:
                    raise UnclearError("comments are nested too deeply")
            elif character == ")":
                depth -= 1
                if depth == 0:
                    self._at += 1
                    _look_into(self._text[start : self._at])
                    return
            self._at += 1
        raise UnclearError("a comment is not closed")

    def _address(self, match: re.Match[str]) -> str:
        if "=?" in match[0]:
            raise UnclearError("an address is written as an encoded word")
        if len(match[0]) > 320 or any(label.startswith("-") or label.endswith("-") for label in match[1].split(".")):
            raise UnclearError("an address has no proper domain")
        return match[0].lower()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]


def _look_into(text: str) -> None:
    """Refuse encoded words (RFC 2047) that hide an address's brackets, or that only some readers can decode."""
    for charset, encoding, content in _ENCODED.findall(text):
        try:
            raw = (
                base64.b64decode(content, validate=True)
                if encoding in "Bb"
                else quopri.decodestring(content.encode("ascii"), header=True)
            )
            decoded = raw.decode(charset)
        except (binascii.Error, UnicodeDecodeError, LookupError):
            raise UnclearError("an encoded word cannot be decoded") from None
        if any(character in "<>" or _control(character) for character in decoded):
            raise UnclearError("an encoded word hides a bracket or a control character")
    if "=?" in _ENCODED.sub("", text):
        raise UnclearError("an encoded word is malformed")


def _control(character: str) -> bool:
    """Control characters but for the tab, and the marks that turn the direction of writing."""
    return (character < " " and character != "\t") or "\x7f" <= character <= "\x9f" or character in _DIRECTIONS


_DIRECTIONS = "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
