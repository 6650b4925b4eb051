"""The line of a delivery agent (Postfix's log_adhoc(3)), the most frequent and the most hostile one.

``QID: to=<A>[, orig_to=<B>], relay=R[, conn_use=N], delay=D, delays=a/b/c/d[, tls=T], dsn=X, status=S (reply)``

An address may contain anything inside quotes, also ``>, relay=``; the reply is the other side's text. So the line is
read from the left, each field up to its known successor, and the reply is whatever remains. Postfix cuts the text at
2,000 characters: a line may end anywhere after the recipient.
"""

from __future__ import annotations

import re

from smtpctl.maillog.events import Attempt

#: What follows the addresses. An unquoted address may hold ``>, relay=`` (before Postfix 3.5), so a fallback takes the
#: last one that a valid sequence of fields follows.
_FIELDS = re.compile(
    rb">?, relay=((?:[^,\s]|,(?! ))*)(?:, conn_use=(\d+))?, delay=([\d.]+)(?:, delays=([\d./]+))?"
    rb"(?:, tls=([^,\s]+))?, dsn=([\d.]+)(?:, status=(\S+)(?: \((.*))?)?",
    re.S,
)
_QUOTED_FIRST = re.compile(rb'to=<("(?:[^"\\]|\\.)*"@[^>]*)>')
_QUOTED_ORIGINAL = re.compile(rb', orig_to=<("(?:[^"\\]|\\.)*"(?:@[^>]*)?)>')


def read_attempt(queue_id: bytes, text: bytes) -> Attempt | None:
    """The attempt in ``text``, which begins with ``to=``. None when not even the recipient can be told."""
    addresses, found, rest = text.partition(b">, relay=")
    if not found or b'"' in addresses or b">, relay=" in rest:
        return _read_carefully(queue_id, text)
    fields, found, outcome = rest.partition(b", status=")
    if not found:
        return _read_cut(queue_id, text)
    status, _, reply = outcome.partition(b" (")
    if reply[-1:] == b")":
        reply = reply[:-1]
    recipient, _, original = addresses[4:].partition(b">, orig_to=<")
    parts = fields.split(b", ")
    if len(parts) == 4:  # the usual four, neither conn_use nor tls
        relay, delay, delays, dsn = parts
        return Attempt(
            queue_id, recipient, original or None, relay, None, delay[6:], delays[7:], None, dsn[4:], status, reply
        )
    return _with_more_fields(queue_id, recipient, original or None, parts, status, reply)


def _with_more_fields(
    queue_id: bytes, recipient: bytes, original: bytes | None, parts: list[bytes], status: bytes, reply: bytes
) -> Attempt:
    named = dict.fromkeys((b"conn_use", b"tls"), None) | dict(_pair(part) for part in parts[1:])
    return Attempt(
        queue_id,
        recipient,
        original,
        parts[0],
        named.get(b"conn_use"),
        named.get(b"delay") or b"0",
        named.get(b"delays") or b"",
        named.get(b"tls"),
        named.get(b"dsn") or b"",
        status,
        reply,
    )


def _pair(part: bytes) -> tuple[bytes, bytes | None]:
    name, _, value = part.partition(b"=")
    return name, value


def _read_carefully(queue_id: bytes, text: bytes) -> Attempt | None:
    """For quoted addresses, addresses without brackets, and whatever looks as if it held fields."""
    quoted = _QUOTED_FIRST.match(text)
    match = _FIELDS.match(text, quoted.end() - 1) if quoted else None
    original: bytes | None = None
    if quoted and not match:
        second = _QUOTED_ORIGINAL.match(text, quoted.end())
        if second:
            match, original = _FIELDS.match(text, second.end() - 1), second[1]
    if quoted and match:
        return _from_match(queue_id, quoted[1], original, match)
    return _from_first_fields(queue_id, text)


def _from_first_fields(queue_id: bytes, text: bytes) -> Attempt | None:
    match = _FIELDS.search(text)
    if not match:
        return _read_cut(queue_id, text)
    recipient, _, original = text[3 : match.start()].partition(b">, orig_to=<")
    if not recipient.startswith(b"<"):
        recipient, _, original = recipient.partition(b", orig_to=")
    return _from_match(queue_id, recipient.removeprefix(b"<"), original.removeprefix(b"<") or None, match)


def _from_match(queue_id: bytes, recipient: bytes, original: bytes | None, match: re.Match[bytes]) -> Attempt:
    relay, connection_use, delay, delays, tls, dsn, status, reply = match.groups()
    reply = (reply or b"").removesuffix(b")") if reply else b""
    return Attempt(
        queue_id, recipient, original, relay, connection_use, delay, delays or b"", tls, dsn, status or b"", reply
    )


def _read_cut(queue_id: bytes, text: bytes) -> Attempt | None:
    """For a line that ends before its status: what is there, and an empty status."""
    match = _FIELDS.search(text)
    if match:
        return _from_first_fields(queue_id, text)
    recipient, closed, rest = text[3:].removeprefix(b"<").partition(b">")
    if not closed:
        return None
    original = rest.partition(b"orig_to=<")[2].partition(b">")[0]
    relay = rest.partition(b", relay=")[2].partition(b", ")[0]
    return Attempt(queue_id, recipient, original or None, relay, None, b"", b"", None, b"", b"", b"")


def read_delays(text: bytes) -> tuple[float, float, float, float] | None:
    """``a/b/c/d``: before the queue manager, in it, connecting, transferring; in seconds."""
    parts = text.split(b"/")
    if len(parts) != 4:
        return None
    try:
        before, manager, connecting, transferring = map(float, parts)
    except ValueError:
        return None
    return before, manager, connecting, transferring


def read_relay(text: bytes) -> tuple[bytes | None, bytes | None, int | None]:
    """``name[address]:port`` in its parts; ``none``, ``local``, a transport or a socket path is only a name."""
    name, bracket, rest = text.partition(b"[")
    if not bracket:
        return (None if text in (b"none", b"") else text), None, None
    address, _, port = rest.partition(b"]")
    port = port.removeprefix(b":")
    if not address or not (address[:1].isdigit() or b":" in address):
        return text, None, None
    return name, address, int(port) if port.isdigit() else None


_QUEUED_AS = re.compile(rb"\bqueued as ([0-9A-Za-z]{5,26})\b")
_FORWARDED_AS = re.compile(rb"forwarded as ([0-9A-Za-z]{5,26})\b")
_REPLY_CODE = re.compile(rb"(?:said: |to me: |^)([245]\d\d)[ -]")


def queued_as(reply: bytes) -> bytes | None:
    """The queue id that the next hop says it gave the message."""
    match = _QUEUED_AS.search(reply)
    return match[1] if match else None


def forwarded_as(reply: bytes) -> bytes | None:
    """The queue id of the copy that local(8) made for an alias or .forward file."""
    match = _FORWARDED_AS.match(reply)
    return match[1] if match else None


def reply_code(reply: bytes) -> int | None:
    """The SMTP reply code in a reply, if the other side said one."""
    match = _REPLY_CODE.search(reply)
    return int(match[1]) if match else None
