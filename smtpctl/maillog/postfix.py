"""What a line of a Postfix daemon says. ``understand`` is called for every line of a busy log: it slices and looks up,
and leaves regular expressions to lines that are rare.

Lines are told apart by the first three bytes after the queue id. That the daemon is a Postfix one is known already;
which one it is does not matter, because the same text means the same thing everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from smtpctl.maillog import phrases
from smtpctl.maillog.attempts import read_attempt
from smtpctl.maillog.decisions import ACTIONS, read_decision
from smtpctl.maillog.events import (
    Accepted,
    Activated,
    Expired,
    Happening,
    Identified,
    Notified,
    Phrase,
    PickedUp,
    Removed,
    Superseded,
    Unknown,
)

#: Short form: microseconds in hexadecimal, then the inode. Long form: seconds in base 52, "z", inode in base 51.
_QUEUE_ID = re.compile(
    rb"[0-9A-F]{6,26}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,16}"
)
_NOTIFICATION = re.compile(rb"(sender|postmaster) (non-delivery|delay|delivery status) notification: (\w+)")
_NOTIFICATION_KINDS = {b"non-delivery": b"bounce", b"delay": b"delay", b"delivery status": b"success"}
_HANDED_IN = re.compile(rb"uid=(\d+) from=<(.*?)>(?: orig_id=(\w+))?", re.S)
_ACCEPTED_FIELDS = re.compile(
    rb"client=(?P<client>.*?)(?:, sasl_method=(?P<method>[^,]*))?(?:, sasl_username=(?P<username>.*?))?"
    rb"(?:, sasl_sender=(?P<sender>.*?))?(?:, orig_queue_id=(?P<queue_id>\w+))?(?:, orig_client=(?P<original>.*?))?",
    re.S,
)
_SUPERSEDED = (b"requeued", b"placed on hold", b"released from hold", b"expired")
_QUEUED_DAYS = b"message has been queued for "


def understand(text: bytes) -> Happening:
    """What ``text`` (all after ``daemon[pid]: ``) says."""
    queue_id, colon, rest = text.partition(b": ")
    if colon:
        reader = _READERS.get(rest[:3])
        if reader and queue_id.isalnum() and queue_id not in _NOT_QUEUE_IDS:
            happening = reader(queue_id, rest)
            if happening is not None:
                return happening
    elif text[:12] == b"connect from":
        return Phrase("connect", None, text)
    elif text[:15] == b"disconnect from":
        return Phrase("disconnect", None, text)
    return _understand_rare(text, queue_id, rest)


def is_queue_id(text: bytes) -> bool:
    """Whether ``text`` has the form of a queue id."""
    return _QUEUE_ID.fullmatch(text) is not None


def split_peer(text: bytes) -> tuple[bytes, bytes, bytes]:
    """``name[address]:port`` in its parts; what is missing is empty."""
    name, _, rest = text.partition(b"[")
    address, _, port = rest.partition(b"]")
    return name, address, port[1:]


_NOT_QUEUE_IDS = frozenset((b"NOQUEUE", b"warning", b"fatal", b"panic", b"error", b"info", b"debug"))


def _accepted(queue_id: bytes, rest: bytes) -> Happening | None:
    if b", " not in rest:
        name, address, port = split_peer(rest[7:])
        return Accepted(queue_id, name, address, port)
    match = _ACCEPTED_FIELDS.fullmatch(rest)
    if not match:
        return None
    name, address, port = split_peer(match["client"])
    return Accepted(
        queue_id,
        name,
        address,
        port,
        match["method"],
        match["username"],
        match["sender"],
        match["queue_id"],
        match["original"],
    )


def _identified(queue_id: bytes, rest: bytes) -> Happening | None:
    if rest[:11] == b"message-id=":
        return Identified(queue_id, _unbracketed(rest[11:]))
    return None


def _resent(queue_id: bytes, rest: bytes) -> Happening | None:
    if rest[:18] == b"resent-message-id=":
        return Identified(queue_id, _unbracketed(rest[18:]), resent=True)
    return None


def _unbracketed(value: bytes) -> bytes:
    if value[:1] == b"<":
        return value[1:-1] if value[-1:] == b">" else value[1:]
    return value


def _from(queue_id: bytes, rest: bytes) -> Happening | None:
    """``from=<A>, size=N, nrcpt=M (queue active)`` or ``from=<A>, status=expired, returned to sender``."""
    if rest[-15:] == b" (queue active)":
        front, _, recipients = rest[5:-15].rpartition(b", nrcpt=")
        sender, _, size = front.rpartition(b", size=")
        if size.isdigit() and recipients.isdigit():
            return Activated(queue_id, sender[1:-1] if sender[:1] == b"<" else sender, int(size), int(recipients))
        return None
    sender, found, outcome = rest[5:].rpartition(b", status=")
    if found:
        status = outcome.partition(b",")[0]
        return Expired(queue_id, sender[1:-1] if sender[:1] == b"<" else sender, status)
    return None


def _removed(queue_id: bytes, rest: bytes) -> Happening | None:
    if rest == b"removed":
        return Removed(queue_id, b"")
    if rest[:9] == b"removed (" and rest[-1:] == b")":
        return Removed(queue_id, rest[9:-1])
    return None


def _notified(queue_id: bytes, rest: bytes) -> Happening | None:
    match = _NOTIFICATION.fullmatch(rest)
    if not match:
        return None
    kind = b"postmaster" if match[1] == b"postmaster" else _NOTIFICATION_KINDS[match[2]]
    return Notified(queue_id, kind, match[3])


def _picked_up(queue_id: bytes, rest: bytes) -> Happening | None:
    match = _HANDED_IN.fullmatch(rest)
    return PickedUp(queue_id, match[1], match[2], match[3]) if match else None


def _superseded(queue_id: bytes, rest: bytes) -> Happening | None:
    return Superseded(queue_id, rest) if rest in _SUPERSEDED else None


def _decided(queue_id: bytes | None, rest: bytes) -> Happening | None:
    action, colon, text = rest.partition(b": ")
    return read_decision(queue_id, action, text) if colon and action in ACTIONS else None


_READERS: Mapping[bytes, Callable[[bytes, bytes], Happening | None]] = {
    b"cli": _accepted,
    b"mes": _identified,
    b"res": _resent,
    b"fro": _from,
    b"to=": read_attempt,
    b"rem": _removed,
    b"sen": _notified,
    b"pos": _notified,
    b"uid": _picked_up,
    b"req": _superseded,
    b"pla": _superseded,
    b"exp": _superseded,
    b"rel": _superseded,
} | {action[:3]: _decided for action in ACTIONS}


def _understand_rare(text: bytes, first: bytes, rest: bytes) -> Happening:
    """Decisions before the queue, everything in the table of phrases, and what is not understood."""
    if first == b"NOQUEUE" and rest:
        if rest[:7] == b"client=":  # a before-queue filter: the message gets its queue id behind it
            return Phrase("proxy-client", None, text)
        return _decided(None, rest) or _phrase(None, rest)
    if first == b"warning" and rest:
        inner, colon, complaint = rest.partition(b": ")
        if colon and is_queue_id(inner):
            return Phrase("warning", inner, complaint)
        if inner == b"reject":
            return _decided(None, rest) or Phrase("warning", None, text)
    if rest and is_queue_id(first):
        return _phrase(first, rest)
    return _phrase(None, text)


def _phrase(queue_id: bytes | None, text: bytes) -> Happening:
    kind = phrases.kind_of(text)
    return Phrase(kind, queue_id, text) if kind else Unknown(queue_id, text)
