"""The line of a delivery agent (Postfix's log_adhoc(3)), the most frequent and the most hostile one.

``QID: to=<A>[, orig_to=<B>], relay=R[, conn_use=N], delay=D, delays=a/b/c/d[, tls=T], dsn=X, status=S (reply)``

An address may contain anything inside quotes, also ``>, relay=``; the reply is the other side's text. So the line is
read from the left, each field up to its known successor, and the reply is whatever remains. Postfix cuts the text at
2,000 characters: a line may end anywhere after the recipient.
"""

from __future__ import annotations

import re
from functools import lru_cache

from smtpctl.maillog.listener import Listener, Origin
from smtpctl.model.deliveries import Delays, Relay, new_tuple

#: recipient, original recipient, relay, conn_use, delay, delays, tls, dsn, status, reply
Attempt = tuple[bytes, bytes | None, bytes, bytes | None, bytes, bytes, bytes | None, bytes, bytes, bytes]

#: What follows the addresses. The recipient of a line without brackets ends where this begins.
_FIELDS = re.compile(
    rb">?, relay=((?:[^,\s]|,(?! ))*)(?:, conn_use=(\d+))?, delay=([\d.]+)(?:, delays=([\d./]+))?"
    rb"(?:, tls=([^,\s]+))?, dsn=([\d.]+)(?:, status=(\S+)(?: \((.*))?)?",
    re.S,
)
#: An ordinary line: no quotes, nothing in the addresses that could be taken for a field.
_USUAL = re.compile(
    rb"to=<([^\">]*)>(?:, orig_to=<([^\">]*)>)?, relay=([^,]*)(?:, conn_use=(\d+))?, delay=([^,]*), delays=([^,]*)"
    rb"(?:, tls=([^,]*))?, dsn=([^,]*), status=([^ ]*) \((.*)\)",
    re.S,
)
#: An address between brackets: with a quoted local part, which may hold anything, or without quotes.
_RECIPIENT = re.compile(rb'to=<("(?:[^"\\]|\\.)*"@[^>]*|[^">]*)>')
_ORIGINAL = re.compile(rb', orig_to=<("(?:[^"\\]|\\.)*"(?:@[^>]*)?|[^">]*)>')


class AttemptReader:
    """Tells a listener of attempts."""

    def __init__(self, listener: Listener) -> None:
        self._tell = listener.attempted
        self._usual = _USUAL.fullmatch

    def read(self, at: int, origin: Origin, queue_id: bytes, text: bytes) -> bool:
        """Tell of the attempt in ``text``. False when it is none (no ``to=``), or the recipient itself is cut."""
        match = self._usual(text)
        if match is not None:
            recipient, original, relay, use, delay, delays, tls, dsn, status, reply = match.groups()
            self._tell(at, origin, queue_id, recipient, original, relay, use, delay, delays, tls, dsn, status, reply)
            return True
        attempt = (_read_named(text) or _read_carefully(text)) if text[:3] == b"to=" else None
        if attempt is not None:
            self._tell(at, origin, queue_id, *attempt)
        return attempt is not None


def _read_named(text: bytes) -> Attempt | None:
    """Fields by their names, where nothing in the addresses can be taken for a field."""
    addresses, _, rest = text.partition(b">, relay=")
    fields, complete, outcome = rest.partition(b", status=")
    if not complete or b'"' in addresses or b">, relay=" in fields:
        return None
    recipient, _, original = addresses[4:].partition(b">, orig_to=<")
    relay, *others = fields.split(b", ")
    named = dict(_pair(part) for part in others)
    if not named.get(b"conn_use", b"0").isdigit():
        return None
    status, _, reply = outcome.partition(b" (")
    return (
        recipient,
        original or None,
        relay,
        named.get(b"conn_use"),
        named.get(b"delay", b""),
        named.get(b"delays", b""),
        named.get(b"tls"),
        named.get(b"dsn", b""),
        status,
        reply.removesuffix(b")"),
    )


def _pair(part: bytes) -> tuple[bytes, bytes]:
    name, _, value = part.partition(b"=")
    return name, value


