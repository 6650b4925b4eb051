"""A mail taken apart into its MIME parts (RFC 2045, RFC 2046), within bounds that the mail cannot move.

The standard library's ``email`` reads headers, parameters and transfer encodings. The tree of parts is cut here: the
library's parser recurses as deep and looks for as many boundaries as the mail asks for, so that a hostile mail decides
how long it takes. Here every byte is looked at once a level, to a fixed depth; what lies beyond a bound is not read.
Embedded messages (``message/rfc822``) stay closed: a bounce inside a bounce is not ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import collapse_rfc2231_value

from smtpctl.feedback.fields import one_line

#: Bytes of a mail that are read. A report stands before the mail that it returns, so the rest is never missed.
MAX_BYTES = 1024 * 1024
#: Bytes of one header block that are read.
MAX_HEADER_BYTES = 64 * 1024
#: Levels of multiparts inside multiparts. Mailing lists and scanners wrap a report once or twice.
MAX_DEPTH = 4
#: Parts of one multipart. A report has three.
MAX_PARTS = 20
#: Bytes of one part that are decoded.
MAX_TEXT_BYTES = 256 * 1024

_HEADERS = BytesHeaderParser(policy=compat32)


@dataclass(frozen=True, slots=True)
class Part:
    """One MIME entity: its headers, its body as it was sent, and its parts when it is a multipart."""

    headers: Message
    body: bytes
    parts: tuple[Part, ...] = ()

    @property
    def content_type(self) -> str:
        """``type/subtype`` in lower case; ``text/plain`` when it is missing or makes no sense (RFC 2045 §5.2)."""
        return self.headers.get_content_type()

    def header(self, name: str) -> str:
        """A header's value on one line, or an empty string."""
        value = self.headers.get(name)
        return "" if value is None else one_line(str(value))

    def parameter(self, name: str) -> str:
        """A parameter of Content-Type, or an empty string."""
        return _parameter(self.headers, name)

    def content(self) -> bytes:
        """The first ``MAX_TEXT_BYTES`` of the body without transfer encoding, as far as that is not damaged."""
        encoding = self.header("Content-Transfer-Encoding").lower()
        body = self.body[:MAX_TEXT_BYTES]
        if encoding not in ("base64", "quoted-printable"):
            return body
        carrier = Message(policy=compat32)
        carrier["Content-Transfer-Encoding"] = encoding
        carrier.set_payload(body.decode("ascii", "surrogateescape"))
        decoded = carrier.get_payload(decode=True)
        return decoded.replace(b"\r\n", b"\n") if isinstance(decoded, bytes) else body

    def text(self) -> str:
        """The content as UTF-8 (RFC 6533 §3), with U+FFFD where it is something else; field names are ASCII."""
        return self.content().decode("utf-8", "replace")

    def walk(self) -> Iterator[Part]:
        """This part, then all below it, in the order of the mail."""
        yield self
        for part in self.parts:
            yield from part.walk()


def read_message(raw: bytes) -> Part:
    """Given a mail as it came over the wire, return its tree of parts. Never raises because of what the mail holds."""
    return _read(_with_newlines(raw[:MAX_BYTES]).lstrip(b"\n"), MAX_DEPTH)


def read_headers(raw: bytes) -> Part:
    """Given a header block, with or without a body after it, return a part that has these headers and no parts."""
    block, body = _split_headers(_with_newlines(raw[:MAX_BYTES]).lstrip(b"\n"))
    return Part(_HEADERS.parsebytes(block), body)


def _with_newlines(raw: bytes) -> bytes:
    """CR LF and lone CR both become LF: some gateways send the latter."""
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _read(raw: bytes, depth: int) -> Part:
    block, body = _split_headers(raw)
    headers = _HEADERS.parsebytes(block)
    parts: tuple[Part, ...] = ()
    if depth and headers.get_content_maintype() == "multipart":
        parts = tuple(_read(section, depth - 1) for section in _sections(body, _parameter(headers, "boundary")))
    return Part(headers, body, parts)


def _split_headers(raw: bytes) -> tuple[bytes, bytes]:
    """Header block and body, parted by the first empty line; a part that starts with one has no headers."""
    if raw.startswith(b"\n"):
        return b"", raw[1:]
    block, _, body = raw.partition(b"\n\n")
    return block[:MAX_HEADER_BYTES] + b"\n\n", body


def _parameter(headers: Message, name: str) -> str:
    """A parameter of Content-Type, its RFC 2231 forms included, or an empty string."""
    try:
        value = headers.get_param(name)
        return collapse_rfc2231_value(value).rstrip() if value else ""
    except (ValueError, TypeError, LookupError):
        # The library does not expect, among others, a parameter that stands both whole and in pieces.
        return ""


def _sections(body: bytes, boundary: str) -> list[bytes]:
    """The sections between the delimiter lines of RFC 2046 §5.1.1; the last one may lack its end."""
    if not boundary:
        return []
    delimiter = re.compile(rb"^--" + re.escape(boundary.encode("utf-8", "surrogateescape")) + rb"(--)?[ \t]*$", re.M)
    sections: list[bytes] = []
    start = None
    for line in delimiter.finditer(body):
        if start is not None:
            sections.append(body[start : max(start, line.start() - 1)])
        start = line.end() + 1
        if line[1] or len(sections) >= MAX_PARTS:
            return sections
    return sections if start is None else [*sections, body[start:]]
