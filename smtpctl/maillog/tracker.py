"""From what lines say, one after another, to rows: which message, which attempt, which event.

A queue id names a message only on one instance and only for a time: Postfix uses short ids again. So an id leads to the
*latest* message that bore it, and a line that can only stand at the beginning of a message (``client=``, ``uid=``, a
``message-id=`` with neither) begins a new one when the latest has ended. Lines of different daemons reach the log in
almost the order in which they were written, not quite: a line about a message may come shortly after ``removed``
(``LATE``), a child may come before its parent and be gone before the parent's line names it.

Some daemons of an instance may log under a name of their own (``-o syslog_name=``). The queue manager and cleanup do
not: they say which instance a message belongs to, and other names are led there.

Pure: the caller reads the lines, keeps the rows, and tells after a restart which messages are open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from smtpctl.maillog.attempts import forwarded_as, queued_as, read_delays, read_relay, reply_code
from smtpctl.maillog.events import (
    Accepted,
    Activated,
    Attempt,
    Decision,
    Expired,
    Happening,
    Identified,
    Notified,
    Origin,
    Phrase,
    PickedUp,
    Policy,
    Removed,
    Signed,
    Superseded,
    Unknown,
)
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.phrases import fields_of
from smtpctl.maillog.shapes import shape_of
from smtpctl.model.deliveries import DAY, SECOND, Delivery, Event, Message, Rows, UnknownLine, Verdict

#: For this long after a message has ended, lines about its queue id are still about it.
LATE = 60 * SECOND
#: A message that never reached the queue manager: the client gave up without our seeing it.
ABANDONED = DAY

_REMEMBERED_PHRASES = frozenset(
    (
        "reply",
        "conversation",
        "tls-error",
        "transport",
        "sasl-failed",
        "daemon",
        "fatal",
        "panic",
        "notification-failed",
    )
)


#: (enhanced status code, reply) -> what a failure means.
Classify = Callable[[bytes, bytes], Verdict]


class OpenMessage(NamedTuple):
    """A message that an earlier run stored and that may still see lines."""

    id: int
    started_at: int
    ended_at: int | None
    instance: bytes
    queue_id: bytes
    origin: bytes | None
    pool: bytes | None
    stream: bytes | None
    activations: int


class _Entry:
    """What is known of one message so far."""

    __slots__ = (
        "activations",
        "client_address",
        "client_name",
        "credential",
        "end_kind",
        "ended_at",
        "expired",
        "first_active_at",
        "id",
        "instance",
        "message_id",
        "origin",
        "parent",
        "parent_kind",
        "pool",
        "queue_id",
        "recipients",
        "role",
        "sender",
        "size",
        "started_at",
        "stored",
        "stream",
        "touched",
    )

    def __init__(self, number: int, started_at: int, instance: bytes, queue_id: bytes) -> None:
        self.id = number
        self.started_at = started_at
        self.instance = instance
        self.queue_id = queue_id
        self.ended_at: int | None = None
        self.end_kind: bytes | None = None
        self.expired: bytes | None = None
        self.origin: bytes | None = None
        self.role: bytes | None = None
        self.pool: bytes | None = None
        self.stream: bytes | None = None
        self.credential: bytes | None = None
        self.client_name: bytes | None = None
        self.client_address: bytes | None = None
        self.message_id: bytes | None = None
        self.sender: bytes | None = None
        self.size: int | None = None
        self.recipients: int | None = None
        self.activations = 0
        self.first_active_at: int | None = None
        self.parent: int | None = None
        self.parent_kind: bytes | None = None
        self.stored = False
        self.touched = False

    def row(self) -> Message:
        return Message(
            self.id,
            self.started_at,
            self.ended_at,
            self.instance,
            self.queue_id,
            self.origin,
            self.role,
            self.pool,
            self.stream,
            self.credential,
            self.client_name,
            self.client_address,
            self.message_id,
            self.sender,
            self.size,
            self.recipients,
            self.activations,
            self.first_active_at,
            self.parent,
            self.parent_kind,
            self.end_kind,
        )


class Tracker:
    """Follows the messages of one host. Rows gather until ``take`` is called."""

    def __init__(
        self,
        labels: Labels,
        classify: Classify,
        next_row: int = 1,
        open_messages: Iterable[OpenMessage] = (),
    ) -> None:
        self.next_row = next_row
        self._labels = labels
        self._classify = classify
        self._entries: dict[bytes, dict[bytes, _Entry]] = {}
        self._homes: set[bytes] = set(labels.instances)
        self._aliases: dict[bytes, bytes] = {}
        self._ended: deque[_Entry] = deque()
        self._touched: list[_Entry] = []
        self._rows = Rows()
        self._now = 0
        self._handlers: dict[type, Callable[[int, Origin, Any], None]] = {
            Accepted: self._accepted,
            PickedUp: self._picked_up,
            Identified: self._identified,
            Activated: self._activated,
            Attempt: self._attempted,
            Expired: self._expired,
            Removed: self._removed,
            Notified: self._notified,
            Superseded: self._superseded,
            Decision: self._decided,
            Signed: self._signed,
            Policy: self._policy_decided,
            Phrase: self._phrase,
            Unknown: self._unknown,
        }
        for message in sorted(open_messages, key=lambda message: message.started_at):
            self._restore(message)

    def track(self, moment: int, origin: Origin, happening: Happening) -> None:
        """Take in what one line says."""
        self._now = moment
        handler = self._handlers.get(type(happening))
        if handler is not None:
            handler(moment, origin, happening)

    def take(self) -> Rows:
        """The rows that came up since the last call. From now on their messages are changed by updates."""
        rows, self._rows = self._rows, Rows()
        for entry in self._touched:
            (rows.updates if entry.stored else rows.messages).append(entry.row())
            entry.stored = True
            entry.touched = False
        self._touched.clear()
        self._forget()
        return rows

    def report(self, moment: int, origin: Origin, kind: str, text: str) -> None:
        """An event that no line says: a gap in the log."""
        self._event(moment, origin, kind, None, text=text.encode())

    @property
    def open_count(self) -> int:
        """Messages remembered."""
        return sum(map(len, self._entries.values()))

    # Finding and making entries

    def _restore(self, message: OpenMessage) -> None:
        entry = _Entry(message.id, message.started_at, message.instance, message.queue_id)
        entry.ended_at, entry.origin, entry.activations = message.ended_at, message.origin, message.activations
        entry.pool, entry.stream, entry.stored = message.pool, message.stream, True
        self._homes.add(message.instance)
        self._entries.setdefault(message.instance, {})[message.queue_id] = entry
        if entry.ended_at is not None:
            self._ended.append(entry)

    def _begin(self, moment: int, instance: bytes, queue_id: bytes) -> _Entry:
        entry = _Entry(self._number(), moment, instance, queue_id)
        known = self._labels.instance(instance)
        entry.role, entry.pool, entry.stream = known.role, known.pool, known.stream
        entries = self._entries.setdefault(instance, {})
        before = entries.get(queue_id)
        if before is not None and before.ended_at is None:
            self._end(before, moment, b"replaced")
        entries[queue_id] = entry
        entry.touched = True
        self._touched.append(entry)
        return entry

    def _number(self) -> int:
        number = self.next_row
        self.next_row = number + 1
        return number

    def _touch(self, entry: _Entry) -> None:
        if not entry.touched:
            entry.touched = True
            self._touched.append(entry)

    def _latest(self, instance: bytes, queue_id: bytes) -> _Entry | None:
        """The latest message with that id, on that instance or, for a name that is no instance, wherever it is."""
        entries = self._entries.get(instance)
        if entries is not None:
            entry = entries.get(queue_id)
            if entry is not None:
                return entry
        if instance in self._homes:
            return None
        home = self._aliases.get(instance)
        if home is not None:
            return self._entries.get(home, {}).get(queue_id)
        found = [entries[queue_id] for entries in self._entries.values() if queue_id in entries]
        return max(found, key=lambda entry: entry.started_at, default=None)

    def _at_home(self, instance: bytes, queue_id: bytes) -> _Entry | None:
        """As ``_latest``, for a line of the queue manager or cleanup: what a daemon with a name of its own began under
        that name comes home."""
        self._homes.add(instance)
        entries = self._entries.get(instance)
        entry = entries.get(queue_id) if entries is not None else None
        if entry is not None and entry.ended_at is None:
            return entry
        for name, others in self._entries.items():
            if name not in self._homes and queue_id in others:
                stranger = others.pop(queue_id)
                self._aliases[name] = stranger.instance = instance
                self._entries.setdefault(instance, {})[queue_id] = stranger
                return stranger
        return entry

    def _about(self, moment: int, instance: bytes, queue_id: bytes) -> _Entry:
        """The message that a line in the middle is about; begun here when the log does not hold its beginning."""
        entry = self._latest(instance, queue_id)
        if entry is None or (entry.ended_at is not None and moment - entry.ended_at > LATE):
            entry = self._begin(moment, self._aliases.get(instance, instance), queue_id)
        return entry

    def _end(self, entry: _Entry, moment: int, kind: bytes) -> None:
        entry.ended_at = moment
        entry.end_kind = kind
        self._touch(entry)
        self._ended.append(entry)

    def _forget(self) -> None:
        """Drop what ended so long ago that no line about it will come."""
        while self._ended and self._now - (self._ended[0].ended_at or 0) > LATE:
            entry = self._ended.popleft()
            entries = self._entries.get(entry.instance, {})
            if entries.get(entry.queue_id) is entry:
                del entries[entry.queue_id]

    # Beginnings

    def _accepted(self, moment: int, origin: Origin, said: Accepted) -> None:
        entry = self._latest(origin.instance, said.queue_id)
        if entry is None or entry.ended_at is not None or entry.origin in (b"smtp", b"local") or entry.activations > 1:
            entry = self._begin(moment, self._aliases.get(origin.instance, origin.instance), said.queue_id)
        entry.origin = b"smtp"
        entry.client_name = said.client_name
        entry.client_address = said.client_address
        username = said.sasl_username
        if username is not None:
            entry.credential = username
            entry.stream = self._labels.streams.get(username, entry.stream)
        if said.original_queue_id is not None:
            self._adopt(entry, self._somewhere(said.original_queue_id), b"filter")
        self._touch(entry)

    def _picked_up(self, moment: int, origin: Origin, said: PickedUp) -> None:
        entry = self._at_home(origin.instance, said.queue_id)
        if entry is None or entry.ended_at is not None or entry.origin in (b"smtp", b"local") or entry.activations > 1:
            entry = self._begin(moment, origin.instance, said.queue_id)
        entry.origin = b"local"
        entry.sender = said.sender
        if said.original_queue_id is not None:
            self._adopt(entry, self._latest(origin.instance, said.original_queue_id), b"requeue")
        self._touch(entry)

    def _identified(self, moment: int, origin: Origin, said: Identified) -> None:
        entry = self._at_home(origin.instance, said.queue_id)
        if entry is None or entry.ended_at is not None or (entry.activations and entry.message_id is not None):
            entry = self._begin(moment, origin.instance, said.queue_id)
            entry.origin = b"internal"
        if entry.message_id is None and not said.resent:
            entry.message_id = said.message_id
        self._touch(entry)

    # Middle and end

    def _activated(self, moment: int, origin: Origin, said: Activated) -> None:
        entry = self._at_home(origin.instance, said.queue_id)
        if entry is None or entry.ended_at is not None:
            entry = self._begin(moment, origin.instance, said.queue_id)
        entry.sender, entry.size, entry.recipients = said.sender, said.size, said.recipients
        entry.activations += 1
        if entry.activations == 1:
            entry.first_active_at = moment
        self._touch(entry)

    def _expired(self, moment: int, origin: Origin, said: Expired) -> None:
        entry = self._about(moment, origin.instance, said.queue_id)
        entry.expired = said.status
        entry.sender = said.sender
        self._touch(entry)
        self._event(moment, origin, said.status.decode(), entry, sender=said.sender)

    def _removed(self, moment: int, origin: Origin, said: Removed) -> None:
        entry = self._about(moment, origin.instance, said.queue_id)
        if entry.ended_at is not None:
            return
        by_hand = b"deleted" if origin.daemon == b"postsuper" else b"removed"
        self._end(entry, moment, said.how or entry.expired or by_hand)

    def _superseded(self, moment: int, origin: Origin, said: Superseded) -> None:
        entry = self._about(moment, origin.instance, said.queue_id)
        self._event(moment, origin, "changed", entry, action=said.action)
        if said.action == b"requeued" and entry.ended_at is None:
            self._end(entry, moment, b"requeued")

    def _attempted(self, moment: int, origin: Origin, said: Attempt) -> None:
        entry = self._about(moment, origin.instance, said.queue_id)
        reply = said.reply
        if said.status == b"sent":
            verdict = None
            child = forwarded_as(reply)
            if child is not None:
                self._adopt(self._child(moment, entry.instance, child), entry, b"forward")
        else:
            verdict = self._classify(said.dsn, reply)
        labels = self._labels
        domain = said.recipient.rpartition(b"@")[2].lower()
        relay_name, relay_address, relay_port = read_relay(said.relay)
        self._rows.deliveries.append(
            Delivery(
                self._number(),
                moment,
                entry.id,
                entry.instance,
                entry.role,
                entry.pool,
                entry.stream,
                said.recipient,
                said.original_recipient,
                domain,
                labels.provider(origin.service, domain),
                origin.service,
                labels.source_address(entry.instance, origin.service),
                relay_name,
                relay_address,
                relay_port,
                int(said.connection_use) if said.connection_use else None,
                float(said.delay) if said.delay else None,
                read_delays(said.delays),
                said.tls,
                said.status or b"unknown",
                said.dsn or None,
                reply_code(reply),
                reply or None,
                queued_as(reply),
                verdict,
            )
        )

    # Children

    def _notified(self, moment: int, origin: Origin, said: Notified) -> None:
        parent = self._about(moment, origin.instance, said.queue_id)
        child = self._child(moment, parent.instance, said.child)
        self._adopt(child, parent, said.kind)
        self._event(moment, origin, "notified", parent, notification=said.kind, child=said.child)

    def _child(self, moment: int, instance: bytes, queue_id: bytes) -> _Entry:
        """The message that a parent's line names: seen already (it may even be gone), or about to come."""
        entry = self._latest(instance, queue_id)
        if entry is None or entry.parent is not None or (entry.ended_at is not None and moment - entry.ended_at > LATE):
            entry = self._begin(moment, instance, queue_id)
        if entry.origin is None:
            entry.origin = b"internal"
        return entry

    def _somewhere(self, queue_id: bytes) -> _Entry | None:
        found = [entries[queue_id] for entries in self._entries.values() if queue_id in entries]
        return max(found, key=lambda entry: entry.started_at, default=None)

    def _adopt(self, child: _Entry, parent: _Entry | None, kind: bytes) -> None:
        if parent is not None and child is not parent and child.parent is None:
            child.parent, child.parent_kind = parent.id, kind
            self._touch(child)

    # Events

    def _decided(self, moment: int, origin: Origin, said: Decision) -> None:
        entry = self._known(origin.instance, said.queue_id)
        if entry is not None and said.action == b"filter":
            self._choose_pool(entry, said.text)
        if entry is not None and entry.ended_at is None and self._refuses_the_message(said):
            self._end(entry, moment, b"rejected")
        self._event(
            moment,
            origin,
            said.action.decode(),
            entry,
            sender=said.sender,
            recipient=said.recipient,
            queue_id=said.queue_id,
            stage=said.stage,
            client=said.client,
            code=said.code,
            status=said.status,
            text=said.text,
            credential=said.sasl_username,
        )

    def _choose_pool(self, entry: _Entry, text: bytes) -> None:
        """``… triggers FILTER transactional:[127.0.0.1]:10025``: the transport is named after the pool."""
        transport = text.rpartition(b"FILTER ")[2].partition(b":")[0]
        if transport in self._labels.pools:
            entry.pool = transport
            self._touch(entry)

    @staticmethod
    def _refuses_the_message(said: Decision) -> bool:
        """Before Postfix 3.10 no ``removed`` follows a refusal at the end of the message."""
        refused = said.action in (b"reject", b"milter-reject", b"discard", b"milter-discard")
        return refused and (said.stage == b"END-OF-MESSAGE" or said.stage.startswith((b"header ", b"body ", b"DATA")))

    def _signed(self, moment: int, origin: Origin, said: Signed) -> None:
        entry = self._known(origin.instance, said.queue_id)
        self._event(moment, origin, "signed", entry, queue_id=said.queue_id, selector=said.selector, domain=said.domain)

    def _policy_decided(self, moment: int, origin: Origin, said: Policy) -> None:
        entry = self._known(origin.instance, said.queue_id)
        fields = {name.decode(): value for name, value in said.fields.items()}
        sender, recipient = fields.pop("sender", None), fields.pop("recipient", None)
        self._event(
            moment, origin, "policy", entry, sender=sender, recipient=recipient, queue_id=said.queue_id, **fields
        )

    def _phrase(self, moment: int, origin: Origin, said: Phrase) -> None:
        if said.kind not in _REMEMBERED_PHRASES:
            return
        entry = self._known(origin.instance, said.queue_id)
        if said.kind == "transport":
            fields = fields_of(said.text)
            recipient = fields.pop("recipient", None)
            self._event(moment, origin, said.kind, entry, recipient=recipient, **fields)
        elif said.queue_id is not None or said.kind in ("sasl-failed", "daemon", "fatal", "panic"):
            self._event(moment, origin, said.kind, entry, queue_id=said.queue_id, text=said.text)

    def _unknown(self, moment: int, origin: Origin, said: Unknown) -> None:
        sample = b"/".join(filter(None, (origin.instance, origin.daemon))) + b": " + said.text
        self._rows.unknown.append(UnknownLine(moment, shape_of(sample), sample[:2048]))

    def _known(self, instance: bytes, queue_id: bytes | None) -> _Entry | None:
        return None if queue_id is None else self._latest(instance, queue_id)

    def _event(
        self,
        moment: int,
        origin: Origin,
        kind: str,
        entry: _Entry | None,
        *,
        sender: bytes | None = None,
        recipient: bytes | None = None,
        **detail: bytes | None,
    ) -> None:
        texts: dict[str, str | int] = {name: value.decode(errors="replace") for name, value in detail.items() if value}
        number = self._number()
        message = entry.id if entry is not None else None
        instance = entry.instance if entry is not None else origin.instance
        self._rows.events.append(Event(number, moment, instance, kind, message, sender, recipient, texts))
