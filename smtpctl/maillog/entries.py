"""Which message a queue id names. Pure.

A queue id names a message only on one instance and only for a time: Postfix uses short ids again. So an id leads to the
*latest* message that bore it, and a line about an id whose message ended more than LATE ago is about another one.

Some daemons of an instance may log under another name (``-o syslog_name=``), even that of another instance: Debian's
master.cf names the relay transport of *every* instance ``postfix/relay``. The queue manager and cleanup do not: they
say which instance a message belongs to. What others say of an id that their own instance does not know is about the
message that has it.
"""

from __future__ import annotations

from collections import deque

from smtpctl.maillog.labels import Labels
from smtpctl.model.deliveries import DAY, SECOND, Change, Client, Message, Place, new_tuple

#: For this long after a message has ended, lines about its queue id are still about it.
LATE = 60 * SECOND
#: A transaction without content that is this old is over, though the line that says so was lost in a restart.
ABANDONED = DAY

_NOBODY = Client()


class Entry:
    """What is known of one message so far. What no line has told stays None."""

    __slots__ = (
        "activations",
        "client",
        "end_kind",
        "ended_at",
        "first_active_at",
        "home",
        "id",
        "identified",
        "instance",
        "last",
        "message_id",
        "origin",
        "parent",
        "parent_kind",
        "place",
        "queue_id",
        "recipients",
        "sender",
        "size",
        "started_at",
        "stored",
        "touched",
    )

    def __init__(self, number: int, started_at: int, place: Place, queue_id: bytes) -> None:
        self.id = number
        self.started_at = started_at
        self.place = place
        self.instance = place.instance
        #: Whether the queue manager or cleanup wrote about it, so that its instance is sure.
        self.home = False
        self.queue_id = queue_id
        self.ended_at: int | None = None
        self.origin: bytes | None = None
        self.client = _NOBODY
        self.message_id: bytes | None = None
        #: Whether cleanup logged a Message-ID; after a restart that is known, the Message-ID is not.
        self.identified = False
        self.sender: bytes | None = None
        self.size: int | None = None
        self.recipients: int | None = None
        self.activations = 0
        self.first_active_at: int | None = None
        self.parent: int | None = None
        self.parent_kind: bytes | None = None
        #: How it ended; ``expired`` stands here from when the queue manager said so, a little before the end.
        self.end_kind: bytes | None = None
        #: Whether the ledger has it already, the row that it has, and whether anything changed since.
        self.stored = False
        self.last: Message | None = None
        self.touched = True

    def is_over(self, moment: int) -> bool:
        """Whether a line of that moment is about another message. Not when it is forgotten: that depends on batches."""
        return self.ended_at is not None and moment - self.ended_at > LATE

    def row(self) -> Message:
        """The message as a row."""
        return new_tuple(
            Message,
            (
                self.id,
                self.started_at,
                self.ended_at,
                self.place,
                self.queue_id,
                self.origin,
                self.client,
                self.message_id,
                self.sender,
                self.size,
                self.recipients,
                self.activations,
                self.first_active_at,
                self.parent,
                self.parent_kind,
                self.end_kind,
            ),
        )


