"""The line of a delivery agent (Postfix's log_adhoc(3)), the most frequent and the most hostile one.

``QID: to=<A>[, orig_to=<B>], relay=R[, conn_use=N], delay=D, delays=a/b/c/d[, tls=T], dsn=X, status=S (reply)``

An address may contain anything inside quotes, also ``>, relay=``; the reply is the other side's text. So the line is
read from the left, each field up to its known successor, and the reply is whatever remains. Postfix cuts the text at
2,000 characters: a line may end anywhere after the recipient.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

from smtpctl.maillog.listener import Ending, Hop, Listener, Origin, Timing
from smtpctl.model.deliveries import Delays, Relay, new_tuple

#: recipient, original recipient, relay, conn_use, delay, delays, tls, dsn, status, reply
Attempt = tuple[bytes, bytes | None, bytes, bytes | None, bytes, bytes, bytes | None, bytes, bytes, bytes]

#: What follows the addresses. The recipient of a line without brackets ends where this begins.
_FIELDS = re.compile(
    rb">?, relay=((?:[^,\s]|,(?! ))*)(?:, conn_use=(\d+))?, delay=([\d.]+)(?:, delays=([\d./]+))?"
    rb"(?:, tls=([^,\s]+))?, dsn=([\d.]+)(?:, status=(\S+)(?: \((.*))?)?",
    re.S,
)
# The three parts of an ordinary line after its addresses. Commas separate fields, so no field holds one; but the reply.
_HOP = re.compile(rb"([^,]+)(?:, conn_use=(\d+))?", re.S)
_TIMING = re.compile(rb"([^,]*), delays=([^,]*)(?:, tls=([^,]*))?", re.S)
_ENDING = re.compile(rb"([^,]*), status=([^ ]*) \((.*)\)", re.S)
# Whether bytes hold a byte is asked by its number: asked by bytes of it, Python tries a number first, and raises.
_QUOTE, _CLOSING = b'">'
#: Parts that are remembered, of each kind.
_MOST_PARTS = 16_384
Part = TypeVar("Part")
#: An address between brackets: with a quoted local part, which may hold anything, or without quotes.
_RECIPIENT = re.compile(rb'to=<("(?:[^"\\]|\\.)*"@[^>]*|[^">]*)>')
_ORIGINAL = re.compile(rb', orig_to=<("(?:[^"\\]|\\.)*"(?:@[^>]*)?|[^">]*)>')


class _Parts(dict[bytes, Part | None], Generic[Part]):
    """What parts of one kind say. None: not of the usual form. Forgets everything when it has grown large."""

    def __init__(self, read: Callable[[bytes], Part | None]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: bytes) -> Part | None:
        part = self._read(text)
        if part is not None:
            if len(self) >= _MOST_PARTS:
                self.clear()
            self[text] = part
        return part


class AttemptReader:
    """Tells a listener of attempts.

    Of an ordinary line most is what many lines say: where it went, how long that took, how it ended. Each of these
    parts is read once and remembered, so such a line is cut in four, and only its recipient is its own.
    """

    def __init__(self, listener: Listener) -> None:
        self._tell = listener.attempted
        self._hops = _Parts(_read_hop)
        self._timings = _Parts(_read_timing)
        self._endings = _Parts(_read_ending)

    def read(self, at: int, origin: Origin, queue_id: bytes, text: bytes) -> bool:
        """Tell of the attempt in ``text``. False when it is none (no ``to=``), or the recipient itself is cut."""
        before, _, how = text.partition(b", dsn=")
        way, _, when = before.partition(b", delay=")
        addresses, _, where = way.partition(b">, relay=")
        hop, timing, ending = self._hops[where], self._timings[when], self._endings[how]
        if hop and timing and ending and addresses[:4] == b"to=<" and _QUOTE not in addresses:
            recipient = addresses[4:]
            if _CLOSING not in recipient:
                self._tell(at, origin, queue_id, recipient, None, hop, timing, ending)
                return True
            recipient, found, original = recipient.partition(b">, orig_to=<")
            if found and _CLOSING not in recipient and _CLOSING not in original:
                self._tell(at, origin, queue_id, recipient, original, hop, timing, ending)
                return True
        return self._read_unusual(at, origin, queue_id, text)

    def _read_unusual(self, at: int, origin: Origin, queue_id: bytes, text: bytes) -> bool:
        attempt = (_read_named(text) or _read_carefully(text)) if text[:3] == b"to=" else None
        if attempt is None:
            return False
        recipient, original, relay, use, delay, delays, tls, dsn, status, reply = attempt
        hop, timing, ending = hop_of(relay, use), timing_of(delay, delays, tls), ending_of(dsn, status, reply)
        self._tell(at, origin, queue_id, recipient, original, hop, timing, ending)
        return True


def _read_hop(text: bytes) -> Hop | None:
    match = _HOP.fullmatch(text)
    return match and hop_of(*match.groups())


def _read_timing(text: bytes) -> Timing | None:
    match = _TIMING.fullmatch(text)
    return match and timing_of(*match.groups())


def _read_ending(text: bytes) -> Ending | None:
    match = _ENDING.fullmatch(text)
    return match and ending_of(*match.groups())


def hop_of(relay: bytes, connection_use: bytes | None) -> Hop:
    """What is after ``relay=`` and ``conn_use=``."""
    return Hop(relay, connection_use, read_relay(relay), None if connection_use is None else int(connection_use[:9]))


def timing_of(delay: bytes, delays: bytes, tls: bytes | None) -> Timing:
    """What is after ``delay=``, ``delays=`` and ``tls=``."""
    return Timing(delay, delays, tls, read_delays(delay, delays))


def ending_of(dsn: bytes, status: bytes, reply: bytes) -> Ending:
    """What is after ``dsn=`` and ``status=``, and between brackets."""
    next_id = copy = None
    if status == b"sent":
        if reply.find(b"queued as ") >= 0:
            next_id = queued_as(reply)
        elif reply[:13] == b"forwarded as ":
            copy = forwarded_as(reply)
    return Ending(dsn, status, reply, reply_code(reply), next_id, copy)


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
