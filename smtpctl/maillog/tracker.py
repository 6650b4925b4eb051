"""From what lines say, one after another, to rows: which message, which attempt, which event.

A line that can only stand at the beginning of a message (``client=``, ``uid=``, a ``message-id=`` with neither) begins
a new one when the latest with its queue id has ended. Lines of different daemons reach the log in almost the order in
which they were written, not quite: a line about a message may come shortly after ``removed``, a child may come before
its parent and be gone before the parent's line names it.

Pure: the caller reads the lines, keeps the rows, and tells after a restart which messages are open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from smtpctl.maillog.entries import Entries, Entry
from smtpctl.maillog.events import Events
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.listener import Decision, Ending, Hop, Origin, Peer, Timing
from smtpctl.model.deliveries import (
    Delivery,
    Outcome,
    Place,
    Route,
    Rows,
    Verdict,
    new_tuple,
)

#: (enhanced status code, reply, provider) -> what a failure means.
Classify = Callable[[bytes, bytes, bytes | None], Verdict]

#: Ways of beginning after which another beginning is another message's.
_BEGUN = (b"smtp", b"local")
_MOST_ROUTES = 50_000
_MOST_SESSIONS = 50_000
#: Replies are long, and remembered where they are read too.
_MOST_FAILURES = 4_096
#: Bytes; an index has no room for more than about 2,700, and three of them may stand for one that was no UTF-8.
_LONGEST_MESSAGE_ID = 900


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
    identified: bool
    parent: int | None
    end_kind: bytes | None


class Tracker(Events):
    """Follows the messages of one host; a ``Listener``. Rows gather until ``take`` is called."""

    wants_sessions = False

    def __init__(
        self,
        labels: Labels,
        classify: Classify,
        next_row: int = 1,
        open_messages: Iterable[OpenMessage] = (),
    ) -> None:
        super().__init__(Entries(labels, next_row))
        self._labels = labels
        self._classify = classify
        self._by_id = self._entries.by_id
        #: The message that a process of smtpd(8) is taking in.
        self._sessions: dict[Origin, Entry] = {}
        #: Processes of smtpd(8) that throw the message away which is about to come.
        self._discarding: set[Origin] = set()
        self._routes: dict[tuple[bytes, bytes, bytes], Route] = {}
        self._sent: dict[tuple[bytes, bytes | None], Outcome] = {}
        self._failed: dict[tuple[Ending, bytes | None, bytes | None], Outcome] = {}
        for message in sorted(open_messages, key=lambda message: (message.started_at, message.id)):
            self._restore(message)

    @property
    def next_row(self) -> int:
        """The number that the next row gets."""
        return self._entries.next_row

    @property
    def open_count(self) -> int:
        """Messages remembered."""
        return len(self._entries)

    def take(self, now: int) -> Rows:
        """The rows that came up since the last call; ``now`` is the moment of the last line. From now on what
        becomes of their messages is a change."""
        rows, self._rows = self._rows, Rows()
        rows.messages, rows.changes = self._entries.take(now)
        return rows

    def _restore(self, message: OpenMessage) -> None:
        known = self._labels.instance(message.instance)
        place = Place(message.instance, known.role, message.pool, message.stream)
        entry = Entry(message.id, message.started_at, place, message.queue_id)
        entry.ended_at, entry.origin, entry.activations = message.ended_at, message.origin, message.activations
        entry.identified, entry.parent, entry.end_kind = message.identified, message.parent, message.end_kind
        self._entries.restore(entry)

    # Beginnings

    def accepted(self, at: int, origin: Origin, queue_id: bytes, peer: Peer) -> None:
        entries = self._entries
        entry = self._by_id.get(queue_id) and entries.latest(origin.instance, queue_id)
        if entry is None or entry.ended_at is not None or entry.origin in _BEGUN or entry.activations > 1:
            entry = entries.begin(at, origin.instance, queue_id)
        elif not entry.touched:
            entries.touch(entry)
        before = self._sessions.get(origin)
        if before is not None and not before.identified:
            self._abort(before, at)
        elif len(self._sessions) > _MOST_SESSIONS:
            self._sessions.clear()
        self._sessions[origin] = entry
        if origin in self._discarding:
            self._discarding.remove(origin)
            self._discard(entry, at)
        entry.origin = b"smtp"
        entry.client = peer.client
        if peer.more:
            self._accepted_with(at, entry, peer.more)

    def _accepted_with(self, at: int, entry: Entry, more: Mapping[bytes, bytes]) -> None:
        stream = self._labels.streams.get(more.get(b"sasl_username", b""))
        if stream is not None:
            entry.place = entry.place._replace(stream=stream)
        if b"orig_queue_id" in more:
            self._adopt(entry, self._entries.anywhere(at, more[b"orig_queue_id"]), b"filter")

    def hung_up(self, origin: Origin) -> bool:
        entry = self._sessions.get(origin)
        if (entry is not None and not entry.identified) or self._discarding:
            return True
        self._sessions.pop(origin, None)
        return False

    def disconnected(self, at: int, origin: Origin, text: bytes) -> None:
        entry = self._sessions.pop(origin, None)
        if entry is not None and not entry.identified:
            self._abort(entry, at)
        if self._discarding:
            self._discarding.discard(origin)

    def _abort(self, entry: Entry, at: int) -> None:
        """A transaction is over. Where no content came (cleanup never logged a Message-ID) the message never was."""
        if not entry.identified and not entry.activations and entry.ended_at is None:
            self._entries.end(entry, at, entry.end_kind or b"aborted")

    def picked_up(
        self, at: int, origin: Origin, queue_id: bytes, uid: bytes, sender: bytes, original_queue_id: bytes | None
    ) -> None:
        entry = self._entries.at_home(origin.instance, queue_id)
        if entry is None or entry.ended_at is not None or entry.origin in _BEGUN or entry.activations > 1:
            entry = self._entries.begin(at, origin.instance, queue_id)
        entry.origin = b"local"
        entry.sender = sender
        if original_queue_id is not None:
            self._adopt(entry, self._known(at, origin.instance, original_queue_id), b"requeue")
        self._entries.touch(entry)

    def identified(self, at: int, origin: Origin, queue_id: bytes, message_id: bytes, resent: bool) -> None:
        entries = self._entries
        entry = entries.at_home(origin.instance, queue_id)
        if entry is None or entry.ended_at is not None or (entry.activations and entry.identified):
            entry = entries.begin(at, origin.instance, queue_id)
            entry.origin = b"internal"
            entry.home = True
        if not entry.identified and not resent:
            entry.message_id = message_id[:_LONGEST_MESSAGE_ID]
            entry.identified = True
            if not entry.touched:
                entries.touch(entry)
            if entry.end_kind == b"discarded":
                self._discard(entry, at)

    # Middle and end

    def activated(self, at: int, origin: Origin, queue_id: bytes, sender: bytes, size: int, recipients: int) -> None:
        entry = self._by_id.get(queue_id)
        if entry is None or not entry.home or entry.instance != origin.instance:
            entry = self._entries.at_home(origin.instance, queue_id)
        if entry is None or entry.ended_at is not None:
            entry = self._entries.begin(at, origin.instance, queue_id)
        elif not entry.touched:
            self._entries.touch(entry)
        entry.sender, entry.size, entry.recipients = sender, size, recipients
        entry.activations += 1
        if entry.activations == 1:
            entry.first_active_at = at

    def expired(self, at: int, origin: Origin, queue_id: bytes, sender: bytes, status: bytes) -> None:
        entry = self._entries.about(at, origin.instance, queue_id)
        entry.end_kind = status
        entry.sender = sender
        self._entries.touch(entry)
        self._event(at, origin, status.decode(errors="replace"), entry)

    def removed(self, at: int, origin: Origin, queue_id: bytes, how: bytes) -> None:
        entry = self._by_id.get(queue_id)
        if entry is None or entry.ended_at is not None or entry.instance != origin.instance:
            entry = self._entries.about(at, origin.instance, queue_id)
        if entry.ended_at is None:
            kind = how or entry.end_kind
            if kind is None:
                kind = b"deleted" if origin.daemon == b"postsuper" else b"removed"
            self._entries.end(entry, at, kind)

    def changed(self, at: int, origin: Origin, queue_id: bytes, action: bytes) -> None:
        entry = self._entries.about(at, origin.instance, queue_id)
        self._event(at, origin, "changed", entry, action=action)
        if action == b"requeued" and entry.ended_at is None:
            self._entries.end(entry, at, b"requeued")

    def attempted(
        self,
        at: int,
        origin: Origin,
        queue_id: bytes,
        recipient: bytes,
        original_recipient: bytes | None,
        hop: Hop,
        timing: Timing,
        ending: Ending,
    ) -> None:
        entries = self._entries
        entry = self._by_id.get(queue_id)
        if entry is None or entry.ended_at is not None or entry.instance != origin.instance:
            entry = entries.named(at, origin.instance, queue_id) or entries.begin(at, origin.instance, queue_id)
        key = (entry.instance, origin.service, recipient.rpartition(b"@")[2])
        route = self._routes.get(key) or self._route(key)
        dsn, tls = ending.dsn, timing.tls
        if ending.status == b"sent":
            outcome = self._sent.get((dsn, tls)) or self._success(dsn, tls)
            if ending.forwarded_as is not None:
                self._adopt(self._child(at, entry.instance, ending.forwarded_as), entry, b"forward")
        else:
            outcome = self._failed.get((ending, tls, route.provider)) or self._failure(ending, tls, route.provider)
        number = entries.next_row
        entries.next_row = number + 1
        self._rows.deliveries.append(
            new_tuple(
                Delivery,
                (
                    number,
                    at,
                    entry.id,
                    entry.place,
                    recipient,
                    original_recipient,
                    route,
                    hop.relay,
                    hop.connection_use,
                    timing.delays,
                    outcome,
                    ending.reply_code,
                    ending.reply,
                    ending.queued_as,
                ),
            )
        )

    def _success(self, dsn: bytes, tls: bytes | None) -> Outcome:
        if len(self._sent) > _MOST_ROUTES:
            self._sent.clear()
        outcome = self._sent[dsn, tls] = Outcome(b"sent", dsn, tls, None)
        return outcome

    def _failure(self, ending: Ending, tls: bytes | None, provider: bytes | None) -> Outcome:
        if len(self._failed) > _MOST_FAILURES:
            self._failed.clear()
        verdict = self._classify(ending.dsn, ending.reply, provider)
        outcome = Outcome(ending.status or b"unknown", ending.dsn, tls, verdict)
        self._failed[ending, tls, provider] = outcome
        return outcome

    def _route(self, key: tuple[bytes, bytes, bytes]) -> Route:
        if len(self._routes) > _MOST_ROUTES:
            self._routes.clear()
        instance, transport, domain = key
        domain = domain.lower()
        route = self._routes[key] = Route(
            transport,
            self._labels.source_address(instance, transport),
            domain,
            self._labels.provider(transport, domain),
        )
        return route

    # Children

    def notified(self, at: int, origin: Origin, queue_id: bytes, kind: bytes, child: bytes) -> None:
        parent = self._entries.about(at, origin.instance, queue_id)
        self._adopt(self._child(at, parent.instance, child), parent, kind)

    def _child(self, at: int, instance: bytes, queue_id: bytes) -> Entry:
        """The message that a parent's line names: seen already (it may even be gone), or about to come."""
        entry = self._entries.latest(instance, queue_id)
        if entry is None or entry.parent is not None or entry.is_over(at):
            entry = self._entries.begin(at, instance, queue_id)
        if entry.origin is None:
            entry.origin = b"internal"
        return entry

    def _adopt(self, child: Entry, parent: Entry | None, kind: bytes) -> None:
        if parent is not None and child is not parent and child.parent is None:
            child.parent, child.parent_kind = parent.id, kind
            self._entries.touch(child)

    # Events

    def decided(self, at: int, origin: Origin, decision: Decision) -> None:
        entry = self._known(at, origin.instance, decision.queue_id)
        if entry is not None and decision.action == b"filter":
            self._choose_pool(entry, decision.text)
        if decision.action in (b"discard", b"milter-discard"):
            if entry is not None:
                self._discard(entry, at, at_once=_is_about_the_content(decision))
            elif decision.queue_id is None:
                self._discarding.add(origin)
        elif entry is not None and entry.ended_at is None and _refuses_the_message(decision):
            self._entries.end(entry, at, b"rejected")
        detail = decision._asdict()
        action, sender, recipient = (detail.pop(name) for name in ("action", "sender", "recipient"))
        self._event(at, origin, action.decode(errors="replace"), entry, sender=sender, recipient=recipient, **detail)

    def _discard(self, entry: Entry, at: int, *, at_once: bool = False) -> None:
        """The message is taken and thrown away; before Postfix 3.10 nothing more is logged after its content."""
        if entry.ended_at is not None:
            return
        if entry.identified or at_once:
            self._entries.end(entry, at, b"discarded")
        else:
            entry.end_kind = b"discarded"

    def _choose_pool(self, entry: Entry, text: bytes) -> None:
        """``… triggers FILTER transactional:[127.0.0.1]:10025``: the transport is named after the pool."""
        transport = text.rpartition(b"FILTER ")[2].partition(b":")[0]
        if transport in self._labels.pools:
            entry.place = entry.place._replace(pool=transport)
            self._entries.touch(entry)

    def phrased(self, at: int, origin: Origin, kind: str, queue_id: bytes | None, text: bytes) -> None:
        if kind == "lost":
            self.disconnected(at, origin, text)
        else:
            super().phrased(at, origin, kind, queue_id, text)


def _refuses_the_message(said: Decision) -> bool:
    """Before Postfix 3.10 no ``removed`` follows a refusal at the end of the message."""
    refused = said.action in (b"reject", b"milter-reject")
    return refused and (said.stage == b"DATA" or _is_about_the_content(said))


def _is_about_the_content(said: Decision) -> bool:
    return said.stage == b"END-OF-MESSAGE" or said.stage.startswith((b"header ", b"body ", b"mime-header "))
