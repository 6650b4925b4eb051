"""Keys that nobody asked for of late, kept small. Pure.

A key in use is an object with a number for everything. What has to be remembered of one that is not (its reserve above
all, which was charged when it was taken) are a few numbers under a digest of its name: a third of the memory.

They are kept in many small dictionaries, so that neither growing nor looking through them ever takes long.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct

from policy_service.gcra import SECOND
from policy_service.key import Key

#: Reserve, demand, seconds until it is forgotten, when it was refilled, when it was used.
_FORM = Struct("<IfIqq")

#: Bytes of a digest: no two of a million names have the same, and the object that holds one is as small as it may be.
_DIGEST = 15

_SHELVES = 1024


class Idle:
    """What is remembered of idle keys."""

    def __init__(self) -> None:
        self._shelves: list[dict[bytes, bytes]] = [{} for _ in range(_SHELVES)]
        self._swept = 0

    def __len__(self) -> int:
        return sum(map(len, self._shelves))

    def put(self, key: Key, lasts: int) -> None:
        """Remember a key that holds no leases until it was not used for ``lasts`` nanoseconds."""
        digest = _digest(key.name)
        packed = _FORM.pack(key.reserve, key.demand, lasts // SECOND, key.refilled, key.used)
        self._shelf(digest)[digest] = packed
        # Somebody may still have the object. It can spend nothing, and its numbers need no room.
        key.clear()

    def take(self, key: Key) -> None:
        """Bring back into ``key`` what is remembered of its name; nothing else remembers it then."""
        digest = _digest(key.name)
        packed = self._shelf(digest).pop(digest, None)
        if packed is not None:
            key.reserve, key.demand, _, key.refilled, key.used = _FORM.unpack(packed)
            key.reserve = min(key.reserve, key.shape.reserve)

    def sweep(self, now: int) -> None:
        """Forget, on one shelf, what has lasted long enough."""
        shelf = self._shelves[self._swept]
        self._swept = (self._swept + 1) % _SHELVES
        for digest in [digest for digest, packed in shelf.items() if _over(packed, now)]:
            del shelf[digest]

    def _shelf(self, digest: bytes) -> dict[bytes, bytes]:
        return self._shelves[(digest[0] << 8 | digest[1]) % _SHELVES]


def _digest(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogateescape"), digest_size=_DIGEST).digest()


def _over(packed: bytes, now: int) -> bool:
    _, _, lasts, _, used = _FORM.unpack(packed)
    return bool(now - used >= lasts * SECOND)
