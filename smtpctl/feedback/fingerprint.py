"""What makes a mail the same mail when it comes a second time."""

from __future__ import annotations

import hashlib
import re

# Added on the way, and different each time that a server tries again (RFC 5321 §4.4; Postfix's own two).
_TRACE = (b"received", b"return-path", b"delivered-to", b"x-original-to")
_FIELD_END = re.compile(rb"\r?\n(?![ \t])")
_HEADER_END = re.compile(rb"\r?\n\r?\n")


def fingerprint(raw: bytes) -> bytes:
    """The SHA-256 of a mail without its trace fields: equal for what one sender sent once, however often it arrives."""
    end = _HEADER_END.search(raw)
    header, rest = (raw[: end.start()], raw[end.start() :]) if end else (raw, b"")
    digest = hashlib.sha256()
    for field in _FIELD_END.split(header):
        if field.partition(b":")[0].strip().lower() not in _TRACE:
            digest.update(field + b"\n")
    digest.update(rest)
    return digest.digest()
