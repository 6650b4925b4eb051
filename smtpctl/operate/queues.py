"""The queues of the fleet as one: choose over all hosts at once, then act on what was chosen. Edge: connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from smtpctl.model.fleet import Fleet
from smtpctl.operate import wanted as selecting
from smtpctl.operate.visits import Visits
from smtpctl.operate.wanted import Wanted
from smtpctl.transport.agent.frames import Message
from smtpctl.transport.host import Host

#: Called with host, instance and lines of postqueue -j, as they come in; from several threads.
OnLines = Callable[[str, str, bytes], None]
#: Called with host and a number of messages that were acted on.
OnProgress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Counted:
    """What was chosen in one queue of one instance."""

    host: str
    instance: str
    queue: str
    messages: int
    recipients: int
    bytes: int
    #: Messages that have recipients besides the chosen ones: an action concerns them whole.
    others: int
    #: When the oldest came, in seconds since the epoch.
    oldest: float


@dataclass(frozen=True, slots=True)
class Selected:
    """What was chosen, in numbers."""

    counts: list[Counted] = field(default_factory=list)
    groups: Counter[str] = field(default_factory=Counter)

    @property
    def messages(self) -> int:
        return sum(count.messages for count in self.counts)


class FleetQueues:
    """The queues of the hosts of some visits."""

    def __init__(self, fleet: Fleet, visits: Visits) -> None:
        self._fleet = fleet
        self._visits = visits

    def select(
        self, wanted: Wanted, *, by: str = "", on_lines: OnLines | None = None, hosts: Collection[str] = ()
    ) -> Selected:
        """Choose on every host, or on ``hosts``. ``by`` also counts in groups; ``on_lines`` gets every message that was
        chosen."""

        def ask(name: str, host: Host) -> Message:
            def event(message: Message) -> None:
                if on_lines:
                    on_lines(name, message.header["instance"], message.blobs[0])

            header = selecting.request(wanted, self._fleet, name, lines=on_lines is not None, by=by)
            return host.ask(header, on_event=event)

        selected = Selected()
        for name, answer in self._visits.each(ask, hosts).items():
            for instance, queues in answer.header["counts"].items():
                selected.counts.extend(
                    Counted(host=name, instance=instance, queue=queue, **count) for queue, count in queues.items()
                )
            for group, messages in answer.header["groups"]:
                selected.groups[group] += messages
        return selected

    def act(self, action: str, on_progress: OnProgress) -> dict[str, dict[str, int]]:
        """Do ``action`` to what was chosen; by host and instance, how many messages were still there for it."""

        def ask(name: str, host: Host) -> dict[str, int]:
            def event(message: Message) -> None:
                on_progress(name, message.header["messages"])

            acted: dict[str, int] = host.ask({"do": "queue-act", "action": action}, on_event=event).header["acted"]
            return acted

        return self._visits.each(ask)

    def content(self, host: str, instance: str, identity: str) -> bytes:
        """Header and body of one message. The host logs who read it."""
        request: dict[str, Any] = {"do": "queue-show", "instance": instance, "id": identity}
        return self._visits.hosts[host].ask(request).blobs[0]
