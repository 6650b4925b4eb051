"""What is known beside the rules file: suppressed recipients, held credentials. In memory; filled from behind.

A suppressed recipient is eight bytes of the keyed hash of its address, in one sorted array: a million take eight
megabytes, and nobody reads an address out of it. What changed since the array was made stands in two small sets.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable

#: Changes kept beside the array before they are merged into it.
MOST_CHANGES = 10_000


class Standing:
    """Suppressed recipients and held credentials of one process."""

    def __init__(self) -> None:
        #: Credential -> until when it is held (seconds since the epoch).
        self.held: dict[str, float] = {}
        self._secret = b""
        self._hashes = array("Q")
        self._added: set[int] = set()
        self._removed: set[int] = set()
        self._changed = False

    @property
    def any_suppressed(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._hashes or self._added)

    def __len__(self) -> int:
        return len(self._hashes) + len(self._added) - len(self._removed)

    def suppressed(self, recipient: bytes) -> bool:
        """Whether mail to ``recipient`` is suppressed."""
        if not self.any_suppressed:
            return False
        number = digest(self._secret, recipient)
        if number in self._added:
            return True
        at = bisect_left(self._hashes, number)
        return at < len(self._hashes) and self._hashes[at] == number and number not in self._removed

    def load(self, secret: bytes, numbers: Iterable[int]) -> None:
        """Take the whole list anew; ``numbers`` are sorted."""
        hashes = array("Q", numbers)
        self._secret, self._hashes = secret, hashes
        self._added, self._removed = set(), set()

    def change(self, number: int, *, suppressed: bool) -> None:
        """One recipient was added to the list, or taken off it."""
        at = bisect_left(self._hashes, number)
        listed = at < len(self._hashes) and self._hashes[at] == number
        self._added.discard(number)
        self._removed.discard(number)
        if suppressed and not listed:
            self._added.add(number)
        elif listed and not suppressed:
            self._removed.add(number)
        if len(self._added) + len(self._removed) > MOST_CHANGES:
            self.load(self._secret, sorted((set(self._hashes) | self._added) - self._removed))

    def hold(self, held: dict[str, float]) -> None:
        """Take the held credentials anew."""
        self._changed |= held != self.held
        self.held = held

    def expire(self, wall: float) -> bool:
        """Whether the held credentials changed since this was asked last; those whose time is over are held no more."""
        over = [name for name, until in self.held.items() if until <= wall]
        for name in over:
            del self.held[name]
        changed, self._changed = self._changed or bool(over), False
        return changed


def digest(secret: bytes, recipient: bytes) -> int:
    """The first eight bytes of the keyed hash of an address, without case, as ``quota.recipient_hash`` computes it."""
    return int.from_bytes(hashlib.sha256(secret + recipient.lower()).digest()[:8], "big")
