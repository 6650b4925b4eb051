"""Taking a backup: what a fleet has that its inventory does not give again. Edge: hosts, files.

Not in it: queues (a message that is restored is sent twice), hosts' mail logs (they end with ``retention.logs`` and are
in the ledger), the identity that opens the secrets.
"""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from smtpctl import __version__
from smtpctl.keys.recipients import read_recipients, recipients_path
from smtpctl.keys.store import secrets_path
from smtpctl.model.fleet import Fleet, Role
from smtpctl.operate.backup import streams
from smtpctl.operate.backup.manifest import NAME, Manifest, Part
from smtpctl.operate.keystore import LEDGER_PROGRAM, HostKeyStore
from smtpctl.operate.visits import visits
from smtpctl.transport.connection import Connection, Target

KEYS = "keys.age"
FLEET, LEDGER, MAILBOXES = "fleet.tar.age", "ledger.dump.age", "mailboxes.tar.age"

_MAIL = ("tar", "--create", "--directory=/var/vmail", "--exclude=dovecot.index*", ".")
_COUNT = "find /var/vmail -type f -path '*/Maildir/*' \\( -path '*/cur/*' -o -path '*/new/*' \\) | wc -l"


@dataclass(frozen=True, slots=True)
class Source:
    """A fleet, its files here, and where its hosts are reached."""

    inventory: Path
    fleet: Fleet
    targets: Mapping[str, Target]

    def control(self) -> Target:
        """The host with the ledger."""
        return self.targets[next(iter(self.fleet.hosts_with(Role.CONTROL)))]

    def mailbox(self) -> Target:
        """The host with the mailboxes."""
        return self.targets[next(iter(self.fleet.hosts_with(Role.MAILBOX)))]


@contextmanager
def connected(target: Target) -> Iterator[Connection]:
    """A connection for a few commands."""
    connection = Connection(target)
    try:
        yield connection
    finally:
        connection.close()


def take(source: Source, folder: Path, at: str, report: Callable[[str], None]) -> Manifest:
    """Write a backup into ``folder``, and the ledger's keys beside it."""
    folder.mkdir(mode=0o700, parents=True)
    recipients = read_recipients(source.inventory)
    report("inventory and secrets")
    parts = [streams.keep(_files(source), folder / FLEET, recipients)]
    report("ledger")
    ledger, part = _ledger(source, folder / LEDGER, recipients)
    parts.append(part)
    report("mailboxes")
    with connected(source.mailbox()) as mailbox:
        mail = streams.FromHost(mailbox, "root", *_MAIL)
        parts.append(streams.keep(mail, folder / MAILBOXES, recipients))
        counted = streams.FromHost(mailbox, "root", "sh", "-c", _COUNT)
        messages = int(io.BufferedReader(counted).read().decode())
    manifest = Manifest(source.fleet.fleet, __version__, at, parts, revisions(source), ledger, messages)
    (folder / NAME).write_text(manifest.to_json())
    keep_keys(source, folder.parent)
    return manifest


def keep_keys(source: Source, folder: Path) -> Part | None:
    """Put the ledger's keys, as they are now, in place of any earlier copy; None where there are none."""
    if source.fleet.privacy == "off":
        return None
    store = HostKeyStore(source.control())
    try:
        files = store.read(store.names())
    finally:
        store.close()
    document = json.dumps({name: base64.b64encode(content).decode() for name, content in sorted(files.items())})
    path = folder / KEYS
    before = path.open("r+b") if path.exists() else None
    part = streams.keep(io.BytesIO(document.encode()), path, read_recipients(source.inventory))
    if before is not None:
        _overwrite(before)
    return part


def _overwrite(file: BinaryIO) -> None:
    """What it held is not to be had from it any more, as far as a file system does what it is told."""
    with file:
        file.write(bytes(os.fstat(file.fileno()).st_size))
        file.flush()
        os.fsync(file.fileno())


def _files(source: Source) -> io.BytesIO:
    """Inventory, secrets, list of recipients and overlay folder, as a tar archive."""
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as archive:
        for path in (source.inventory, secrets_path(source.inventory), recipients_path(source.inventory)):
            if path.exists():
                archive.add(path, arcname=path.name)
        if source.fleet.templates:
            archive.add(source.inventory.parent / source.fleet.templates, arcname=source.fleet.templates)
    found.seek(0)
    return found


def _ledger(source: Source, path: Path, recipients: tuple[str, ...]) -> tuple[dict[str, Any], Part]:
    with connected(source.control()) as control:
        stream = _FirstLine(streams.FromHost(control, "postgres", *LEDGER_PROGRAM, "dump"))
        part = streams.keep(stream, path, recipients)
    told: dict[str, Any] = json.loads(stream.line)
    return told | {"keys": len(told["keys"])}, part


class _FirstLine(io.RawIOBase):
    """A stream whose first line is kept too."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self._head = b""

    @property
    def line(self) -> bytes:
        return self._head.partition(b"\n")[0]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._stream.readinto(buffer) or 0
        if b"\n" not in self._head:
            self._head += bytes(buffer[:size])
        return size


def revisions(source: Source) -> dict[str, str]:
    """What each host runs that answers, by the last entry of its history."""
    with visits(source.targets) as opened:
        histories = opened.each(lambda _, host: host.ask({"do": "history"}).header["entries"])
    found = {name: [one["revision"] for one in entries if not one.get("undone")] for name, entries in histories.items()}
    return {name: applied[-1] for name, applied in found.items() if applied}
