"""What a line of a Postfix daemon says.

Lines are told apart by how the text after the queue id begins; which daemon wrote them does not matter, because the
same text means the same thing everywhere. Each reader below takes one kind. Those of the five most frequent kinds stand
first, by the first letter alone, and are written for speed. A reader that does not know its line after all returns
False, and the line is read as a rare one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from smtpctl.maillog import phrases
from smtpctl.maillog.attempts import AttemptReader
from smtpctl.maillog.decisions import ACTIONS, read_decision
from smtpctl.maillog.listener import Listener, Origin, Peer
from smtpctl.model.deliveries import Client

#: (moment, origin, queue id, text after it) -> whether the line was understood.
Reader = Callable[[int, Origin, bytes, bytes], bool]

#: Short form: microseconds in hexadecimal, then the inode. Long form: seconds and microseconds in base 52, "z", inode
#: in base 51; no vowels, so that no id is a word.
_QUEUE_ID = re.compile(
    rb"[0-9A-F]{6,26}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,16}"
)
#: What stands before a colon in place of a queue id.
NOT_QUEUE_IDS = frozenset((b"NOQUEUE", b"warning", b"fatal", b"panic", b"error", b"info", b"debug"))
LONGEST_OF_THESE = 7
#: How a line of the queue manager ends, and how many recipients that says: most messages have few.
_ACTIVE = {b"%d (queue active)" % recipients: recipients for recipients in range(1000)}
_MOST_DIGITS = 18
_NOTIFICATIONS = {
    b"sender non-delivery notification": b"bounce",
    b"sender delay notification": b"delay",
    b"sender delivery status notification": b"success",
    b"postmaster non-delivery notification": b"postmaster",
    b"postmaster delay notification": b"postmaster",
    b"postmaster delivery status notification": b"postmaster",
}
_HANDED_IN = re.compile(rb"uid=(\d+) from=<(.*?)>(?: orig_id=(\w+))?", re.S)
#: A user name may hold anything, so a field ends where a later one begins.
_MORE = re.compile(
    rb"(?:, sasl_method=(?P<sasl_method>[^,]*))?(?:, sasl_username=(?P<sasl_username>.*?))?"
    rb"(?:, sasl_sender=(?P<sasl_sender>.*?))?(?:, orig_queue_id=(?P<orig_queue_id>\w+))?"
    rb"(?:, orig_client=(?P<orig_client>.*))?",
    re.S,
)
#: rsyslog's abbreviation of equal lines, if somebody switched it on.
_REPEATED = re.compile(rb"message repeated (\d+) times: \[ ?(.*)\]", re.S)
_MOST_REPEATED = 100_000
#: On a fleet that sends under TLS every other line is one of these.
TLS_ESTABLISHED = frozenset((b"Anonymous TLS", b"Untrusted TLS", b"Trusted TLS c", b"Verified TLS "))
_MOST_PEERS = 20_000
_CHANGES = (b"requeued", b"placed on hold", b"released from hold", b"expired")
_CLOSING = ord(">")
_NO_MORE: Mapping[bytes, bytes] = {}


def is_queue_id(text: bytes) -> bool:
    """Whether ``text`` has the form of a queue id."""
    return _QUEUE_ID.fullmatch(text) is not None


class PostfixReader:
    """Reads the text after ``daemon[pid]: `` and tells a listener what it says."""

    def __init__(self, listener: Listener) -> None:
        self._tell = listener
        self._skips_sessions = not listener.wants_sessions
        self._peers: dict[bytes, Peer] = {}
        #: By the first three bytes after the queue id.
        self._by_beginning: Mapping[bytes, Reader] = {
            **{action[:3]: self._decided for action in ACTIONS},
            b"res": self._resent,
            b"sen": self._notified,
            b"pos": self._notified,
            b"uid": self._picked_up,
            b"req": self._changed,
            b"pla": self._changed,
            b"exp": self._changed,
            b"rel": self._changed,
        }
        quick: dict[int, Reader] = {
            ord("c"): self._accepted,
            ord("m"): self._identified,
            ord("f"): self._active_or_expired,
            ord("t"): AttemptReader(listener).read,
            ord("r"): self._removed,
        }
        #: By the first byte after the queue id.
        self.readers: Sequence[Reader] = [quick.get(letter, self._rarer) for letter in range(256)]

    def read(self, at: int, origin: Origin, text: bytes) -> None:
        """Any text. ``reading`` does the same in its own loop, for speed."""
        queue_id, colon, rest = text.partition(b": ")
        if not colon:
            self.plain(at, origin, text)
        elif (
            not rest
            or queue_id in NOT_QUEUE_IDS
            or not queue_id.isalnum()
            or not self.readers[rest[0]](at, origin, queue_id, rest)
        ):
            self.rare(at, origin, text)

    def plain(self, at: int, origin: Origin, text: bytes) -> None:
        """A text without a colon: most often the beginning or end of a session."""
        if text[:15] == b"disconnect from":
            self._tell.disconnected(at, origin, text)
        elif text[:12] != b"connect from":
            self.rare(at, origin, text)
        elif not self._skips_sessions:
            self._tell.phrased(at, origin, "connect", None, text)

    def rare(self, at: int, origin: Origin, text: bytes) -> None:
        """Decisions before the queue, everything in the table of phrases, and what is not understood."""
        if text[:13] in TLS_ESTABLISHED:
            if not self._skips_sessions:
                self._tell.phrased(at, origin, "tls", None, text)
            return
        repeated = _REPEATED.fullmatch(text)
        if repeated:
            for _ in range(min(int(repeated[1]), _MOST_REPEATED)):
                self.read(at, origin, repeated[2])
            return
        first, _, rest = text.partition(b": ")
        if first == b"NOQUEUE":
            if rest[:7] == b"client=":  # before a filter: the message gets its queue id behind it
                self._tell.phrased(at, origin, "proxy-client", None, text)
            elif not self._decided_by_word(at, origin, None, rest):
                self._phrase(at, origin, None, rest)
        elif first == b"warning":
            self._warning(at, origin, text, rest)
        elif rest and is_queue_id(first):
            if not self._decided_by_word(at, origin, first, rest):
                self._phrase(at, origin, first, rest)
        else:
            self._phrase(at, origin, None, text)

    def _warning(self, at: int, origin: Origin, text: bytes, rest: bytes) -> None:
        inner, colon, complaint = rest.partition(b": ")
        if colon and is_queue_id(inner):
            self._tell.phrased(at, origin, "warning", inner, complaint)
        elif inner != b"reject" or not self._decided_by_word(at, origin, None, rest):
            self._phrase(at, origin, None, text)

    def _decided_by_word(self, at: int, origin: Origin, queue_id: bytes | None, rest: bytes) -> bool:
        action, colon, text = rest.partition(b": ")
        is_word = colon and action.replace(b"-", b"").replace(b"_", b"").isalpha()
        decision = read_decision(queue_id, action, text) if is_word else None
        if decision is not None:
            self._tell.decided(at, origin, decision)
        return decision is not None

    def _phrase(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        kind = phrases.kind_of(text)
        if kind is None and queue_id is None and is_queue_id(text.rstrip(b": ")):
            self._tell.phrased(at, origin, "cut", text.rstrip(b": "), b"")
        elif kind is None:
            self._tell.not_understood(at, origin, queue_id, text)
        else:
            self._tell.phrased(at, origin, kind, queue_id, text)

    # One reader a kind of line

    def _accepted(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        peer = self._peers.get(rest) or self._read_peer(rest)
        if peer is None:
            return self._rarer(at, origin, queue_id, rest)
        self._tell.accepted(at, origin, queue_id, peer)
        return True

    def _read_peer(self, rest: bytes) -> Peer | None:
        """``client=name[address][:port]`` and what stands after it. The same few clients come again and again."""
        name, _, place = rest.partition(b"[")
        address, bracket, tail = place.partition(b"]")
        if not bracket or name[:7] != b"client=":
            return None
        port, comma, _ = tail.partition(b", ")
        more = _NO_MORE
        if comma:
            match = _MORE.fullmatch(tail, len(port))
            if match is None:
                return None
            more = {key.encode(): value for key, value in match.groupdict().items() if value is not None}
        if len(self._peers) > _MOST_PEERS:
            self._peers.clear()
        client = Client(name[7:], address, more.get(b"sasl_username"))
        peer = self._peers[rest] = Peer(client, port[1:], more)
        return peer

    def _identified(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        if rest[:12] == b"message-id=<" and rest[-1] == _CLOSING:
            self._tell.identified(at, origin, queue_id, rest[12:-1], False)
            return True
        if rest[:11] != b"message-id=":
            return self._rarer(at, origin, queue_id, rest)
        self._tell.identified(at, origin, queue_id, _unbracketed(rest[11:]), False)
        return True

    def _active_or_expired(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        """``from=<A>, size=N, nrcpt=M (queue active)`` or ``from=<A>, status=expired, returned to sender``."""
        sender, _, counts = rest.partition(b">, size=")
        size, _, active = counts.partition(b", nrcpt=")
        recipients = _ACTIVE.get(active)
        if recipients is not None and sender[:6] == b"from=<" and size.isdigit() and len(size) <= _MOST_DIGITS:
            self._tell.activated(at, origin, queue_id, sender[6:], int(size), recipients)
            return True
        if rest[:5] != b"from=":
            return self._rarer(at, origin, queue_id, rest)
        return self._active_or_expired_with_commas(at, origin, queue_id, rest)

    def _removed(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        if rest == b"removed":
            self._tell.removed(at, origin, queue_id, b"")
            return True
        if rest[:9] == b"removed (" and rest[-1:] == b")":
            self._tell.removed(at, origin, queue_id, rest[9:-1])
            return True
        return self._rarer(at, origin, queue_id, rest)

    def _rarer(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        reader = self._by_beginning.get(rest[:3])
        return reader is not None and reader(at, origin, queue_id, rest)

    def _resent(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        if rest[:18] != b"resent-message-id=":
            return False
        self._tell.identified(at, origin, queue_id, _unbracketed(rest[18:]), True)
        return True

    def _active_or_expired_with_commas(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        """The same, where the address holds commas or has no brackets."""
        if rest[-15:] == b" (queue active)":
            front, _, recipients = rest[:-15].rpartition(b", nrcpt=")
            sender, _, size = front.rpartition(b", size=")
            if not size.isdigit() or not recipients.isdigit():
                return False
            self._tell.activated(at, origin, queue_id, _unbracketed(sender[5:]), int(size[:18]), int(recipients[:9]))
            return True
        sender, found, outcome = rest[5:].rpartition(b", status=")
        if found:
            self._tell.expired(at, origin, queue_id, _unbracketed(sender), outcome.partition(b",")[0])
        return bool(found)

    def _notified(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        what, _, child = rest.partition(b": ")
        kind = _NOTIFICATIONS.get(what)
        if kind is None or not child.isalnum():
            return False
        self._tell.notified(at, origin, queue_id, kind, child)
        return True

    def _picked_up(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        match = _HANDED_IN.fullmatch(rest)
        if match is not None:
            self._tell.picked_up(at, origin, queue_id, match[1], match[2], match[3])
        return match is not None

    def _changed(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        if rest in _CHANGES:
            self._tell.changed(at, origin, queue_id, rest)
            return True
        return False

    def _decided(self, at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
        if rest.partition(b": ")[0] not in ACTIONS:
            return False
        return self._decided_by_word(at, origin, queue_id, rest)


def _unbracketed(value: bytes) -> bytes:
    if value[:1] == b"<":
        return value[1:-1] if value[-1:] == b">" else value[1:]
    return value
