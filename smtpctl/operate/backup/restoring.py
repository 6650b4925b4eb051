"""A backup into a fleet that was applied with the backup's inventory: ledger, keys, mailboxes; and erasures once more.

Where the control host still has keys of the restored ledger, those are the truth, and the copy beside the backup is not
touched: they know of erasures that the copy may not know. The database never matters to an erasure; a copy of the keys
that is older than one does, so receipts of erasures can be given, and are carried out again.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smtpctl.errors import TransportError, UsageError
from smtpctl.keys.identity import Identity
from smtpctl.ledger.connection import Connection as Database
from smtpctl.ledger.erasure import erase
from smtpctl.ledger.keystore import Opener, WholeKey
from smtpctl.ledger.tokens import LookupKey
from smtpctl.operate.backup import streams
from smtpctl.operate.backup.manifest import NAME, Manifest
from smtpctl.operate.backup.taking import (
    FLEET,
    KEYS,
    LEDGER,
    MAILBOXES,
    Source,
    connected,
)
from smtpctl.operate.keystore import LEDGER_PROGRAM, HostKeyStore
from smtpctl.transport.connection import Connection
from smtpctl.transport.program import run

_MAIL = ("tar", "--extract", "--same-owner", "--preserve-permissions", "--directory=/var/vmail")
_SUBJECT = (
    "SELECT lookup, public, sealed FROM ledger.subjects JOIN ledger.seal_keys ON seal_keys.id = seal_key"
    " WHERE encode(lookup, 'hex') = %s"
)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done: rows by table, keys that came from the copy, and buckets that had to have new ones."""

    rows: dict[str, int]
    keys: int
    renewed: int


def read_manifest(folder: Path) -> Manifest:
    """The manifest, with every part held against it."""
    try:
        manifest = Manifest.from_json((folder / NAME).read_text())
    except OSError as error:
        raise UsageError(
            f"{folder} is no backup: {error.strerror}", hint="name the folder with the manifest.json"
        ) from None
    for part in manifest.parts:
        streams.check(folder / part.name, part)
    return manifest


def write_files(folder: Path, identity: Identity, into: Path) -> list[str]:
    """Inventory, secrets, recipients and overlay of a backup into a folder. Nothing that is there is written over."""
    with tarfile.open(fileobj=io.BytesIO(streams.read(folder / FLEET, identity))) as archive:
        names = archive.getnames()
        there = [name for name in names if (into / name).exists()]
        if there:
            raise UsageError(f"{into / there[0]} exists", hint="restore the files into an empty folder")
        into.mkdir(parents=True, exist_ok=True)
        archive.extractall(into, filter="data")
    return names


def restore_ledger(source: Source, folder: Path, identity: Identity, reading: bytes) -> Restored:
    """Database and keys. ``reading`` opens the keys' files; empty in a ledger that is not private."""
    with connected(source.control()) as control:
        said = streams.give(folder / LEDGER, identity, control, "postgres", *LEDGER_PROGRAM, "restore")
        found: dict[str, Any] = json.loads(said)
        taken = _restore_keys(source, folder.parent / KEYS, identity, found["keys"]) if reading else 0
        lost = _lost_keys(source, found["keys"], reading) if reading else []
        _run(control, "postgres", *LEDGER_PROGRAM, "retire", told=json.dumps(lost))
        _run(control, "root", "systemctl", "restart", "smtpctl-schema.service")
    return Restored(found["rows"], taken, len(lost))


def restore_mailboxes(source: Source, folder: Path, identity: Identity) -> None:
    """Add the mail of the backup to what is there."""
    with connected(source.mailbox()) as mailbox:
        streams.give(folder / MAILBOXES, identity, mailbox, "root", *_MAIL)


def erase_again(
    database: Database, opener: Opener, keys: Sequence[LookupKey], hashes: Sequence[str], report: Callable[[str], None]
) -> int:
    """Carry out erasures that the copy of the keys was older than; how many there were."""
    done = 0
    for hashed in hashes:
        rows = database.execute(_SUBJECT, (hashed,)).fetchall()
        found = opener.open([(bytes(row[0]), bytes(row[1]), bytes(row[2])) for row in rows])
        for address in found.values():
            erase(database, opener, keys, address)
            done += 1
    report(f"{done} of {len(hashes)} erasures had to be done again")
    return done


def _restore_keys(source: Source, copy: Path, identity: Identity, wanted: list[str]) -> int:
    """Keys from the copy beside the backup, unless the control host has its own."""
    store = HostKeyStore(source.control())
    try:
        if set(wanted) & set(store.names()):
            return 0
        if not copy.exists():
            return 0
        document: dict[str, str] = json.loads(streams.read(copy, identity))
        files = {name: base64.b64decode(text) for name, text in document.items() if name in set(wanted)}
        store.fill(files)
        return len(files)
    finally:
        store.close()


def _lost_keys(source: Source, wanted: list[str], reading: bytes) -> list[str]:
    """Keys that nothing new may be sealed under: no file, or only what remains of one after an erasure."""
    store = HostKeyStore(source.control())
    try:
        held = Opener(store, reading).keys(bytes.fromhex(name) for name in wanted)
    finally:
        store.close()
    return [name for name in wanted if not isinstance(held.get(bytes.fromhex(name)), WholeKey)]


def _run(connection: Connection, user: str, *command: str, told: str = "") -> None:
    ended = run(connection, user, *command, told=told.encode())
    if ended.code:
        words = ended.errors.splitlines()[-1:] or [f"exit status {ended.code}"]
        raise TransportError(f"{connection.target.host}: {command[-1]}: {words[0]}")
