"""The answers of late by the message that they were given for: whoever asks again gets the same. Pure."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from policy_service.message import Message

#: Answers remembered: at a thousand messages a second those of the last 20 seconds at least, and Postfix waits ten for
#: an answer.
REMEMBERED = 20_000


class Asker(Protocol):
    """The connection that a request came by, and the message that it is about."""

    message: Message | None
    #: Whether it ever spoke of END-OF-MESSAGE.
    ended: bool

    def tell(self, answer: bytes) -> None:
        """The answer to the request that had to wait."""


#: An answer, or while there is none who waits for it.
Known: TypeAlias = bytes | list[Asker]


class Answers:
    """Answers by the name of their message; at least ``REMEMBERED`` of them, at most twice as many."""

    def __init__(self) -> None:
        self._recent: dict[bytes, Known] = {}
        self._older: dict[bytes, Known] = {}

    def find(self, name: bytes) -> Known | None:
        """What is known of a message."""
        return self._recent.get(name) or self._older.get(name)

    def keep(self, name: bytes, answer: Known) -> None:
        """Remember it; a request that names no message is not asked again."""
        if name:
            if len(self._recent) >= REMEMBERED:
                self._older, self._recent = self._recent, {}
            self._recent[name] = answer