def _read_carefully(text: bytes) -> Attempt | None:
    """For quoted addresses, addresses without brackets, cut lines, and whatever looks as if it held fields."""
    first = _RECIPIENT.match(text)
    second = _ORIGINAL.match(text, first.end()) if first else None
    for address, original in ((first, None), (second, second)):
        match = _FIELDS.match(text, address.end() - 1) if address else None
        if first and match:
            return _from_match(first[1], original and original[1], match)
    match = _FIELDS.search(text)
    if not match:
        return _read_cut(text)
    recipient, _, rest = text[3 : match.start()].partition(b", orig_to=")
    return _from_match(recipient.removeprefix(b"<").removesuffix(b">"), rest.removeprefix(b"<") or None, match)


def _from_match(recipient: bytes, original: bytes | None, match: re.Match[bytes]) -> Attempt:
    relay, connection_use, delay, delays, tls, dsn, status, reply = match.groups()
    reply = (reply or b"").removesuffix(b")")
    return recipient, original, relay, connection_use, delay, delays or b"", tls, dsn, status or b"", reply


def _read_cut(text: bytes) -> Attempt | None:
    """For a line that ends before its dsn: what is there."""
    recipient, closed, rest = text[3:].removeprefix(b"<").partition(b">")
    if not closed:
        return None
    original = rest.partition(b"orig_to=<")[2].partition(b">")[0]
    relay = rest.partition(b", relay=")[2].partition(b", ")[0]
    return recipient, original or None, relay, None, b"", b"", None, b"", b"", b""


#: Longer than any message waits, short enough for any column.
_LONGEST = 1e9

# Few relays and few delays stand in many lines: what they mean is remembered.


@lru_cache(maxsize=16_384)
def read_delays(total: bytes, parts: bytes) -> Delays | None:
    """``delay=`` and ``delays=a/b/c/d``, in seconds; None when they are cut."""
    try:
        delays = new_tuple(Delays, map(float, (total, *parts.split(b"/", 4))))
    except ValueError:
        return None
    if len(delays) != len(Delays._fields):
        return None
    return delays if max(delays) <= _LONGEST else Delays(*(min(seconds, _LONGEST) for seconds in delays))


@lru_cache(maxsize=16_384)
def read_relay(text: bytes) -> Relay:
    """``name[address]:port`` in its parts; ``none``, ``local``, a transport or a socket path is only a name."""
    name, bracket, rest = text.partition(b"[")
    if not bracket:
        return Relay(None if text in (b"none", b"") else text, None, None)
    address, _, port = rest.partition(b"]")
    port = port.removeprefix(b":")
    if not address or not (address[:1].isdigit() or b":" in address):
        return Relay(text, None, None)
    return Relay(name, address, int(port[:5]) if port.isdigit() else None)


_QUEUED_AS = re.compile(rb"\bqueued as ([0-9A-Za-z]{5,26})\b")
_FORWARDED_AS = re.compile(rb"forwarded as ([0-9A-Za-z]{5,26})\b")
#: The first four bytes of a reply that begins with its code.
REPLY_CODES = {b"%d%c" % (code, sign): code for code in range(200, 600) for sign in b" -"}
_REPLY_CODE = re.compile(rb"(?:said: |to me: )([245]\d\d)[ -]")


def queued_as(reply: bytes) -> bytes | None:
    """The queue id that the next hop says it gave the message."""
    before, _, queue_id = reply.partition(b"queued as ")
    if 5 <= len(queue_id) <= 26 and queue_id.isalnum() and before[-1:] == b" ":
        return queue_id
    match = _QUEUED_AS.search(reply)
    return match[1] if match else None


def forwarded_as(reply: bytes) -> bytes | None:
    """The queue id of the copy that local(8) made for an alias or .forward file."""
    match = _FORWARDED_AS.match(reply)
    return match[1] if match else None


def reply_code(reply: bytes) -> int | None:
    """The SMTP reply code in a reply, if the other side said one."""
    code = REPLY_CODES.get(reply[:4])
    if code is not None:
        return code
    said = reply.partition(b" said: ")[2] or reply.partition(b" to me: ")[2]
    code = REPLY_CODES.get(said[:4])
    if code is not None or not said:
        return code
    match = _REPLY_CODE.search(reply)
    return int(match[1]) if match else None
