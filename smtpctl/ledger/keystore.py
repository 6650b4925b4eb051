"""Where the private halves of the ledger's keys lie: a folder with a small file a key, outside of every database.

A file is sealed for the reading key, which is the controller's; whoever has the folder alone can open nothing. It holds
either the whole private key, or, once somebody of its bucket was erased, only the drawn keys of those who remain. So an
erasure is the end of one file, and no backup of the database matters to it. For the same reason **the folder must not
be in a backup that is kept**: a copy of it from before an erasure undoes that erasure.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from smtpctl.errors import LedgerError
from smtpctl.ledger import seal

_WHOLE, _DRAWN = b"\x01", b"\x02"
_ENTRY = seal.SALT + seal.KEY


class KeyStore(Protocol):
    """Files by name. ``write`` and ``destroy`` return when the disk has it."""

    def read(self, names: Collection[str]) -> dict[str, bytes]:
        """Contents of the files that exist."""

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file, at once or not at all; what it held before is overwritten."""

    def destroy(self, name: str) -> None:
        """Overwrite a file and remove it; nothing when there is none."""


class Folder:
    """A key store in a folder of this machine, which is made when it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, names: Collection[str]) -> dict[str, bytes]:
        return {name: (self._path / name).read_bytes() for name in names if (self._path / name).is_file()}

    def names(self) -> list[str]:
        """What there is; not what a write that was broken off has left."""
        return sorted(path.name for path in self._path.glob("*") if not path.suffix)

    def write(self, name: str, content: bytes) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        final, before, new = (self._path / (name + suffix) for suffix in ("", ".old", ".new"))
        _write_through(new, content)
        if final.exists() and not before.exists():
            os.link(final, before)
        new.rename(final)
        self._sync()
        self.destroy(before.name)

    def destroy(self, name: str) -> None:
        path = self._path / name
        if path.exists():
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            self._sync()

    def _sync(self) -> None:
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@dataclass(frozen=True, slots=True)
class WholeKey:
    """A private key: opens every capsule of its bucket."""

    private: bytes

    def key_of(self, capsule: bytes) -> bytes | None:
        """The subject's own key."""
        return seal.key_of(self.private, capsule)


@dataclass(frozen=True, slots=True)
class DrawnKeys:
    """What remains of a private key that was destroyed: keys of single subjects, by their salts."""

    keys: Mapping[bytes, bytes]

    def key_of(self, capsule: bytes) -> bytes | None:
        """The subject's own key; None for one that was erased."""
        return self.keys.get(seal.salt_of(capsule))


def name_of(public: bytes) -> str:
    """The file of a key."""
    return public.hex()


def make_keys(store: KeyStore, reading: bytes, buckets: Iterable[int]) -> dict[int, bytes]:
    """New keys for buckets, stored before anything can be sealed under them; return their public halves."""
    made = {}
    for bucket in buckets:
        private, public = seal.new_pair()
        store.write(name_of(public), seal.seal_for(reading, _WHOLE + private))
        made[bucket] = public
    return made


def packed(keys: DrawnKeys, reading: bytes) -> bytes:
    """A file's content."""
    return seal.seal_for(reading, _DRAWN + b"".join(salt + key for salt, key in sorted(keys.keys.items())))


class Opener:
    """Opens capsules with the reading key."""

    def __init__(self, store: KeyStore, private: bytes) -> None:
        self.store = store
        self._private = private
        self._keys: dict[bytes, WholeKey | DrawnKeys] = {}

    @property
    def public(self) -> bytes:
        """What files are sealed for."""
        return seal.public_of(self._private)

    def keys(self, publics: Iterable[bytes]) -> dict[bytes, WholeKey | DrawnKeys]:
        """What there is of these keys, fetched together."""
        wanted = set(publics) - self._keys.keys()
        for name, content in self.store.read([name_of(public) for public in wanted]).items():
            self._keys[bytes.fromhex(name)] = self._unpacked(content)
        return self._keys

    def forget(self) -> None:
        """Read files anew from here on."""
        self._keys.clear()

    def open(self, rows: Iterable[tuple[bytes, bytes, bytes]]) -> dict[bytes, str]:
        """Given (hash, public key, capsule), return the addresses by hash; without those that were erased."""
        rows = list(rows)
        keys = self.keys(public for _, public, _ in rows)
        opened = {}
        for hashed, public, capsule in rows:
            own = keys[public].key_of(capsule) if public in keys else None
            text = None if own is None else seal.open_capsule(own, capsule)
            if text is not None:
                opened[hashed] = text.decode()
        return opened

    def _unpacked(self, content: bytes) -> WholeKey | DrawnKeys:
        text = seal.open_with(self._private, content)
        if text is None:
            raise LedgerError(
                "the reading key does not open the ledger's key store",
                hint="is this the secrets file that the control host was applied with?",
            )
        if text[:1] == _WHOLE:
            return WholeKey(text[1:])
        entries = range(1, len(text), _ENTRY)
        return DrawnKeys({text[at : at + seal.SALT]: text[at + seal.SALT : at + _ENTRY] for at in entries})


def _write_through(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
