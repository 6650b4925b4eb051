"""Numbers for addresses, on a host: known ones from memory, others from the ledger, which may make new ones.

A ledger keeps addresses in clear, or private: then a host sends a keyed hash to find a subject by and, for a new one,
a capsule that it cannot open itself (``seal``).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from smtpctl.errors import LedgerError
from smtpctl.ledger.connection import Connection
from smtpctl.ledger.seal import Sealer
from smtpctl.ledger.tokens import Hider, LookupKey, canonical

Ask = tuple[str, tuple[Any, ...]]
Rows = list[tuple[Any, ...]]
Steps = Generator[Ask, Any, None]
#: Addresses kept in memory, with their numbers.
_REMEMBERED = 50_000
#: Bytes of an address; RFC 5321 has room for 320, an index for about 670 characters.
_LONGEST = 600

PUBLIC_KEYS = "SELECT bucket, id, public FROM ledger.seal_keys WHERE retired_at IS NULL"
FIND = "SELECT ledger.find_subjects(%b)"
ADD = "SELECT ledger.add_subjects(%s, %b, %b, %s, %b)"
NUMBER_CLEAR = "SELECT ledger.subject_numbers(%b)"


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

    def additions(self, addresses: Sequence[bytes]) -> tuple[int, list[bytes], list[str], list[int], list[bytes]]:
        """New subjects, as ``ledger.add_subjects`` takes them."""
        key = self.privacy.keys[0]
        hashes = [key.hash(address) for address in addresses]
        sealed = [self._sealer.seal(hashed, address) for hashed, address in zip(hashes, addresses, strict=True)]
        domains = [domain_of(address).decode() for address in addresses]
        return key.number, hashes, domains, [number for number, _ in sealed], [capsule for _, capsule in sealed]


class Numbering:
    """Numbers of addresses. With ``privacy`` nothing is sent that a reader could read.

    It says what to ask and is told the rows: whoever has a connection, of whatever kind, carries that (``steps``).
    """

    def __init__(self, privacy: Privacy | None, providers: Iterable[bytes] = ()) -> None:
        self._privacy = privacy
        self._private: PrivateSubjects | None = None
        self.numbers: dict[bytes, int] = {}
        self.hider = None if privacy is None else Hider(privacy.keys[0], providers)

    def forget(self) -> None:
        """Ask anew from here on, also for the keys: retention removes subjects, and an erasure retires a key. Who was
        given ``numbers`` before keeps them."""
        self.numbers = {}
        self._private = None

    def steps(self, addresses: Iterable[bytes]) -> Steps:
        """Make ``numbers`` know these: yields (statement, values), takes in all rows of the answer. A refusal by the
        ledger is thrown in."""
        missing = [address for address in addresses if address not in self.numbers]
        if not missing:
            return
        forms = [self._form(address) for address in missing]
        distinct = list(dict.fromkeys(forms))
        if self._privacy is None:
            ((found,),) = yield NUMBER_CLEAR, ([form.decode() for form in distinct],)
            known = dict(zip(distinct, found, strict=True))
        else:
            known = yield from self._private_steps(distinct, self._privacy)
        self.numbers.update((address, known[form]) for address, form in zip(missing, forms, strict=True))

    def _private_steps(self, forms: list[bytes], privacy: Privacy) -> Generator[Ask, Rows, dict[bytes, int]]:
        known: dict[bytes, int] = {}
        for key in privacy.keys:
            if unknown := [form for form in forms if form not in known]:
                ((found,),) = yield FIND, ([key.hash(form) for form in unknown],)
                known |= {form: number for form, number in zip(unknown, found, strict=True) if number}
        if unknown := [form for form in forms if form not in known]:
            try:
                ((found,),) = yield ADD, (yield from self._additions(unknown, privacy))
            except psycopg.errors.RaiseException:
                # A key was retired since they were read: somebody was erased.
                self._private = None
                ((found,),) = yield ADD, (yield from self._additions(unknown, privacy))
            known |= zip(unknown, found, strict=True)
        return known

    def _additions(self, forms: list[bytes], privacy: Privacy) -> Generator[Ask, Rows, tuple[Any, ...]]:
        if self._private is None:
            self._private = PrivateSubjects(privacy, (yield PUBLIC_KEYS, ()))
        return self._private.additions(forms)

    def _form(self, address: bytes) -> bytes:
        hidden = address if self.hider is None else self.hider.address(address)
        text = canonical(hidden)
        return text if len(text) <= _LONGEST else text[:_LONGEST].decode(errors="ignore").encode()


class Subjects(Numbering):
    """Numbers of addresses over one connection."""

    def __init__(self, connection: Connection, privacy: Privacy | None, providers: Iterable[bytes] = ()) -> None:
        super().__init__(privacy, providers)
        self._connection = connection

    def learn(self, addresses: Iterable[bytes]) -> Mapping[bytes, int]:
        """Numbers of these addresses, and of others."""
        if len(self.numbers) > _REMEMBERED:
            self.forget()
        steps = self.steps(addresses)
        rows: Rows | None = None
        refusal: psycopg.errors.RaiseException | None = None
        while True:
            try:
                statement, values = steps.throw(refusal) if refusal else steps.send(rows)
            except StopIteration:
                return self.numbers
            try:
                rows, refusal = self._connection.execute(statement.encode(), values).fetchall(), None
            except psycopg.errors.RaiseException as error:
                refusal = error


def domain_of(mailbox: bytes) -> bytes:
    """The domain of an address, in lower case; empty when it has none."""
    return mailbox.rpartition(b"@")[2].lower() if b"@" in mailbox else b""
