"""What is kept of a message from one request of its connection to the next. Values only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from policy_service.key import Units

#: What a message was charged at DATA: its instance, the units, and when (nanoseconds).
Charged: TypeAlias = tuple[bytes, Units, int]


class Message:
    """Providers of the recipients so far, and whether it has its header."""

    __slots__ = ("_last", "instance", "prepended", "providers")

    def __init__(self, instance: bytes) -> None:
        self.instance = instance
        self.providers: dict[str, int] = {}
        self.prepended = False
        self._last = b""

    def note_recipient(self, recipient: bytes, provider: Callable[[str], str]) -> None:
        """Count a recipient. The same one twice in a row is a question that was asked again."""
        if recipient != self._last:
            self._last = recipient
            name = provider(recipient.rpartition(b"@")[2].decode("utf-8", "surrogateescape"))
            self.providers[name] = self.providers.get(name, 0) + 1


def message_of(before: Message | None, instance: bytes) -> Message:
    """The message of ``instance``: the connection's present one, or a new one."""
    return before if before is not None and before.instance == instance else Message(instance)
