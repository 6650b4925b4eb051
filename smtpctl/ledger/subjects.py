"""Numbers for addresses, on a host: known ones from memory, others from the ledger, which may make new ones.

A ledger keeps addresses in clear, or private: then a host sends a keyed hash to find a subject by and, for a new one,
a capsule that it cannot open itself (``seal``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from smtpctl.errors import LedgerError
from smtpctl.ledger.connection import Connection
from smtpctl.ledger.seal import Sealer
from smtpctl.ledger.tokens import Hider, LookupKey, canonical

#: Addresses kept in memory, with their numbers.
_REMEMBERED = 50_000
#: Bytes of an address; RFC 5321 has room for 320, an index for about 670 characters.
_LONGEST = 600

PUBLIC_KEYS = "SELECT bucket, id, public FROM ledger.seal_keys WHERE retired_at IS NULL"
FIND = "SELECT ledger.find_subjects(%s)"
ADD = "SELECT ledger.add_subjects(%s, %s, %s, %s, %s)"
NUMBER_CLEAR = "SELECT ledger.subject_numbers(%s)"


@dataclass(frozen=True, slots=True)
class Privacy:
    """The keys of the hash, the one in use first. Older ones find what was stored under them."""

    keys: tuple[LookupKey, ...]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Privacy | None:
        """From ``privacy`` of a daemon's configuration: the file with the keys. None: addresses stay in clear."""
        path = config.get("lookup_keys_file")
        if not path:
            return None
        return cls(read_lookup_keys(Path(path).read_text()))


def read_lookup_keys(text: str) -> tuple[LookupKey, ...]:
    """Keys of the hash from JSON: ``{"2": "hex", "1": "hex"}``; the highest number is the one in use."""
    try:
        keys = [LookupKey(int(number), bytes.fromhex(secret)) for number, secret in json.loads(text).items()]
    except (ValueError, AttributeError) as error:
        raise LedgerError("the file with the keys of the ledger's hash cannot be read", hint="smtpctl apply") from error
    if not keys or any(len(key.secret) != 32 for key in keys):
        raise LedgerError("a key of the ledger's hash has not 32 bytes", hint="smtpctl secrets init INVENTORY")
    return tuple(sorted(keys, key=lambda key: -key.number))


class PrivateSubjects:
    """What a host asks of a private ledger; values only, so that any kind of connection may carry it."""

    def __init__(self, privacy: Privacy, public_keys: Iterable[tuple[int, int, bytes]]) -> None:
        self.privacy = privacy
        sealing = {bucket: (number, public) for bucket, number, public in public_keys}
        if not sealing:
            raise LedgerError(
                "the ledger has no public keys to seal addresses with",
                hint="its control host makes them: smtpctl apply",
            )
        self._sealer = Sealer(sealing)

    def hashes(self, addresses: Sequence[bytes], key: LookupKey) -> list[bytes]:
        """To be found by."""
        return [key.hash(address) for address in addresses]

    def additions(self, addresses: Sequence[bytes]) -> tuple[int, list[bytes], list[str], list[int], list[bytes]]:
        """New subjects, as ``ledger.add_subjects`` takes them."""
        key = self.privacy.keys[0]
        hashes = self.hashes(addresses, key)
        sealed = [self._sealer.seal(hashed, address) for hashed, address in zip(hashes, addresses, strict=True)]
        domains = [domain_of(address).decode() for address in addresses]
        return key.number, hashes, domains, [number for number, _ in sealed], [capsule for _, capsule in sealed]


class Subjects:
    """Numbers of addresses over one connection. With ``privacy`` nothing is sent that a reader could read."""

    def __init__(self, connection: Connection, privacy: Privacy | None, providers: Iterable[bytes] = ()) -> None:
        self._connection = connection
        self._privacy = privacy
        self._private: PrivateSubjects | None = None
        self.numbers: dict[bytes, int] = {}
        self.hider = None if privacy is None else Hider(privacy.keys[0], providers)

    def learn(self, addresses: Iterable[bytes]) -> bool:
        """Make ``numbers`` know these; return whether it forgot others before."""
        forgot = len(self.numbers) > _REMEMBERED
        if forgot:
            self.forget()
        missing = [address for address in addresses if address not in self.numbers]
        if missing:
            forms = [self._form(address) for address in missing]
            distinct = list(dict.fromkeys(forms))
            found = dict(zip(distinct, self._number(distinct), strict=True))
            self.numbers.update((address, found[form]) for address, form in zip(missing, forms, strict=True))
        return forgot

    def forget(self) -> None:
        """Ask anew from here on, also for the keys: retention removes subjects, and an erasure retires a key."""
        self.numbers.clear()
        self._private = None

    def _form(self, address: bytes) -> bytes:
        hidden = address if self.hider is None else self.hider.address(address)
        text = canonical(hidden)
        return text if len(text) <= _LONGEST else text[:_LONGEST].decode(errors="ignore").encode()

    def _number(self, addresses: list[bytes]) -> list[int]:
        if self._privacy is None:
            return self._ask(NUMBER_CLEAR, [address.decode() for address in addresses])
        numbers: dict[bytes, int] = {}
        for key in self._privacy.keys:
            unknown = [address for address in addresses if address not in numbers]
            if unknown:
                found = self._ask(FIND, [key.hash(address) for address in unknown])
                numbers |= {address: number for address, number in zip(unknown, found, strict=True) if number}
        if unknown := [address for address in addresses if address not in numbers]:
            numbers |= zip(unknown, self._add(unknown), strict=True)
        return [numbers[address] for address in addresses]

    def _add(self, addresses: list[bytes]) -> list[int]:
        try:
            return self._ask(ADD, *self._sealing().additions(addresses))
        except psycopg.errors.RaiseException:
            # A key was retired since they were read: somebody was erased.
            self._private = None
            return self._ask(ADD, *self._sealing().additions(addresses))

    def _sealing(self) -> PrivateSubjects:
        if self._private is None:
            assert self._privacy is not None  # noqa: S101 — callers have seen to it
            self._private = PrivateSubjects(self._privacy, self._connection.execute(PUBLIC_KEYS).fetchall())
        return self._private

    def _ask(self, statement: str, *values: object) -> list[int]:
        row = self._connection.execute(statement.encode(), values).fetchone()
        return row[0] if row and row[0] else []


def domain_of(mailbox: bytes) -> bytes:
    """The domain of an address, in lower case; empty when it has none."""
    return mailbox.rpartition(b"@")[2].lower() if b"@" in mailbox else b""
