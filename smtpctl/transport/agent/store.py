"""What smtpctl keeps on a host, under /var/lib/smtpctl: objects, the journal, and the committed revisions.

::

    agent                  link to this program in agents/HASH, for the undo timer and for recovery at boot
    objects/SHA256         contents of managed files, old and new, by hash
    stage/                 the tree that is being validated; gone after a run
    journal.json           the intent of an apply that is neither committed nor undone
    revisions/N-HASH.json  committed revisions; the highest N is what this host is on
    undone/N-HASH.json     what was begun and led back, with the reason

An apply is committed by one rename: of ``journal.json`` into ``revisions/``. Until then everything leads back.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from . import StepError, records

BASE = Path(records.BASE)


class Store:
    """The folder ``base``. Reading from it never makes it; only ``prepare`` does."""

    def __init__(self, base: Path = BASE) -> None:
        self.base = base
        self.agent = base / "agent"
        self.agents = base / "agents"
        self.objects = base / "objects"
        self.stage = base / records.STAGE
        self.journal_file = base / records.JOURNAL
        self.revisions = base / records.REVISIONS
        self.undone = base / "undone"

    def prepare(self) -> None:
        """Make the folder, closed to everybody but root: objects hold secrets."""
        for folder in (self.base, self.objects, self.revisions, self.undone):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    # -- objects

    def put(self, content: bytes) -> str:
        """Keep ``content`` durably; its hash."""
        name = hashlib.sha256(content).hexdigest()
        if not (self.objects / name).exists():
            write_durably(self.objects / name, content)
        return name

    def get(self, name: str) -> bytes:
        return (self.objects / name).read_bytes()

    def keep(self, path: str, name: str) -> None:
        """Make sure that the unchanged file at ``path``, whose hash is ``name``, can be brought back later."""
        if not (self.objects / name).exists():
            self.put(Path(path).read_bytes())

    # -- journal and revisions

    def journal(self) -> dict[str, Any] | None:
        """The unfinished apply, if there is one."""
        return records.journal(str(self.base))

    def begin(self, journal: dict[str, Any]) -> None:
        """Make the intent durable. From here on the host leads back until ``commit``."""
        sync_folder(self.objects)
        write_durably(self.journal_file, _dump(journal))
        sync_folder(self.base)

    def commit(self, journal: dict[str, Any]) -> None:
        """The journal becomes the host's revision, in one rename."""
        self.journal_file.rename(self.revisions / _file_name(journal))
        sync_folder(self.revisions)
        sync_folder(self.base)

    def abandon(self, journal: dict[str, Any], outcome: dict[str, Any]) -> None:
        """The journal was undone: keep it as history, with how that went."""
        write_durably(self.undone / _file_name(journal), _dump({**journal, **outcome}))
        sync_folder(self.undone)
        self.journal_file.unlink()
        sync_folder(self.base)

    def current(self) -> dict[str, Any] | None:
        """The committed revision with the highest number."""
        return records.current(str(self.base))

    def find(self, wanted: str) -> dict[str, Any]:
        """The newest kept revision whose number is, or whose name begins with, ``wanted``; empty: the one before, which
        is another one (an upgrade of packages keeps the revision)."""
        files = self.revision_files()
        others = [path for path in files if not path.stem.endswith(files[-1].stem.partition("-")[2])]
        found = [path for path in files if _matches(path, wanted)][-1:] if wanted else others[-1:]
        record = records.load(str(found[0])) if found else None
        if record is None:
            kept = ", ".join(path.stem.lstrip("0") for path in files) or "none"
            what = f"no revision {wanted}" if wanted else "no revision before this one"
            raise StepError("recall", f"{what} is kept on this host; kept are: {kept}")
        return record

    def revision_files(self) -> list[Path]:
        """Committed revisions, oldest first."""
        return [self.revisions / name for name in records.revision_names(str(self.base))]

    def history(self) -> list[dict[str, Any]]:
        """Everything that was committed or undone, oldest first."""
        undone = sorted(self.undone.glob("*.json")) if self.undone.is_dir() else []
        entries = [entry for path in [*self.revision_files(), *undone] if (entry := records.load(str(path)))]
        return sorted(entries, key=lambda entry: float(entry["begun"]))

    def next_number(self) -> int:
        names = [path.name for folder in (self.revisions, self.undone) for path in folder.glob("*.json")]
        return max((int(name.partition("-")[0]) for name in names), default=0) + 1

    def prune(self, keep: int) -> None:
        """Drop all but the last ``keep`` revisions and records of undone applies, and objects that nothing names."""
        for folder in (self.revisions, self.undone):
            for path in sorted(folder.glob("*.json"))[:-keep]:
                path.unlink()
        named = set()
        for path in self.revision_files():
            named |= objects_of(records.load(str(path)) or {})
        for path in self.objects.iterdir():
            if path.name not in named:
                path.unlink()


def _matches(path: Path, wanted: str) -> bool:
    number, _, name = path.stem.partition("-")
    return number.lstrip("0") == wanted or (len(wanted) >= 4 and name.startswith(wanted))


def objects_of(journal: dict[str, Any]) -> set[str]:
    """Hashes of the contents that a journal or revision needs."""
    before = {fact["sha256"] for fact in journal.get("before", {}).values() if fact["kind"] == "file"}
    return before | {file["sha256"] for file in journal.get("files", {}).values()}


def write_durably(path: Path, content: bytes) -> None:
    """``content`` at ``path``, 0600, whole or not at all, even over a power cut."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def now() -> float:
    return round(time.time(), 3)


def _file_name(journal: dict[str, Any]) -> str:
    return f"{journal['number']:06d}-{journal['revision']}.json"


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
