"""Lines of programs beside Postfix that matter for a journey: OpenDKIM, the policy service, Dovecot, HAProxy."""

from __future__ import annotations

import re
from collections.abc import Callable

from smtpctl.maillog.listener import Listener, Origin

_SIGNED = re.compile(rb"(\w+): DKIM-Signature field added \(s=([^,]+), d=([^)]+)\)")
_WITH_QUEUE_ID = re.compile(rb"([0-9A-Za-z]{6,26}): (.*)", re.S)
_PAIR = re.compile(rb'([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')


class OthersReader:
    """Reads lines of the programs that it knows and tells a listener what they say."""

    def __init__(self, listener: Listener) -> None:
        self._tell = listener
        self._programs = (
            (b"opendkim", self._opendkim),
            (b"smtpctl-policy", self._policy),
            (b"dovecot", self._dovecot),
            (b"haproxy", self._haproxy),
        )

    def reader_of(self, program: bytes) -> Callable[[int, Origin, bytes], None] | None:
        """The reader for a program's lines, or None when it is not one of these. Instances have a suffix:
        ``opendkim-rsa``."""
        for name, reader in self._programs:
            if program == name or program.startswith(name + b"-"):
                return reader
        return None

    def _opendkim(self, at: int, origin: Origin, text: bytes) -> None:
        signed = _SIGNED.fullmatch(text)
        if signed:
            self._tell.signed(at, origin, signed[1], signed[2], signed[3])
            return
        named = _WITH_QUEUE_ID.fullmatch(text)
        self._tell.phrased(at, origin, "opendkim", named[1] if named else None, text)

    def _policy(self, at: int, origin: Origin, text: bytes) -> None:
        """``decision name=value …``, or ``would-decide`` in shadow mode. Other lines are the service's own affair."""
        event = text.removeprefix(b"notice: ").partition(b" ")[0]
        if event not in (b"decision", b"would-decide"):
            self._tell.phrased(at, origin, "policy", None, text)
            return
        fields = {name: quoted or plain for name, quoted, plain in _PAIR.findall(text)} | {b"event": event}
        self._tell.policy_decided(at, origin, fields.pop(b"queue_id", b"") or None, fields)

    def _dovecot(self, at: int, origin: Origin, text: bytes) -> None:
        self._tell.phrased(at, origin, "dovecot", None, text)

    def _haproxy(self, at: int, origin: Origin, text: bytes) -> None:
        self._tell.phrased(at, origin, "haproxy", None, text)
