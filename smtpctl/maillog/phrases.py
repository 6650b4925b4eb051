"""Lines that are understood without changing what becomes of a message: connections, TLS, SASL, statistics, starts.

A table: kind, and the pattern whose named groups are the fields. The patterns are tried in order, on the text after the
queue id where there is one; the first that matches names the line. The texts are those of Postfix's sources, 3.4 to
3.11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PEER = rb"(?P<name>[^\s\[]*)\[(?P<address>[^\]]*)\](?::(?P<port>\d+|[^\s:;]+))?"
_BRACKETED = rb"\[(?P<address>[^\]]*)\](?::(?P<port>\d+))?"
_CIPHER = (
    rb"(?P<protocol>\S+) with cipher (?P<cipher>\S+) \((?P<bits>\S+) bits\)(?: key-exchange (?P<key_exchange>\S+)"
    rb"(?: \((?P<key_exchange_group>[^)]*)\))?)?(?: server-signature (?P<server_signature>\S+)"
    rb"(?: \((?P<server_signature_key>[^)]*)\))?)?(?: server-digest (?P<server_digest>\S+))?(?P<more>.*)"
)
_SERVICE = rb"\((?P<service>.+?):(?P<address>[0-9.]+|unknown|(?!\d+:\d+\.)[0-9a-fA-F]*:[0-9a-fA-F:.]*)\)"

_TABLE: tuple[tuple[str, bytes], ...] = (
    # smtpd(8)
    ("connect", rb"connect from " + _PEER),
    ("disconnect", rb"disconnect from " + _PEER + rb"(?: (?P<commands>.*))?"),
    (
        "lost",
        rb"(?P<what>lost connection|timeout|too many errors|hangup) after (?P<stage>[A-Z-]+(?: [A-Z]+)?)"
        rb"(?: \((?P<bytes>\d+) bytes\))? from " + _PEER,
    ),
    ("pipelining", rb"improper command pipelining after (?P<stage>.+?) from " + _PEER + rb"(?:: (?P<data>.*))?"),
    ("bare-newline", rb"(?:disconnect|notify|normalize|reject): bare <LF>.* from " + _PEER + rb".*"),
    ("bare-newline", rb"bare newline received after .*"),
    ("proxy-client", rb"NOQUEUE: client=" + _PEER + rb"(?:, .*)?"),
    (
        "proxy",
        rb"proxy-(?P<action>accept|reject): (?P<stage>[A-Z-]+): (?P<reply>.*?)"
        rb"; (?:from=<(?P<sender>.*?)>)?(?: ?to=<(?P<recipient>.*?)>)?(?: ?proto=(?P<protocol>[A-Z]+))?"
        rb"(?: helo=<(?P<helo>.*?)>)?(?: sasl_method=(?P<sasl_method>\S+))?(?: sasl_username=(?P<sasl_username>.*?))?"
        rb"(?: sasl_sender=(?P<sasl_sender>\S+))?",
    ),
    (
        "sasl-failed",
        rb"warning: " + _PEER + rb": SASL (?P<method>\S+) authentication (?:failed|aborted)(?:: (?P<reason>.*?))?"
        rb"(?:, sasl_username=(?P<username>.*))?",
    ),
    (
        "limit",
        rb"warning: (?P<what>.+? limit exceeded): (?P<count>\d+) from " + _PEER + rb" for service (?P<service>.*)",
    ),
    ("backwards-compatible", rb"using backwards-compatible default setting (?P<setting>\S+) to (?P<reason>.*)"),
    # qmqpd(8)
    ("lost", _PEER + rb": (?P<what>[a-z][a-z -]*) while (?P<stage>.+)"),
    # smtp(8), lmtp(8), local(8)
    (
        "connect-failed",
        rb"connect to (?P<name>[^\s\[]*)\[(?P<address>[^\]]*)\](?::(?P<port>\d+))?: (?P<reason>.*)",
    ),
    ("connect-failed", rb"connect to (?:subsystem )?(?P<name>\S+): (?P<reason>.*)"),
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
    ("keywords", rb"discarding EHLO keywords: (?P<keywords>.*)"),
    ("rewritten", rb"replacing server reply \"(?P<before>.*)\" with \"(?P<reply>.*)\""),
    ("rewritten", rb"breaking line > (?P<bytes>\d+) bytes with <CR><LF>SPACE"),
    ("rewritten", rb"(?P<before>\S+) asciified to (?P<name>\S+)"),
    ("verp", rb"enabling VERP for sender \"(?P<sender>.*)\""),
    ("transport", rb"passing <?(?P<recipient>.*?)>? to transport=(?P<transport>\S+)"),
    ("cut", rb"to=<?[^>]*"),  # Postfix cut the line inside the recipient
    # TLS, both sides
    (
        "tls",
        rb"(?P<trust>Anonymous|Untrusted|Trusted|Verified) TLS connection (?:established|reused) "
        rb"(?P<direction>to|from) " + _PEER + rb"(?:: " + _CIPHER + rb")?",
    ),
    ("tls-error", rb"(?P<call>SSL_accept|SSL_connect) error (?:from|to) " + _PEER + rb": (?P<reason>.*)"),
    ("tls-error", rb"(?:server )?certificate verification failed for " + _PEER + rb": (?P<reason>.*)"),
    ("tls-error", rb"(?P<call>Cannot start TLS): (?P<reason>.*)"),
    ("tls-error", rb"TLS is required, but (?P<reason>.*)"),
    ("tls-error", rb"TLS handshake failed for service=(?P<service>\S+) peer=\[(?P<address>[^\]]*)\]:(?P<port>\d+)"),
    (
        "tls-report",  # Postfix 3.10: what TLS-RPT is told (RFC 8460)
        rb"TLSRPT: status=(?P<status>\w+), domain=(?P<domain>[^,]*), receiving_mx=(?P<name>[^\[]*)"
        rb"\[(?P<address>[^\]]*)\](?:, failure_type=(?P<failure>.*))?",
    ),
    (
        "tls-detail",  # smtp_tls_loglevel and smtpd_tls_loglevel above 1
        rb"(?:setting up TLS connection (?:from|to)|SSL_(?:accept|connect):|Host offered STARTTLS|"
        rb"looking (?:up|for) session|"
        rb"save session|reloaded session|initializing the (?:server|client)-side TLS engine|read from|write to|"
        rb"[^\s\[]*\[[^\]]*\](?::\d+)?: (?:subject_CN=|re-using session|TLS cipher list|depth=|Matched |certificate |"
        rb"SNI |Issuing session ticket|Trusted |Untrusted )).*",
    ),
    # qmgr(8), bounce(8), postsuper(1)
    ("skipped", rb"skipped, still being delivered"),
    ("notification-failed", rb"(?P<whom>sender|postmaster) (?:\S+ )*?notification failed(?: to (?P<reason>.*))?"),
    ("notification-failed", rb"postmaster notice failed while (?:bouncing to|warning) (?P<reason>.*)"),
    (
        "notification-skipped",
        rb"(?:not sending trace/success notification|no trace file -- not sending) (?P<reason>.*)",
    ),
    ("renamed", rb"renamed to match inode number|(?:corrupted|deferred) file saved.*"),
    (
        "queue-summary",
        rb"(?P<action>Deleted|Requeued|Placed on hold|Released from hold|(?:Force-e|E)xpired|"
        rb"Renamed to match inode number): (?P<count>\d+) messages?",
    ),
    # postscreen(8), tlsproxy(8), dnsblog(8)
    (
        "postscreen",
        rb"(?P<result>CONNECT) from \[(?P<address>[^\]]*)\]:(?P<port>\d+) to \[(?P<server_address>[^\]]*)\]:"
        rb"(?P<server_port>\d+)",
    ),
    ("postscreen", rb"(?P<result>CONNECT|DISCONNECT)(?: from| to)? " + _BRACKETED),
    ("postscreen", rb"(?P<result>(?:DATA|BDAT) without valid RCPT) from " + _BRACKETED),
    ("postscreen", rb"(?P<result>(?:entering|leaving) STRESS mode) with (?P<connections>\d+) connections"),
    ("postscreen", rb"reject: connect from " + _BRACKETED + rb": (?P<result>all screening ports busy)"),
    (
        "postscreen",
        rb"(?P<result>HANGUP|PASS (?:OLD|NEW)|(?:WHITE|ALLOW|BLACK|DENY)LISTED|(?:WHITE|ALLOW)LIST VETO) " + _BRACKETED,
    ),
    (
        "postscreen",
        rb"(?P<result>HANGUP) after (?P<seconds>[\d.]+) from "
        + _BRACKETED
        + rb" in tests (?P<stage>\S+ SMTP handshake)",
    ),
    (
        "postscreen",
        rb"(?P<result>PREGREET) (?P<bytes>\d+) after (?P<seconds>[\d.]+) from " + _BRACKETED + rb": (?P<data>.*)",
    ),
    ("postscreen", rb"(?P<result>DNSBL) rank (?P<rank>-?\d+) for " + _BRACKETED),
    (
        "postscreen",
        rb"(?P<result>COMMAND (?:TIME|COUNT|LENGTH) LIMIT|BARE NEWLINE|COMMAND PIPELINING|NON-SMTP COMMAND|"
        rb"BDAT WITHOUT CHUNKING) from " + _BRACKETED + rb" after (?P<stage>[A-Z]+)(?:: (?P<data>.*))?",
    ),
    ("dnsblog", rb"addr (?P<address>\S+) (?:listed by domain (?P<domain>\S+) as (?P<result>\S+)|blocked .*)"),
    # anvil(8), scache(8), verify(8), tlsmgr(8)
    (
        "statistics",
        rb"statistics: max (?P<what>(?:connection|message|recipient|newtls|auth) (?:rate|count)) "
        rb"(?P<count>\d+)(?:/(?P<period>\S+))? for " + _SERVICE + rb" at (?P<at>.*)",
    ),
    ("statistics", rb"statistics: max (?P<what>cache size) (?P<count>\d+) at (?P<at>.*)"),
    (
        "statistics",
        rb"statistics: (?P<what>domain|address) lookup hits=(?P<hits>\d+) miss=(?P<misses>\d+) "
        rb"success=(?P<success>\d+)%",
    ),
    (
        "statistics",
        rb"statistics: max simultaneous domains=(?P<domains>\d+) addresses=(?P<addresses>\d+) "
        rb"connection=(?P<connections>\d+)",
    ),
    ("statistics", rb"statistics: start interval (?P<at>.*)"),
    (
        "cache",
        rb"cache (?P<table>.+) (?P<what>full|partial) cleanup: retained=(?P<retained>\d+) dropped=(?P<dropped>\d+) "
        rb"entries",
    ),
    ("cache", rb"(?:open|close) (?:database|smtpd? TLS cache|lmtp TLS cache).*"),
    # master(8), postfix(1), any daemon
    (
        "daemon",
        rb"(?P<what>daemon started|reload) -- version (?P<version>[^,]+), configuration (?P<configuration>.*)",
    ),
    ("daemon", rb"(?P<what>terminating on signal) (?P<signal>\d+)"),
    (
        "daemon",
        rb"(?P<what>(?:starting|stopping|refreshing|aborting|waiting for) the Postfix mail system)(?: to terminate)?",
    ),
    ("daemon", rb"(?P<what>the Postfix mail system is (?:not )?running)(?:: PID: (?P<pid>\d+))?"),
    ("daemon", rb"(?P<what>Postfix is (?:running with|using) backwards-compatible default settings)"),
    ("daemon", rb"See https?://www\.postfix\.org/COMPATIBILITY_README\.html for details|To disable backwards compat.*"),
    ("table-changed", rb"table (?P<table>\S+) has changed -- restarting"),
)
_LEVELLED = re.compile(rb"(?P<level>warning|error|fatal|panic|info|debug): (?P<message>.*)", re.S)
_PATTERNS = tuple((kind, re.compile(pattern, re.S)) for kind, pattern in _TABLE)


def _may_begin_with(pattern: re.Pattern[bytes], letter: int) -> bool:
    """A pattern that begins with a letter matches only texts that do; one with a group may match any."""
    source: bytes = pattern.pattern
    return not source[:1].isalpha() or source[0] == letter


#: First byte of a text -> the patterns that may match it.
_INDEX = tuple(
    tuple((kind, pattern) for kind, pattern in _PATTERNS if _may_begin_with(pattern, letter)) for letter in range(256)
)


def kind_of(text: bytes) -> str | None:
    """The kind of a text, or None when nothing in the table matches."""
    for kind, pattern in _candidates(text):
        if pattern.fullmatch(text):
            return kind
    levelled = _LEVELLED.fullmatch(text)
    return levelled["level"].decode() if levelled else None


def fields_of(text: bytes) -> dict[str, bytes]:
    """The fields of a text that ``kind_of`` knows; empty when it has none."""
    for pattern in (*(pattern for _, pattern in _candidates(text)), _LEVELLED):
        match = pattern.fullmatch(text)
        if match:
            return {name: value for name, value in match.groupdict().items() if value}
    return {}


def _candidates(text: bytes) -> Iterable[tuple[str, re.Pattern[bytes]]]:
    return _INDEX[text[0]] if text else ()
