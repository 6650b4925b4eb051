"""Lines of programs beside Postfix that matter for a journey: OpenDKIM, the policy service, Dovecot, HAProxy; and what
the loggers themselves say of lines that they threw away."""

from __future__ import annotations

import re
from collections.abc import Callable

from smtpctl.maillog.listener import Listener, Origin

_SIGNED = re.compile(rb"(\w+): DKIM-Signature field added \(s=([^,]+), d=([^)]+)\)")
_WITH_QUEUE_ID = re.compile(rb"([0-9A-Za-z]{6,26}): (.*)", re.S)
#: What our daemons put before a line's event where no journal takes its priority (policy_service/log.py).
_LEVEL = re.compile(rb"\A(?:error|warning|notice|info): ")
_PAIR = re.compile(rb'([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')

#: ``SERVICE(USER)<PID><SESSION>: ``; Dovecot 2.4 puts the client's address and the mechanism between the brackets too.
_DOVECOT = (
    rb"(?P<service>[a-z0-9-]+)(?:\((?P<user>[^)]*)\))?(?:<(?P<process>\d+)>)?(?:<(?P<session>[^>]*)>)?: "
    rb"(?:(?P<level>Error|Warning|Fatal|Panic|Info): )?"
)
#: HAProxy's formats tcplog and httplog begin alike (its manual, "Log formats").
_SESSION = (
    rb"(?P<address>\S+):(?P<port>\d+) \[(?P<accepted>[^\]]+)\] (?P<frontend>\S+) (?P<backend>[^\s/]+)/(?P<server>\S+) "
    rb"(?P<timers>[-+\d/]+) (?P<more>.*)"
)
#: kind -> the pattern whose named groups are its fields.
_PATTERNS = {
    "mailbox": re.compile(_DOVECOT + rb"(?:sieve: )?msgid=(?P<message_id>.*?): (?P<action>[a-z].*)", re.S),
    "password": re.compile(
        _DOVECOT + rb"(?P<reason>.*(?:[Pp]assword mismatch|unknown user|invalid credentials|user disabled).*)", re.S
    ),
    "dovecot": re.compile(_DOVECOT + rb"(?P<message>.*)", re.S),
    "balanced": re.compile(_SESSION, re.S),
    "balancer": re.compile(
        rb"(?:Backup )?(?:(?P<what>Server|backend|proxy|Proxy)) (?P<name>\S+?)(?:/(?P<server>\S+))? "
        rb"(?P<change>is (?:DOWN|UP|going DOWN|going UP|stopping).*|has no server available.*|started.*|stopped.*)",
        re.S,
    ),
    "opendkim": re.compile(rb"(?:[0-9A-Za-z]{6,26}: )?(?P<message>.*)", re.S),
    # journald and rsyslog throw lines away above a rate; what they say of it is all that is left of those lines.
    "lines-lost": re.compile(
        rb"Suppressed (?P<count>\d+) messages? from "
        rb"(?P<unit>\S*(?:postfix|dovecot|opendkim|haproxy|rsyslog|smtpctl)\S*)"
        rb"|Forwarding to syslog missed (?P<missed>\d+) messages?.*"
        rb"|(?P<module>im\w+).*?(?:(?P<lost>\d+) messages? lost|lost (?P<dropped>\d+) messages?|begin to drop messages)"
        rb".*rate-limiting.*",
        re.S,
    ),
}


def fields_of(kind: str, text: bytes) -> dict[str, bytes]:
    """The fields of a text that was told as ``kind``; empty when this module does not know that kind."""
    pattern = _PATTERNS.get(kind)
    match = pattern.fullmatch(text) if pattern else None
    return {name: value for name, value in match.groupdict().items() if value} if match else {}


class OthersReader:
    """Reads lines of the programs that it knows and tells a listener what they say."""

    def __init__(self, listener: Listener) -> None:
        self._tell = listener
        self._programs = (
            (b"opendkim", self._opendkim),
            (b"smtpctl-policy", self._policy),
            (b"smtpctl-guard", self._policy),
            (b"smtpctl-from-guard", self._policy),
            (b"dovecot", self._dovecot),
            (b"haproxy", self._haproxy),
            (b"systemd-journald", self._logger),
            (b"rsyslogd", self._logger),
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
        """Policy service and guard: ``decision name=value …``, or ``would-decide`` in shadow mode; ``incident
        name=value …``. Other lines are their own affair."""
        event = _LEVEL.sub(b"", text, count=1).partition(b" ")[0]
        if event not in (b"decision", b"would-decide", b"incident"):
            self._tell.phrased(at, origin, "policy", None, text)
            return
        fields = {name: quoted or plain for name, quoted, plain in _PAIR.findall(text)}
        if event == b"incident":
            self._tell.incident(at, origin, {b"kind": b"other", b"severity": b"warning"} | fields)
        else:
            self._tell.policy_decided(at, origin, fields.pop(b"queue_id", b"") or None, fields | {b"event": event})

    def _dovecot(self, at: int, origin: Origin, text: bytes) -> None:
        self._tell.phrased(at, origin, _first_of(("mailbox", "password"), text) or "dovecot", None, text)

    def _haproxy(self, at: int, origin: Origin, text: bytes) -> None:
        self._tell.phrased(at, origin, _first_of(("balanced", "balancer"), text) or "haproxy", None, text)

    def _logger(self, at: int, origin: Origin, text: bytes) -> None:
        kind = _first_of(("lines-lost",), text)
        if kind:
            self._tell.phrased(at, origin, kind, None, text)
        else:
            self._tell.foreign(at, origin, text)


def _first_of(kinds: tuple[str, ...], text: bytes) -> str | None:
    return next((kind for kind in kinds if _PATTERNS[kind].fullmatch(text)), None)