class Entries:
    """The messages of one host that may still see lines, and the numbers of its rows.

    They are kept by queue id. In the rare case that one id names messages of two instances at once, the one that began
    later is kept so, the others by instance and id.
    """

    def __init__(self, labels: Labels, next_row: int) -> None:
        self.next_row = next_row
        self._labels = labels
        #: For callers that look here before they ask: an entry found here whose instance is theirs is the one.
        self.by_id: dict[bytes, Entry] = {}
        self._twins: dict[tuple[bytes, bytes], Entry] = {}
        self._places: dict[bytes, Place] = {}
        self._homes = set(labels.instances)
        self._aliases: dict[bytes, bytes] = {}
        self._ended: deque[Entry] = deque()
        self._touched: list[Entry] = []
        #: Restored ones without content, in the order of their beginnings: the session they belong to is not known.
        self._unfinished: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self.by_id) + len(self._twins)

    def number(self) -> int:
        """A number for a row."""
        number = self.next_row
        self.next_row = number + 1
        return number

    def latest(self, instance: bytes, queue_id: bytes) -> Entry | None:
        """The latest message with that id, on that instance or, for a name that is no instance, wherever it is."""
        entry = self.by_id.get(queue_id)
        if entry is None or entry.instance == instance:
            return entry
        if instance not in self._homes:
            home = self._aliases.get(instance)
            return entry if home is None or home == entry.instance else self._twins.get((home, queue_id))
        return self._twins.get((instance, queue_id))

    def anywhere(self, moment: int, queue_id: bytes) -> Entry | None:
        """The latest message with that id on any instance."""
        entry = self.by_id.get(queue_id)
        return None if entry is None or entry.is_over(moment) else entry

    def at_home(self, instance: bytes, queue_id: bytes) -> Entry | None:
        """As ``latest``, for a line of the queue manager or cleanup: what a daemon with a name of its own began under
        that name comes home."""
        self._homes.add(instance)
        entry = self.by_id.get(queue_id)
        if entry is None:
            return None
        name = entry.instance
        if name == instance:
            entry.home = True
            return entry
        if entry.home or entry.ended_at is not None:
            return self._twins.get((instance, queue_id))
        if name not in self._homes:
            self._aliases[name] = instance
        place = self._place(instance)
        entry.place = place._replace(stream=entry.place.stream or place.stream)
        entry.instance = instance
        return entry

    def named(self, moment: int, instance: bytes, queue_id: bytes) -> Entry | None:
        """The message that a daemon of whatever name speaks of."""
        entry = self.latest(instance, queue_id)
        if entry is None or entry.is_over(moment):
            entry = self.by_id.get(queue_id)
        return None if entry is None or entry.is_over(moment) else entry

    def about(self, moment: int, instance: bytes, queue_id: bytes) -> Entry:
        """The message that a line of the instance itself is about; begun here when its beginning is not in the log."""
        entry = self.by_id.get(queue_id)
        if entry is not None and entry.instance != instance:
            entry = self.latest(instance, queue_id)
        if entry is None or entry.is_over(moment):
            entry = self.begin(moment, instance, queue_id)
        return entry

    def begin(self, moment: int, instance: bytes, queue_id: bytes) -> Entry:
        """A new message. One that bore the id on that instance until now has ended, though no line said so."""
        if instance in self._aliases:
            instance = self._aliases[instance]
        number = self.next_row
        self.next_row = number + 1
        entry = Entry(number, moment, self._places.get(instance) or self._place(instance), queue_id)
        before = self.by_id.get(queue_id)
        if before is not None:
            self._make_room(before, moment, instance)
        self.by_id[queue_id] = entry
        self._touched.append(entry)
        return entry

    def _make_room(self, before: Entry, moment: int, instance: bytes) -> None:
        """The id was another message's. One of the same instance is over; one of another goes on as a twin."""
        twin = self._twins.pop((instance, before.queue_id), None)
        if before.instance != instance:
            self._twins[before.instance, before.queue_id] = before
        for old in (before, twin):
            if old is not None and old.instance == instance and old.ended_at is None:
                self.end(old, moment, b"replaced")

    def restore(self, entry: Entry) -> None:
        """Take in a message that an earlier run stored."""
        entry.stored, entry.touched = True, False
        if entry.activations or entry.identified:  # the queue manager or cleanup wrote about it under that name
            self._homes.add(entry.instance)
        elif entry.ended_at is None:
            self._unfinished.append(entry)
        before = self.by_id.get(entry.queue_id)
        if before is not None and before.instance != entry.instance:
            self._twins[before.instance, before.queue_id] = before
        self.by_id[entry.queue_id] = entry
        if entry.ended_at is not None:
            self._ended.append(entry)

    def touch(self, entry: Entry) -> None:
        """Say that an entry changed."""
        if not entry.touched:
            entry.touched = True
            self._touched.append(entry)

    def end(self, entry: Entry, moment: int, kind: bytes) -> None:
        """Say that a message has left the queue."""
        entry.ended_at = moment
        entry.end_kind = kind
        self._ended.append(entry)
        if not entry.touched:
            self.touch(entry)

    def take(self, moment: int) -> tuple[list[Message], list[Change]]:
        """(new messages, changes to older ones) since the last call; and forget what no line can be about any more."""
        self._give_up(moment)
        new: list[Message] = []
        changed: list[Change] = []
        for entry in self._touched:
            row = entry.row()
            if entry.stored:
                changed.append(_difference(entry.last, row))
            else:
                new.append(row)
            entry.last = row if entry.ended_at is None else None  # nothing is to come: a late line tells all anew
            entry.stored = True
            entry.touched = False
        self._touched.clear()
        self._forget(moment)
        return new, changed

    def _give_up(self, moment: int) -> None:
        while self._unfinished and moment - self._unfinished[0].started_at > ABANDONED:
            entry = self._unfinished.popleft()
            if entry.ended_at is None and not entry.activations and not entry.identified:
                self.end(entry, entry.started_at + ABANDONED, b"aborted")

    def _forget(self, moment: int) -> None:
        ended, by_id = self._ended, self.by_id
        while ended and moment - (ended[0].ended_at or 0) > LATE:
            entry = ended.popleft()
            queue_id = entry.queue_id
            if by_id.get(queue_id) is entry:
                del by_id[queue_id]
            elif self._twins.get((entry.instance, queue_id)) is entry:
                del self._twins[entry.instance, queue_id]

    def _place(self, instance: bytes) -> Place:
        known = self._labels.instance(instance)
        place = self._places[instance] = Place(instance, known.role, known.pool, known.stream)
        return place


def _difference(before: Message | None, after: Message) -> Change:
    """What ``after`` says that ``before`` did not. Of a message that an earlier run stored there is no row here: what
    is known now is all new."""
    if before is None:
        return Change(*after)._replace(client=None if after.client is _NOBODY else after.client)
    fields = [new if new != old else None for old, new in zip(before[2:], after[2:], strict=True)]
    return new_tuple(Change, (after.id, after.started_at, *fields))
