"""Erases a subject: destroys the key of its address and keeps everybody else's. The controller's side.

The order is what makes it hold at any interruption. (1) New keys for the subject's buckets are stored. (2) One
transaction forgets the capsule, retires the buckets' old keys and puts the new ones in their place: from here on no
host seals under an old key, and the hash finds the subject erased. (3) For each retired key of those buckets, the keys
of the subjects that are still sealed under it are drawn and written in place of the whole key, which ends here. Run
again after an interruption it goes on with what is left.

Step 3 keeps only what is in the ledger *now*. A capsule that exists nowhere but in a dump, of this subject or of one
that retention removed, has no key afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smtpctl.ledger.connection import Connection
from smtpctl.ledger.keystore import DrawnKeys, Opener, WholeKey, make_keys, name_of, packed
from smtpctl.ledger.seal import bucket_of, salt_of
from smtpctl.ledger.tokens import LookupKey, canonical, lookups

_ERASE = "SELECT * FROM ledger.erase_subject(%s, %s, %s, %s, %s)"
_RETIRED = "SELECT id, public FROM ledger.seal_keys WHERE id = ANY (%s)"
_SEALED = "SELECT sealed FROM ledger.subjects WHERE seal_key = %s"


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done: the subject's number, and how many keys ended and how many subjects' keys were kept."""

    subject: int
    keys_ended: int
    kept: int


def erase(connection: Connection, opener: Opener, keys: Sequence[LookupKey], address: str) -> Erased:
    """Erase an address. ``keys`` are all keys that its hash may have been made with, the one in use first."""
    hashes = lookups(keys, address)
    buckets = sorted({bucket_of(hashed) for hashed in hashes})
    made = make_keys(opener.store, opener.public, buckets)
    domain = canonical(address.encode()).decode().rpartition("@")[2]
    rows = connection.execute(_ERASE, (keys[0].number, hashes, domain, buckets, [made[b] for b in buckets])).fetchall()
    retired = [key for _, key in rows]
    opener.forget()
    publics: dict[int, bytes] = dict(connection.execute(_RETIRED, (retired,)).fetchall())
    held = opener.keys(publics.values())
    ended = kept = 0
    for number, public in publics.items():
        if public not in held:
            continue
        capsules = [bytes(row[0]) for row in connection.execute(_SEALED, (number,)).fetchall()]
        remaining = _drawn(held[public], capsules)
        ended += isinstance(held[public], WholeKey)
        kept += len(remaining.keys)
        _replace(opener, public, remaining)
    opener.forget()
    return Erased(rows[0][0], ended, kept)


def _drawn(key: WholeKey | DrawnKeys, capsules: Sequence[bytes]) -> DrawnKeys:
    drawn = ((salt_of(capsule), key.key_of(capsule)) for capsule in capsules)
    return DrawnKeys({salt: own for salt, own in drawn if own is not None})


def _replace(opener: Opener, public: bytes, remaining: DrawnKeys) -> None:
    """Only now, with the others' keys on disk, the whole key ends."""
    if remaining.keys:
        opener.store.write(name_of(public), packed(remaining, opener.public))
    else:
        opener.store.destroy(name_of(public))
