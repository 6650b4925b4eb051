"""Lines of programs beside Postfix that matter for a journey: OpenDKIM, the policy service, Dovecot, HAProxy."""

from __future__ import annotations

import re
from collections.abc import Callable

from smtpctl.maillog.events import Foreign, Happening, Phrase, Policy, Signed, Unknown

_SIGNED = re.compile(rb"(\w+): DKIM-Signature field added \(s=([^,]+), d=([^)]+)\)")
_WITH_QUEUE_ID = re.compile(rb"([0-9A-Za-z]{6,26}): (.*)", re.S)
_PAIR = re.compile(rb'([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')


def reader_of(program: bytes) -> Callable[[bytes], Happening] | None:
    """The reader for a program's lines, or None when it is not one of these."""
    for prefix, reader in _PROGRAMS:
        if program == prefix or program.startswith(prefix + b"-"):
            return reader
    return None


def _opendkim(text: bytes) -> Happening:
    signed = _SIGNED.fullmatch(text)
    if signed:
        return Signed(signed[1], signed[2], signed[3])
    named = _WITH_QUEUE_ID.fullmatch(text)
    return Phrase("opendkim", named[1] if named else None, text)


def _policy(text: bytes) -> Happening:
    """``decision name=value …`` (``would-decide`` in shadow mode); other lines of the service are its own affair."""
    event = text.partition(b" ")[0]
    if event not in (b"decision", b"would-decide"):
        return Phrase("policy", None, text)
    fields = {name: quoted or plain for name, quoted, plain in _PAIR.findall(text)} | {b"event": event}
    queue_id = fields.pop(b"queue_id", b"")
    return Policy(queue_id or None, fields)


def _dovecot(text: bytes) -> Happening:
    return Phrase("dovecot", None, text) if text else Unknown(None, text)


def _haproxy(text: bytes) -> Happening:
    return Phrase("haproxy", None, text) if text else Foreign(text)


_PROGRAMS: tuple[tuple[bytes, Callable[[bytes], Happening]], ...] = (
    (b"opendkim", _opendkim),
    (b"smtpctl-policy", _policy),
    (b"dovecot", _dovecot),
    (b"haproxy", _haproxy),
)
