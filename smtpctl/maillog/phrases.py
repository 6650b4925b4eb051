"""Lines that are understood without changing what becomes of a message: connections, TLS, SASL, statistics, starts.

A table: kind, and the pattern whose named groups are the fields. The patterns are tried in order, on the text after the
queue id where there is one; the first that matches names the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PEER = rb"(?P<name>[^\s\[]*)\[(?P<address>[^\]]*)\](?::(?P<port>\d+|[^\s:;]+))?"
_BRACKETED = rb"\[(?P<address>[^\]]*)\](?::(?P<port>\d+))?"

#: Text at the beginning of a line -> patterns to try. Most lines are told by their first word.
_TABLE: tuple[tuple[str, bytes], ...] = (
    ("connect", rb"connect from " + _PEER),
    ("disconnect", rb"disconnect from " + _PEER + rb"(?: (?P<commands>.*))?"),
    (
        "lost",
        rb"(?P<what>lost connection|timeout|too many errors|hangup) after (?P<stage>[A-Z-]+(?: [A-Z]+)?)"
        rb"(?: \((?P<bytes>\d+) bytes\))? from " + _PEER,
    ),
    ("pipelining", rb"improper command pipelining after (?P<stage>.+?) from " + _PEER + rb"(?:: (?P<data>.*))?"),
    ("bare-newline", rb"(?:disconnect: )?bare <LF> .*"),
    ("bare-newline", rb"(?:notify|normalize|reject|disconnect): .*bare newline.*"),
    ("connect-failed", rb"connect to (?P<name>[^\s\[]*)\[(?P<address>[^\]]*)\](?::(?P<port>\d+))?: (?P<reason>.*)"),
    ("connect-failed", rb"connect to (?:subsystem )?(?P<name>\S+): (?P<reason>.*)"),
    (
        "tls",
        rb"(?P<trust>Anonymous|Untrusted|Trusted|Verified) TLS connection (?:established|reused) "
        rb"(?P<direction>to|from) "
        + _PEER
        + rb"(?:: (?P<protocol>\S+) with cipher (?P<cipher>\S+) \((?P<bits>\S+) bits\)(?P<details>.*))?",
    ),
    ("tls-error", rb"(?P<call>SSL_accept|SSL_connect) error (?:from|to) " + _PEER + rb": (?P<reason>.*)"),
    ("tls-error", rb"(?:server )?certificate verification failed for " + _PEER + rb": (?P<reason>.*)"),
    ("tls-error", rb"Cannot start TLS: (?P<reason>.*)"),
    ("tls-error", rb"TLS is required, but (?P<reason>.*)"),
    (
        "tls-info",
        rb"(?:setting up TLS connection|SSL_(?:accept|connect):|Host offered STARTTLS|looking for session|"
        rb"save session|reloaded session|initializing the|TLS SNI|read from|write to|subject=|\S+: (?:subject_CN|"
        rb"re-using session|TLS cipher list|depth=|Matched|certificate|subject)).*",
    ),
    (
        "reply",
        rb"host " + _PEER + rb" (?:said|refused to talk to me): (?P<reply>.*?)(?: \(in reply to (?P<stage>.*?)"
        rb"(?: command)?\))?",
    ),
    ("conversation", rb"conversation with " + _PEER + rb" timed out while (?P<stage>.*)"),
    ("conversation", rb"(?P<what>lost connection|timeout) with " + _PEER + rb" while (?P<stage>.*)"),
    (
        "conversation",
        rb"SASL authentication failed; (?:server|cannot authenticate to server) " + _PEER + rb".*?: (?P<reply>.*)",
    ),
    ("workaround", rb"enabling PIX workarounds: (?P<what>.*?) for " + _PEER),
    ("transport", rb"passing <?(?P<recipient>.*?)>? to transport=(?P<transport>\S+)"),
    ("skipped", rb"skipped, still being delivered"),
    ("queue", rb"(?:message has been queued for .*|defer service failure|removed from .*)"),
    ("notification-failed", rb"(?:sender|postmaster) (?:\S+ )*notification failed.*"),
    ("proxy-client", rb"NOQUEUE: client=" + _PEER + rb"(?:, .*)?"),
    (
        "proxy",
        rb"proxy-(?P<action>accept|reject): (?P<stage>[A-Z-]+): (?P<reply>.*?); (?P<envelope>(?:from=|to=|proto=).*)",
    ),
    (
        "postscreen",
        rb"(?P<result>CONNECT) from \[(?P<address>[^\]]*)\]:(?P<port>\d+) to \[(?P<server_address>[^\]]*)\]:"
        rb"(?P<server_port>\d+)",
    ),
    (
        "postscreen",
        rb"(?P<result>DISCONNECT|HANGUP|PASS (?:OLD|NEW)|(?:WHITE|ALLOW|BLACK|DENY)LISTED|"
        rb"(?:WHITE|ALLOW)LIST VETO) " + _BRACKETED,
    ),
    (
        "postscreen",
        rb"(?P<result>HANGUP) after (?P<seconds>[\d.]+) from " + _BRACKETED + rb" in tests (?P<stage>\S+ \S+ \S+)",
    ),
    (
        "postscreen",
        rb"(?P<result>PREGREET) (?P<bytes>\d+) after (?P<seconds>[\d.]+) from " + _BRACKETED + rb": (?P<data>.*)",
    ),
    ("postscreen", rb"(?P<result>DNSBL) rank (?P<rank>-?\d+) for " + _BRACKETED),
    (
        "postscreen",
        rb"(?P<result>COMMAND (?:TIME|COUNT|LENGTH) LIMIT|BARE NEWLINE|COMMAND PIPELINING|NON-SMTP COMMAND|"
        rb"BDAT without CHUNKING) from " + _BRACKETED + rb" after (?P<stage>[A-Z]+(?: \S+)?)(?:: (?P<data>.*))?",
    ),
    ("dnsblog", rb"addr (?P<address>\S+) (?:listed by domain (?P<domain>\S+) as (?P<result>\S+)|blocked .*)"),
    (
        "sasl-failed",
        rb"(?P<name>[^\s\[]*)\[(?P<address>[^\]]*)\](?::\d+)?: SASL (?P<method>\S+) authentication failed"
        rb"(?:: (?P<reason>.*?))?(?:, sasl_username=(?P<username>.*))?",
    ),
    (
        "statistics",
        rb"statistics: max (?P<what>connection rate|connection count|message rate|recipient rate|newtls rate|"
        rb"auth rate) (?P<count>\d+)(?:/(?P<period>\S+))? for \((?P<service>.+?):(?P<address>[^:)]+|[0-9a-fA-F:.]+)\)"
        rb" at (?P<at>.*)",
    ),
    ("statistics", rb"statistics: (?P<data>.*)"),
    ("daemon", rb"(?P<what>daemon started|reload) -- version (?P<version>[^,]+), configuration (?P<configuration>.*)"),
    ("daemon", rb"(?P<what>terminating on signal) (?P<signal>\d+)"),
    (
        "daemon",
        rb"(?:the Postfix mail system is (?:not )?running|starting the Postfix|stopping the Postfix|refreshing the|"
        rb"waiting for the Postfix|aborting the Postfix|flushing|process \S+ (?:pid|exit)).*",
    ),
    (
        "cache",
        rb"cache (?P<table>\S+) (?P<what>full|partial) cleanup: retained=(?P<retained>\d+) dropped=(?P<dropped>\d+) "
        rb"entries",
    ),
    (
        "queue-summary",
        rb"(?P<action>Deleted|Requeued|Placed on hold|Released from hold|Force-expired|Expired|Renamed to match "
        rb"inode number): (?P<count>\d+) messages?",
    ),
    ("anvil", rb"(?:Connection (?:rate|concurrency) limit exceeded|Message|Recipient|New TLS|AUTH).*limit exceeded.*"),
    (
        "idle",
        rb"(?:idle timeout|rollback|using backwards-compatible|open database|new client|table \S+ has changed|"
        rb"master_wakeup|enabling|disabling|Postfix is running|Compatibility).*",
    ),
)
_LEVELLED = re.compile(rb"(?P<level>warning|error|fatal|panic|info|debug): (?P<message>.*)", re.S)
_PATTERNS = tuple((kind, re.compile(pattern, re.S)) for kind, pattern in _TABLE)


def _by_first_letter() -> dict[int, tuple[tuple[str, re.Pattern[bytes]], ...]]:
    """Only the patterns that can match a text with that first byte; a set of letters is tried for each pattern once."""
    return {
        letter: tuple((kind, pattern) for kind, pattern in _PATTERNS if _may_begin_with(pattern, letter))
        for letter in range(256)
    }


def _may_begin_with(pattern: re.Pattern[bytes], letter: int) -> bool:
    source = pattern.pattern
    first = source[:1]
    return not first.isalpha() or first[0] == letter


_INDEX = _by_first_letter()


def kind_of(text: bytes) -> str | None:
    """The kind of a text, or None when nothing in the table matches."""
    if not text:
        return None
    for kind, pattern in _INDEX[text[0]]:
        if pattern.fullmatch(text):
            return kind
    return _levelled_kind(text)


def _levelled_kind(text: bytes) -> str | None:
    levelled = _LEVELLED.fullmatch(text)
    if not levelled:
        return None
    inner = kind_of(levelled["message"])
    return inner if inner == "sasl-failed" else levelled["level"].decode()


def fields_of(text: bytes) -> dict[str, bytes]:
    """The fields of a text that ``kind_of`` knows."""
    for pattern in _candidates(text):
        match = pattern.fullmatch(text)
        if match:
            return {name: value for name, value in match.groupdict().items() if value is not None}
    return {}


def _candidates(text: bytes) -> Iterable[re.Pattern[bytes]]:
    for kind, pattern in _INDEX[text[0]] if text else ():
        if kind:
            yield pattern
    yield _LEVELLED
