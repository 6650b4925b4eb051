"""The answers of late by the message that they were given for: whoever asks again gets the same. Pure."""

from __future__ import annotations

from collections import deque
from typing import Protocol, TypeAlias

from policy_service.message import Charged, Message

#: Answers remembered: at a thousand messages a second those of the last 20 seconds at least, and Postfix waits ten for
#: an answer.
REMEMBERED = 20_000


class Asker(Protocol):
    """The connection that a request came by, and the message that it is about."""

    message: Message | None
    #: What the message was charged that is not known to be sent yet.
    charged: Charged | None
    #: Whether it ever spoke of END-OF-MESSAGE.
    ended: bool

    def tell(self, answer: bytes) -> None:
        """The answer to the request that had to wait."""


#: An answer, or while there is none who waits for it.
Known: TypeAlias = bytes | list[Asker]


class Answers:
    """The last ``REMEMBERED`` answers, ``known`` by the name of their message."""

    def __init__(self) -> None:
        self.known: dict[bytes, Known] = {}
        self._order: deque[bytes] = deque()

    def add(self, name: bytes, answer: Known) -> None:
        """Remember the answer to a message that is not known. One goes for it: many at once would take too long."""
        self.known[name] = answer
        order = self._order
        order.append(name)
        if len(order) > REMEMBERED:
            del self.known[order.popleft()]

    def keep(self, name: bytes, answer: Known) -> None:
        """Remember an answer, or another one; a request that names no message is not asked again."""
        if name in self.known:
            self.known[name] = answer
        elif name:
            self.add(name, answer)
